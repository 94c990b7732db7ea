"""HTDemucs's WebAssembly kernels against their numpy reference: odd and extreme shapes and values."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from side_module import SideModule

from tests.htdemucs import signal as music
from tests.htdemucs import state
from umx.kernels.htdemucs import Matrix, Norm, Reference, Residual, erf, gelu
from umx.kernels.htdemucs_simd import LEVELS, Simd
from umx.kernels.reference import Numpy
from umx.models.htdemucs.description import Network
from umx.models.htdemucs.fold import fold
from umx.models.htdemucs.network import Arena, Forward
from umx.models.htdemucs.quantize import quantize

REFERENCE = Reference(Numpy().product)
SIMD = Simd(SideModule(4096, "htdemucs"))
NETWORK = Network(4, 8, 32, 3, 4, 64, 44100, 16)
FEW = settings(max_examples=40, deadline=None)
eights = st.integers(1, 9).map(lambda count: 8 * count)
seeds = st.integers(0, 99)


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def matrix(rng: np.random.Generator, outputs: int, inputs: int) -> Matrix:
    weight = rng.integers(-LEVELS, LEVELS + 1, (outputs, inputs), np.int16)
    scale = rng.uniform(0.5, 1.5, outputs) / LEVELS / inputs**0.5
    return Matrix(weight, scale.astype(np.float32), floats(rng, outputs))


def norm(rng: np.random.Generator, width: int) -> Norm:
    return Norm(floats(rng, width), floats(rng, width))


def noise(result: np.ndarray, expected: np.ndarray) -> float:
    """In decibels below what is expected."""
    expected = expected.astype(float)
    error = np.linalg.norm(result - expected)
    return float(20 * np.log10(max(error, 1e-60) / max(np.linalg.norm(expected), 1e-30)))


@FEW
@given(
    st.integers(1, 5), st.integers(1, 140), st.sampled_from([1, 3]), eights, eights,
    st.sampled_from(["write", "gelu", "glu", "add", "gelu_add"]), seeds,
)  # fmt: skip
def test_product_of_any_shape(outer, inner, pieces, piece, outputs, then, seed):
    rng = np.random.default_rng(seed)
    # Rows overlap, as those of convolutions do, and what they go into has gaps.
    array = floats(rng, outer + pieces - 1, inner + piece // 8, 8)
    row, place, item = array.strides
    rows = np.lib.stride_tricks.as_strided(
        array, (outer, inner, pieces, piece), (row, place, row, item)
    )
    weights = matrix(rng, outputs, pieces * piece)
    written = outputs // 2 if then == "glu" else outputs
    whole = floats(rng, outer, inner, written + 3)
    results = []
    for kernels in (SIMD, REFERENCE):
        out = whole.copy()
        kernels.product(rows, kernels.pack(weights, then == "glu"), then, out[..., 1:-2])
        np.testing.assert_array_equal(out[..., 0], whole[..., 0])
        np.testing.assert_array_equal(out[..., -2:], whole[..., -2:])
        results.append(out[..., 1:-2])
    assert noise(*results) < -60


@pytest.mark.parametrize("inputs", [8, 128, 136, 3456])
@pytest.mark.parametrize("sign", [-1, 1])
def test_sums_never_overflow(inputs, sign):
    rows = np.full((1, 5, 1, inputs), 3, np.float32)
    weight = np.full((16, inputs), sign * LEVELS, np.int16)
    weights = Matrix(weight, np.ones(16, np.float32), np.zeros(16, np.float32))
    out = np.empty((1, 5, 16), np.float32)
    SIMD.product(rows, SIMD.pack(weights), "write", out)
    np.testing.assert_allclose(out, sign * LEVELS * 3.0 * inputs, rtol=1e-5)


def test_rows_have_scales_of_their_own():
    rng = np.random.default_rng(1)
    rows = floats(rng, 1, 6, 1, 64)
    rows *= np.array([1e-20, 1e-6, 1, 1e6, 1e20, 0], np.float32)[:, None, None]
    weights = matrix(rng, 16, 64)._replace(bias=np.zeros(16, np.float32))
    results = np.empty((2, 1, 6, 16), np.float32)
    for kernels, out in zip((SIMD, REFERENCE), results, strict=True):
        kernels.product(rows, kernels.pack(weights), "write", out)
    for row in range(5):
        assert noise(results[0, 0, row], results[1, 0, row]) < -60
    assert not results[0, 0, 5].any()


def test_not_a_number_counts_as_zero():
    rng = np.random.default_rng(3)
    rows = floats(rng, 1, 9, 1, 48)
    clean = rows.copy()
    rows[0, 4, 0, 7], clean[0, 4, 0, 7] = np.nan, 0
    weights = SIMD.pack(matrix(rng, 16, 48))
    results = np.empty((2, 1, 9, 16), np.float32)
    for given_rows, out in zip((rows, clean), results, strict=True):
        SIMD.product(given_rows, weights, "gelu", out)
    np.testing.assert_array_equal(*results)


def test_pack_refuses_what_the_sums_can_not_hold():
    rng = np.random.default_rng(4)
    weights = matrix(rng, 8, 8)
    with pytest.raises(TypeError, match="16-bit"):
        SIMD.pack(weights._replace(weight=weights.weight.astype(np.float32)))
    with pytest.raises(ValueError, match="4095"):
        SIMD.pack(weights._replace(weight=np.full((8, 8), 4096, np.int16)))


def residual(rng: np.random.Generator, width: int) -> Residual:
    squeezed = width // 8
    return Residual(
        matrix(rng, squeezed, 3 * width), norm(rng, squeezed),
        matrix(rng, 2 * width, squeezed), norm(rng, 2 * width), floats(rng, width),
    )  # fmt: skip


@FEW
@given(st.integers(1, 9), st.integers(1, 300), eights, st.sampled_from([1, 2]), seeds)
def test_dconv_of_any_shape(signals, frames, width, reach, seed):
    rng = np.random.default_rng(seed)
    layer = residual(rng, width)
    # Signals side by side, as the bins of a spectrum are, with other numbers around them.
    whole = floats(rng, frames + 4, signals + 2, width)
    whole[:2] = whole[-2:] = 0
    results = []
    for kernels in (SIMD, REFERENCE):
        x = whole.copy()
        kernels.dconv(x[:, 1:-1].transpose(1, 0, 2), kernels.pack_residual(layer), reach)
        np.testing.assert_array_equal(x[:, 0], whole[:, 0])
        np.testing.assert_array_equal(x[:, -1], whole[:, -1])
        assert not x[:2].any() and not x[-2:].any()
        results.append(x - whole)
    assert noise(*results) < -45


@pytest.mark.parametrize("level", [0, 1e-6, 1e4])
def test_dconv_at_any_level(level):
    rng = np.random.default_rng(5)
    layer = residual(rng, 16)
    whole = np.float32(level) * floats(rng, 1, 104, 16)
    whole[:, :2] = whole[:, -2:] = 0
    results = []
    for kernels in (SIMD, REFERENCE):
        x = whole.copy()
        kernels.dconv(x, kernels.pack_residual(layer), 1)
        results.append(x - whole)
    # Beside a large number, the difference has lost its last digits.
    assert noise(*results) < -45


@FEW
@given(st.integers(1, 40), eights, st.sampled_from([1e-3, 1, 1e3]), seeds)
def test_norms(rows, width, level, seed):
    rng = np.random.default_rng(seed)
    x = (level * (floats(rng, rows, width) + rng.uniform(-3, 3))).astype(np.float32)
    layer = norm(rng, width)
    results = np.empty((2, *x.shape), np.float32)
    for kernels, out in zip((SIMD, REFERENCE), results, strict=True):
        kernels.layer_norm(x, layer, out)
    assert noise(*results) < -80
    for kernels, out in zip((SIMD, REFERENCE), results, strict=True):
        out[:] = x
        kernels.group_norm(out, layer)
    assert noise(*results) < -80


@FEW
@given(
    st.integers(1, 40), st.integers(1, 300), st.sampled_from([8, 16, 48, 64, 128]), st.integers(1, 3),
    st.sampled_from([0.1, 1, 5]), seeds,
)  # fmt: skip
def test_attention_of_any_shape(queries, keys, width, heads, sharpness, seed):
    rng = np.random.default_rng(seed)
    channels = width * heads
    together = floats(
        rng, queries, 3 * channels
    )  # queries lie beside others, as they do in a self-attention
    query = np.float32(sharpness) * together
    pair = floats(rng, keys, 2 * channels)
    results = np.empty((2, queries, channels), np.float32)
    for kernels, out in zip((SIMD, REFERENCE), results, strict=True):
        kernels.attend(query[:, :channels], pair[:, :channels], pair[:, channels:], heads, out)
    assert noise(*results) < -48


def test_small_probabilities_beside_a_large_one():
    """A key that gets nearly all of the attention holds nothing: what is left comes from all the others."""
    rng = np.random.default_rng(6)
    query = np.full((4, 64), 1, np.float32)
    key, value = 0.05 * floats(rng, 1000, 64), floats(rng, 1000, 64) + 1
    key[300] = 9 / 8  # e^9 times the others' probability
    value[300] = 0
    results = np.empty((2, 4, 64), np.float32)
    for kernels, out in zip((SIMD, REFERENCE), results, strict=True):
        kernels.attend(query, key, value, 1, out)
    assert noise(*results) < -48


def test_attention_picks_a_single_key():
    value = floats(np.random.default_rng(7), 200, 8)
    key = np.zeros((200, 8), np.float32)
    key[137] = 100
    out = np.empty((1, 8), np.float32)
    SIMD.attend(np.full((1, 8), 100, np.float32), key, value, 1, out)
    np.testing.assert_allclose(out[0], value[137], atol=2e-3)


@pytest.mark.parametrize("kind", ["normal", "heavy-tailed", "spread"])
def test_stems_of_a_whole_network(kind):
    """Weights as integers, and all that is computed with them, against floats, on a little music."""
    network = replace(NETWORK, segment=8820)
    rng = np.random.default_rng(8)
    folded = {}
    for name, weight in fold(state("four"), network).items():
        if name.endswith(".weight"):
            rows, columns = weight.shape
            if kind == "heavy-tailed":
                weight = weight * np.abs(rng.standard_t(4, weight.shape)) / 1.3
            if kind == "spread":
                for gain, axis in ((0.4, (rows, 1)), (0.2, (1, columns))):
                    gains = 10 ** (gain * rng.standard_normal(axis))
                    weight = weight * gains / np.sqrt(np.mean(gains**2))
        folded[name] = weight.astype(np.float32)
    mixture, engine = music(network.segment), Numpy()
    results = [
        Forward(network, tensors, engine, kernels, Arena(network)).estimate(mixture, range(4))
        for tensors, kernels in ((quantize(folded, "best"), SIMD), (folded, REFERENCE))
    ]
    assert noise(*results) < -45


def test_activations_are_as_close_as_they_claim():
    """Products without weights give what comes after them, of their biases."""
    x = np.concatenate([np.linspace(-10, 10, 1998), [-1e18, 1e18]]).astype(np.float32)
    weights = Matrix(np.zeros((len(x), 8), np.int16), np.zeros_like(x), x)
    out = np.empty((1, 1, len(x)), np.float32)
    SIMD.product(np.zeros((1, 1, 1, 8), np.float32), SIMD.pack(weights), "gelu", out)
    exact = gelu(x)
    assert np.abs(out[0, 0] - exact)[:-2].max() < 2e-5
    np.testing.assert_allclose(out[0, 0, -2:], exact[-2:], rtol=2e-5, atol=1e14)


def test_the_error_function():
    x = np.linspace(-6, 6, 2001).astype(np.float32)
    expected = np.array([math.erf(value) for value in x])
    assert np.abs(erf(x) - expected).max() < 4e-7
