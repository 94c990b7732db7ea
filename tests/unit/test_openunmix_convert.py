"""Open-Unmix's checkpoints: what they are of, folded into fewer layers, as integers of fewer bits."""

import numpy as np
import pytest

from tests.checkpoints import GOLDEN_NETWORK, golden_state, random_state
from umx.errors import ConvertError
from umx.format.quantising import PRESETS
from umx.format.safetensors import DTYPES
from umx.models.openunmix.convert import (
    coarse,
    describe,
    fold,
    mean_inputs,
    quantize,
    recognises,
    tensors,
)
from umx.models.openunmix.network import shapes

State = dict[str, np.ndarray]
SIGNAL = {"n_fft": 128, "hop": 32}


@pytest.fixture(scope="module")
def state() -> State:
    return golden_state("vocals")


@pytest.fixture(scope="module")
def folded(state: State) -> State:
    return fold(state)


def norm(state: State, name: str, x: np.ndarray) -> np.ndarray:
    """torch.nn.BatchNorm1d in evaluation."""
    spread = np.sqrt(state[f"{name}.running_var"] + 1e-5)
    x = (x - state[f"{name}.running_mean"]) / spread
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def layer(tensors: State, name: str, x: np.ndarray) -> np.ndarray:
    """One of our linear layers on rows, in double precision."""
    weight = tensors[f"{name}.weight"].astype(float)
    return x @ weight.T * tensors[f"{name}.scale"] + tensors.get(f"{name}.bias", 0.0)


