"""How coarsely rows are rounded: the bits that steps spend, and what the output loses by it."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest

from tests.checkpoints import random_state
from umx.format.quantising import PRESETS, round_weights
from umx.format.safetensors import serialise
from umx.format.step_sizes import LARGEST, coarse_steps, huffman
from umx.models.openunmix.convert import coarse, fold, quantize

Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def state() -> Tensors:
    return random_state(128, 257, 187)


@pytest.fixture(scope="module")
def folded(state: Tensors) -> Tensors:
    return fold(state)


def coded(tensors: Tensors) -> float:
    """Bits a weight in a gzip file."""
    weights = {key: value for key, value in tensors.items() if value.dtype == np.int8}
    packer = zlib.compressobj(9, wbits=31, strategy=zlib.Z_HUFFMAN_ONLY)
    packed = packer.compress(serialise(weights)) + packer.flush()
    return 8 * len(packed) / sum(value.size for value in weights.values())


@pytest.mark.parametrize("bits", [1.5, 2.0, 3.0, 4.0, 5.0])
def test_steps_spend_the_bits_they_are_given(folded: Tensors, bits: float) -> None:
    spent = coded(round_weights(folded, coarse(folded, bits), {}))
    assert spent == pytest.approx(bits, abs=0.08)


SPREADS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "even": lambda x: np.sign(x) * (np.abs(x) % 1),
    "normal": lambda x: x,
    "heavy tails": lambda x: x**3,
    "one in ten": lambda x: x * (np.abs(x) > 1.64),
    "rows unlike": lambda x: x * np.geomspace(1e-3, 1, len(x), dtype=np.float32)[:, np.newaxis],
    "one outlier a row": lambda x: np.concatenate([100 + 0 * x[:, :1], x[:, 1:]], axis=1),
}


@pytest.mark.parametrize("spread", SPREADS)
def test_web_travels_in_3_1_bits_a_weight_whatever_the_weights_are(
    folded: Tensors, spread: str
) -> None:
    rng = np.random.default_rng(6)
    others = {
        key: SPREADS[spread](rng.standard_normal(value.shape).astype(np.float32))
        for key, value in folded.items()
        if key.endswith(".weight")
    }
    assert coded(quantize(folded | others, "web")) < 3.1


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e4])
def test_the_bits_dont_depend_on_how_large_the_weights_are(folded: Tensors, factor: float) -> None:
    louder = {key: value * np.float32(factor) for key, value in folded.items()}
    assert coded(quantize(louder, "web")) == pytest.approx(coded(quantize(folded, "web")), abs=0.02)


def test_every_weight_fits_its_step(folded: Tensors) -> None:
    """Also where one row has weights, or a scale, like no other."""
    odd = {key: value.copy() for key, value in folded.items()}
    odd["fc2.weight"][0, 0] = 1e4
    odd["fc2.scale"][1] = 1e6
    odd["fc2.scale"][2] = 0
    odd["fc2.weight"][3] = 0
    quantised = quantize(odd, "web")
    weight, scale = quantised["fc2.weight"].astype(float), quantised["fc2.scale"].astype(float)
    assert np.isfinite(scale).all()
    assert weight[0, 0] == 127
    assert np.abs(weight[1]).max() == 127
    assert not weight[3].any()
    usual = np.abs(weight[4:]).max(axis=1)
    assert usual.max() < 127
    wanted = odd["fc2.weight"] * odd["fc2.scale"][:, np.newaxis]
    np.testing.assert_allclose((weight * scale[:, np.newaxis])[1], wanted[1], atol=0.5 * scale[1])


def test_steps_chosen_by_effect_cost_less_than_even_ones() -> None:
    """The error of fc3's loudness-weighted rows, for as many bits as with one relative step for all."""
    folded = fold(random_state(64, 257, 187, seed=3))
    loudness = np.sqrt(np.tile(np.pad(1 / folded["input_scale"], (0, 70), "edge"), 2))
    exact = folded["fc3.weight"] * folded["fc3.scale"][:, np.newaxis] * loudness[:, np.newaxis]

    def cost(steps: np.ndarray) -> tuple[float, float]:
        alone = round_weights(folded, coarse(folded, 3.0) | {"fc3": steps}, {})
        fc3 = alone["fc3.weight"] * alone["fc3.scale"][:, np.newaxis] * loudness[:, np.newaxis]
        return float(np.square(fc3 - exact).sum()), coded({"fc3": alone["fc3.weight"]})

    chosen, bits = cost(coarse(folded, 3.0)["fc3"])
    typical = np.sqrt(np.square(folded["fc3.weight"]).mean(axis=1))
    sizes = [cost(typical * np.float32(factor)) for factor in np.geomspace(0.1, 2, 40)]
    even = min(error for error, even_bits in sizes if even_bits <= bits + 0.02)
    assert chosen < 0.8 * even


def test_presets_differ_in_bits_alone(folded: Tensors) -> None:
    assert set(PRESETS) == {"web", "fine", "best"}
    web, fine, best = (quantize(folded, preset) for preset in ("web", "fine", "best"))
    assert coded(web) < 4 < coded(fine) < 6 < coded(best)
    for other in (fine, best):
        assert {k: (v.shape, v.dtype) for k, v in web.items()} == {
            k: (v.shape, v.dtype) for k, v in other.items()
        }


def test_steps_follow_importance_and_effect() -> None:
    """A row that counts twice as much has half the step, and so has a matrix whose noise is 6 dB louder."""
    weight = np.random.default_rng(4).standard_normal((64, 200)).astype(np.float32)
    importance = np.geomspace(1, 4, 64).astype(np.float32)
    steps = coarse_steps(
        {"quiet": weight, "loud": weight},
        {"quiet": importance, "loud": importance},
        {"quiet": -20 - 20 * np.log10(2), "loud": -20},
        3.0,
    )
    for step in steps.values():
        assert step.shape == (64,)
        np.testing.assert_allclose(step * importance, step[0] * importance[0], rtol=1e-4)
    np.testing.assert_allclose(steps["quiet"], 2 * steps["loud"], rtol=1e-4)
    peak = np.abs(weight).max(axis=1)
    assert (steps["loud"] >= peak / LARGEST).all()
    assert (steps["quiet"] <= peak).all()


@pytest.mark.parametrize(
    ("counts", "bits"), [([1, 1], 2), ([4, 2, 1, 1], 14), ([8, 8, 8, 8], 64), ([100, 1, 1], 104)]
)
def test_a_huffman_code_is_as_long_as_by_hand(counts: list[int], bits: int) -> None:
    assert huffman(counts) == bits