def error(ours: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


def test_folded_layers_equal_the_reference_s(state: State, folded: State) -> None:
    exact = {key: value.astype(float) for key, value in state.items()}
    rng = np.random.default_rng(1)
    channels = 2
    x = rng.uniform(0, 30, (5, channels, len(exact["input_mean"])))
    hidden = rng.uniform(-1, 1, (5, exact["fc2.weight"].shape[1]))
    encoded = rng.uniform(0, 1, (5, exact["fc3.weight"].shape[1]))

    shifted = (x + exact["input_mean"]) * exact["input_scale"]
    fc1 = norm(exact, "bn1", shifted.reshape(5, -1) @ exact["fc1.weight"].T)
    fc2 = norm(exact, "bn2", hidden @ exact["fc2.weight"].T)
    fc3 = norm(exact, "bn3", encoded @ exact["fc3.weight"].T).reshape(5, channels, -1)
    fc3 = fc3 * exact["output_scale"] + exact["output_mean"]

    assert error(layer(folded, "fc1", (x * folded["input_scale"]).reshape(5, -1)), fc1) < 1e-6
    assert error(layer(folded, "fc2", hidden), fc2) < 1e-6
    assert error(layer(folded, "fc3", encoded), fc3.reshape(5, -1)) < 1e-6


def test_a_checkpoint_tells_its_network(state: State) -> None:
    network = describe(state, **SIGNAL)
    assert network == GOLDEN_NETWORK


def test_any_of_its_tensors_tells_an_open_unmix(state: State) -> None:
    assert recognises(state)
    for key in state:
        assert recognises({key: state[key]})
    assert not recognises({"encoder.weight": state["fc1.weight"], "fc": state["fc1.weight"]})
    assert not recognises({})


def test_a_state_is_emptied_while_it_is_converted(state: State) -> None:
    given = dict(state)
    made = tensors(given, describe(state, **SIGNAL), "web")
    assert given == {}
    expected = quantize(fold(state), "web", mean_inputs(state))
    assert made.keys() == expected.keys()
    for name, tensor in made.items():
        np.testing.assert_array_equal(tensor, expected[name])


@pytest.mark.parametrize(("direction", "suffix"), [("forward", ""), ("backward", "_reverse")])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_lstm_keeps_its_matrices_and_one_bias(
    state: State, folded: State, number: int, direction: str, suffix: str
) -> None:
    ours, theirs = f"lstm.{number}.{direction}", f"l{number}{suffix}"
    bias = state[f"lstm.bias_ih_{theirs}"] + state[f"lstm.bias_hh_{theirs}"]
    np.testing.assert_array_equal(folded[f"{ours}.input.weight"], state[f"lstm.weight_ih_{theirs}"])
    np.testing.assert_allclose(folded[f"{ours}.input.bias"], bias, rtol=1e-6)
    recurrent = folded[f"{ours}.recurrent.weight"]
    np.testing.assert_array_equal(recurrent, state[f"lstm.weight_hh_{theirs}"])
    assert f"{ours}.recurrent.bias" not in folded


@pytest.mark.parametrize("bidirectional", [True, False])
def test_names_and_shapes_are_those_of_the_file(state: State, bidirectional: bool) -> None:
    if not bidirectional:
        state = {k: v for k, v in state.items() if not k.endswith("_reverse")}
        # A network of one direction has LSTMs as wide as two directions are together.
        half = state["lstm.weight_hh_l0"].shape[1]
        for key in [key for key in state if key.startswith("lstm.")]:
            tile = (2, 2) if "weight_hh" in key else (2,) + (1,) * (state[key].ndim - 1)
            state[key] = np.tile(state[key], tile)
        assert state["lstm.weight_hh_l0"].shape == (8 * half, 2 * half)
    network = describe(state, **SIGNAL)
    assert network.bidirectional is bidirectional
    expected = shapes(network)
    for made in (fold(state), tensors(dict(state), network, "best")):
        found = {name: tensor.shape for name, tensor in made.items()}
        assert found == {name: shape for name, (_, shape) in expected.items()}
    codes = {name: DTYPES[dtype] for name, (dtype, _) in expected.items()}
    assert {name: tensor.dtype for name, tensor in made.items()} == codes


def test_what_lacks_is_named(state: State) -> None:
    needed = [k for k in state if "num_batches" not in k and not k.startswith("lstm.weight_ih")]
    for key in needed:
        with pytest.raises(ConvertError, match=f"'{key}' is missing") as caught:
            fold({k: v for k, v in state.items() if k != key})
        assert caught.value.code == "convert.no-openunmix"


@pytest.mark.parametrize("key", ["fc1.weight", "bn1.weight", "bn3.bias", "output_scale"])
def test_what_does_not_fit_is_said(state: State, key: str) -> None:
    with pytest.raises(ConvertError, match="don't fit together") as caught:
        fold(state | {key: state[key][:-1]})
    assert caught.value.code == "convert.shapes"


def test_quantised_layers_stay_close(folded: State) -> None:
    quantised = quantize(folded, "best")
    rng = np.random.default_rng(3)
    for key in folded:
        if key.endswith(".weight"):
            name = key.removesuffix(".weight")
            x = rng.standard_normal((20, folded[key].shape[1]))
            assert 0 < error(layer(quantised, name, x), layer(folded, name, x)) < 0.01


@pytest.mark.parametrize("preset", PRESETS)
def test_only_matrices_and_their_scales_are_touched(folded: State, preset: str) -> None:
    quantised = quantize(folded, preset)
    assert quantised.keys() == folded.keys()
    for key, value in quantised.items():
        if key.endswith(".weight"):
            assert value.dtype == np.int8
            assert np.abs(value.astype(int)).max() <= 127
        elif not key.endswith(".scale"):
            np.testing.assert_array_equal(value, folded[key])


@pytest.fixture(scope="module")
def wide() -> State:
    """A state whose network is large enough for steps to be chosen well."""
    return random_state(128, 257, 187)


@pytest.fixture(scope="module")
def wide_folded(wide: State) -> State:
    return fold(wide)


@pytest.mark.parametrize("name", ["fc1", "fc2", "lstm.1.forward.recurrent"])
def test_rows_with_a_larger_scale_have_smaller_steps(wide_folded: State, name: str) -> None:
    steps = coarse(wide_folded, 3.0)[name]
    error = steps * np.abs(wide_folded[f"{name}.scale"])
    np.testing.assert_allclose(error, np.median(error), rtol=1e-4)


def test_loud_bins_have_smaller_steps(wide_folded: State) -> None:
    steps = coarse(wide_folded, 3.0)["fc3"]
    peak = np.abs(wide_folded["fc3.weight"]).max(axis=1)
    free = (steps > 1.01 * peak / 127) & (
        steps < 0.99 * peak
    )  # neither at its least nor at its most
    assert free.mean() > 0.9
    loudness = np.tile(np.pad(1 / wide_folded["input_scale"], (0, 257 - 187), "edge"), 2)
    error = (steps * np.abs(wide_folded["fc3.scale"]) * np.sqrt(loudness))[free]
    np.testing.assert_allclose(error, np.median(error), rtol=1e-4)


def test_biases_make_up_for_rounding_at_the_average_input(wide: State, wide_folded: State) -> None:
    means = mean_inputs(wide)
    plain, mended = quantize(wide_folded, "web"), quantize(wide_folded, "web", means)
    for name, mean in means.items():
        outputs = [
            t[f"{name}.scale"] * (t[f"{name}.weight"].astype(float) @ mean) + t[f"{name}.bias"]
            for t in (wide_folded, plain, mended)
        ]
        assert np.abs(outputs[1] - outputs[0]).max() > 1e-3
        np.testing.assert_allclose(outputs[2], outputs[0], atol=1e-4)


def test_average_inputs_are_those_of_the_layers(wide: State) -> None:
    means = mean_inputs(wide)
    np.testing.assert_allclose(
        means["fc1"], 1, rtol=1e-5
    )  # what `random_state` scales its inputs to
    rng = np.random.default_rng(5)
    normed = rng.standard_normal((20000, 128)) * wide["bn2.weight"] + wide["bn2.bias"]
    np.testing.assert_allclose(means["fc3"], np.maximum(normed, 0).mean(axis=0), atol=0.03)
