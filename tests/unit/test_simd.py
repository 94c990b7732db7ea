"""The WebAssembly kernel against the numpy reference: random and extreme shapes and values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from side_module import SideModule

from umx.format.library import find_model, load_model
from umx.kernels.layers import Linear, LstmLayer
from umx.kernels.reference import Numpy
from umx.kernels.simd import Simd
from umx.separator import Separator

REFERENCE = Numpy()
SIMD = Simd(SideModule(pages=4096))
FEW = settings(max_examples=40, deadline=None)


def layer(rng: np.random.Generator, outputs: int, inputs: int, gain: float = 1.0) -> Linear:
    weight = rng.integers(-127, 128, (outputs, inputs), np.int8)
    scale = rng.uniform(0.5, 1.5, outputs).astype(np.float32) * np.float32(gain / 70 / inputs**0.5)
    return Linear(weight, scale, rng.standard_normal(outputs).astype(np.float32))


def error(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Of the norms, so that it can be put in decibels."""
    truth = truth.astype(np.complex128)
    return float(np.linalg.norm(estimate - truth) / max(np.linalg.norm(truth), 1e-30))


def filtered(
    engine: Numpy, masks: np.ndarray, mixture: np.ndarray, complete: bool = False
) -> np.ndarray:
    return np.concatenate(list(engine.wiener(masks, mixture, complete)), axis=1)


def both(x: np.ndarray, matrix: Linear, activation: str) -> tuple[np.ndarray, np.ndarray]:
    return (
        SIMD.linear(x, SIMD.pack(matrix), activation),
        REFERENCE.linear(x, REFERENCE.pack(matrix), activation),
    )


@FEW
@given(
    st.integers(1, 140), st.integers(1, 70), st.integers(1, 40),
    st.sampled_from(["none", "tanh", "relu"]), st.integers(0, 99),
)  # fmt: skip
def test_linear_of_any_shape(rows, inputs, outputs, activation, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, inputs)).astype(np.float32)
    matrix = layer(rng, outputs, inputs)
    result, expected = both(x, matrix, activation)
    assert result.shape == expected.shape
    # Against what is summed up: a sum may happen to be next to nothing.
    terms = abs(x) @ abs(matrix.weight * matrix.scale[:, None]).T + abs(matrix.bias)
    assert np.linalg.norm(result - expected) < 2e-4 * np.linalg.norm(terms)


@pytest.mark.parametrize("inputs", [512, 1024, 2048, 2974, 4096])
def test_sums_never_overflow(inputs):
    x = np.full((5, inputs), 3.0, np.float32)
    for sign in (-1, 1):
        weight = np.full((9, inputs), sign * 127, np.int8)
        matrix = Linear(weight, np.ones(9, np.float32), np.zeros(9, np.float32))
        result, expected = both(x, matrix, "none")
        np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_rows_have_scales_of_their_own():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, 64)).astype(np.float32)
    x *= np.array([1e-20, 1e-6, 1, 1e6, 1e20, 0], np.float32)[:, None]
    matrix = layer(rng, 16, 64)._replace(bias=np.zeros(16, np.float32))
    result, expected = both(x, matrix, "none")
    for row in range(5):
        assert error(result[row], expected[row]) < 1e-4
    assert not result[5].any()


def test_denormals_count_as_silence():
    x = np.full((2, 32), 1e-42, np.float32)
    matrix = layer(np.random.default_rng(2), 8, 32)
    result, _ = both(x, matrix, "none")
    np.testing.assert_array_equal(result, np.tile(matrix.bias, (2, 1)))


@pytest.mark.parametrize("place", [7, 48, 49])
def test_not_a_number_counts_as_zero(place):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((9, 50)).astype(np.float32)
    clean = x.copy()
    x[4, place], clean[4, place] = np.nan, 0
    matrix = SIMD.pack(layer(rng, 12, 50))
    np.testing.assert_array_equal(
        SIMD.linear(x, matrix, "tanh"), SIMD.linear(clean, matrix, "tanh")
    )


@FEW
@given(
    st.integers(1, 7), st.integers(1, 40), st.integers(1, 20), st.integers(1, 21),
    st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_lstm_of_any_shape(sequences, frames, inputs, width, reverse, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((sequences, frames, inputs)).astype(np.float32)
    state = tuple(rng.uniform(-1, 1, (2, sequences, width)).astype(np.float32))
    recurrent = layer(rng, 4 * width, width)._replace(bias=np.zeros(4 * width, np.float32))
    matrices = LstmLayer(layer(rng, 4 * width, inputs), recurrent)
    results = []
    for engine in (SIMD, REFERENCE):
        whole = np.full((sequences, frames, 3 * width), 7, np.float32)
        out = whole[..., width : 2 * width]
        packed = LstmLayer(*(engine.pack(m) for m in matrices))
        h, c = engine.lstm(x, packed, state, reverse, out)
        assert (whole[..., :width] == 7).all() and (whole[..., 2 * width :] == 7).all()
        results.append((out, h, c))
    for result, expected in zip(*results, strict=True):
        np.testing.assert_allclose(result, expected, atol=3e-4)


def test_lstm_leaves_the_state_it_was_given():
    rng = np.random.default_rng(4)
    start = np.ones((2, 8), np.float32)
    matrices = LstmLayer(SIMD.pack(layer(rng, 32, 8)), SIMD.pack(layer(rng, 32, 8)))
    SIMD.lstm(
        np.ones((2, 3, 8), np.float32),
        matrices,
        (start, start),
        False,
        np.empty((2, 3, 8), np.float32),
    )
    assert (start == 1).all()


def test_more_sequences_than_the_kernel_takes_are_refused():
    matrices = LstmLayer(*(SIMD.pack(layer(np.random.default_rng(4), 4, 1)) for _ in range(2)))
    for count in (0, 129):
        x, start = np.ones((count, 1, 1), np.float32), np.zeros((count, 1), np.float32)
        with pytest.raises(ValueError, match=f"1 to 128 sequences at a time, not {count}"):
            SIMD.lstm(x, matrices, (start, start), False, x.copy())


def test_activations_are_as_close_as_they_claim():
    """Layers without weights give what activations make of their biases."""
    x = np.concatenate([np.linspace(-10, 10, 1999), [-1e30, 1e30]]).astype(np.float32)
    width = len(x)

    def layer(biases):
        weight = np.zeros((len(biases), 1), np.int8)
        return SIMD.pack(Linear(weight, np.zeros(len(biases), np.float32), biases))

    nothing = np.zeros((1, 1), np.float32)
    result = SIMD.linear(nothing, layer(x), "tanh")[0]
    assert np.abs(result - np.tanh(x.astype(float))).max() < 2e-6

    # A forget gate before a cell that holds 1.
    zeros, ones = np.zeros((1, width), np.float32), np.ones((1, width), np.float32)
    gates = layer(np.concatenate([zeros[0], x, zeros[0], zeros[0]]))
    recurrent = SIMD.pack(Linear(np.zeros((4 * width, width), np.int8), gates.scale, gates.scale))
    out = np.empty((1, 1, width), np.float32)
    matrices = LstmLayer(gates, recurrent)
    _, cell = SIMD.lstm(nothing[np.newaxis], matrices, (zeros, ones), False, out)
    wanted = 0.5 + 0.5 * np.tanh(0.5 * x.astype(float))
    assert np.abs(cell[0] - wanted).max() < 1e-6


def test_gates_saturate_at_both_ends():
    weight = np.eye(4, dtype=np.int8).repeat(4, 0) * 100
    x = np.array([[[300, -300, 20, 0]]], np.float32)
    matrices = LstmLayer(
        Linear(weight, np.ones(16, np.float32), np.zeros(16, np.float32)),
        Linear(np.zeros((16, 4), np.int8), np.ones(16, np.float32), np.zeros(16, np.float32)),
    )
    results = []
    for engine in (SIMD, REFERENCE):
        out = np.empty((1, 1, 4), np.float32)
        state = (np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32))
        engine.lstm(x, LstmLayer(*(engine.pack(m) for m in matrices)), state, False, out)
        results.append(out)
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)


def test_packed_weights_stay_8_bit():
    shapes = [(1024, 2974), (2048, 1024), (2048, 512), (1024, 2048), (4098, 1024)]
    layers = [layer(np.random.default_rng(5), *shape) for shape in shapes]
    packed = [SIMD.pack(matrix) for matrix in layers]
    # What views are of counts, too.
    owners = [part if part.base is None else part.base for matrix in packed for part in matrix]
    size = sum(owner.nbytes for owner in {id(owner): owner for owner in owners}.values())
    assert size < 1.01 * sum(matrix.weight.nbytes for matrix in layers)


def test_pack_refuses_floats():
    with pytest.raises(TypeError, match="8-bit"):
        SIMD.pack(
            Linear(np.zeros((4, 4), np.float32), np.ones(4, np.float32), np.zeros(4, np.float32))
        )


@FEW
@given(st.integers(1, 50), st.integers(0, 99))
def test_magnitude(count, seed):
    rng = np.random.default_rng(seed)
    z = (rng.standard_normal((2, count)) + 1j * rng.standard_normal((2, count))).astype(
        np.complex64
    )
    np.testing.assert_allclose(SIMD.magnitude(z), np.abs(z), rtol=1e-6)


@FEW
@given(
    st.integers(1, 5), st.integers(6, 130), st.integers(1, 140), st.sampled_from([1e-6, 1, 300]),
    st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_wiener_of_any_shape(targets, frames, bins, level, complete, seed):
    rng = np.random.default_rng(seed)
    masks = rng.uniform(0, 1, (targets, frames, 2, bins)).astype(np.float32)
    mixture = rng.standard_normal((frames, 2, bins)) + 1j * rng.standard_normal((frames, 2, bins))
    mixture = (level * mixture).astype(np.complex64)
    mixture[:, 0, ::5] = 0
    mixture[:, :, ::7] = 0
    result = filtered(SIMD, masks, mixture, complete)
    assert error(result, filtered(REFERENCE, masks, mixture, complete)) < 1e-3
    if complete:
        assert error(result.sum(axis=0), mixture) < 1e-5


@FEW
@given(
    st.sampled_from([1, -1, 0.7, 0.3 + 0.4j, 1e-3, 0]), st.integers(1, 4), st.integers(1, 4),
    st.integers(1, 40), st.sampled_from([1, 300, 1e6]), st.integers(0, 99),
)  # fmt: skip
def test_wiener_of_channels_that_hold_the_same(ratio, targets, heard, frames, level, seed):
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((frames, 1, 20)) + 1j * rng.standard_normal((frames, 1, 20))
    mixture = np.concatenate([left, ratio * left], axis=1)
    mixture = (level * mixture).astype(np.complex64)
    masks = np.repeat(rng.uniform(0, 1, (targets, frames, 1, 20)), 2, axis=2).astype(np.float32)
    masks[heard:] = 0
    result, expected = filtered(SIMD, masks, mixture), filtered(REFERENCE, masks, mixture)
    assert error(result, expected) < 1e-4
    masks *= 1 + np.float32(1e-4) * rng.standard_normal(masks.shape, np.float32)
    result, expected = filtered(SIMD, masks, mixture), filtered(REFERENCE, masks, mixture)
    assert error(result, expected) < 0.05


def test_not_a_number_is_not_passed_on() -> None:
    rng = np.random.default_rng(6)
    mixture = (300 * rng.standard_normal((40, 2, 12, 2))).astype(np.float32)
    mixture = mixture.view(np.complex64)[..., 0]
    masks = rng.uniform(0, 1, (3, 40, 2, 12)).astype(np.float32)
    expected = filtered(SIMD, masks, mixture)
    # Last, so that every number before would be forgotten.
    mixture[-1, -1, -1] = np.nan
    result = filtered(SIMD, masks, mixture)
    np.testing.assert_array_equal(result[..., :-1], expected[..., :-1])
    np.testing.assert_allclose(SIMD.magnitude(mixture), np.abs(mixture), rtol=1e-6)

    song = rng.standard_normal((2, 8 * 16 + 64), np.float32)
    expected = SIMD.spectrum(song, 64, 16)
    song[1, 80] = np.nan
    spectrum = SIMD.spectrum(song, 64, 16)
    touched = np.isnan(REFERENCE.spectrum(song, 64, 16)).any(axis=(1, 2))
    assert touched.sum() == 4
    np.testing.assert_array_equal(spectrum[~touched], expected[~touched])
    assert np.isnan(spectrum[touched]).all(axis=(1, 2)).all()


@pytest.mark.parametrize("n_fft", [8, 16, 64, 128, 4096])
@pytest.mark.parametrize("frames", [1, 4, 6])
def test_spectrum_there_and_back(n_fft: int, frames: int) -> None:
    hop = n_fft // 4
    song = np.random.default_rng(n_fft).standard_normal((2, 2 * n_fft + frames * hop))
    padded = song.astype(np.float32)[
        :, hop : hop + n_fft + (frames - 1) * hop
    ]  # a view, as of a window
    spectra = SIMD.spectrum(padded, n_fft, hop)
    expected = REFERENCE.spectrum(padded, n_fft, hop)
    assert spectra.shape == expected.shape
    assert error(spectra, expected) < 1e-6

    signals = []
    for engine in (SIMD, REFERENCE):
        signal = np.ones((2, padded.shape[1] + 3 * hop), np.float32)
        engine.overlap_add(spectra, signal, n_fft, hop, 2)
        signals.append(signal)
    assert error(*signals) < 1e-6


def test_the_inverse_drops_what_no_real_signal_has() -> None:
    spectra = np.full((1, 2, 5), 1 + 1j, np.complex64)
    signals = []
    for engine in (SIMD, REFERENCE):
        signals.append(np.zeros((2, 8), np.float32))
        engine.overlap_add(spectra, signals[-1], 8, 2, 0)
    np.testing.assert_allclose(*signals, atol=1e-6)


def test_odd_transforms_are_the_reference() -> None:
    audio = np.random.default_rng(5).standard_normal((2, 100)).astype(np.float32)
    result = SIMD.spectrum(audio, 12, 4)
    np.testing.assert_array_equal(result, REFERENCE.spectrum(audio, 12, 4))
    signals = np.zeros((2, 2, 100), np.float32)
    SIMD.overlap_add(result, signals[0], 12, 4, 0)
    REFERENCE.overlap_add(result, signals[1], 12, 4, 0)
    np.testing.assert_array_equal(*signals)


def test_stems_of_the_embedded_model_are_the_references() -> None:
    rng = np.random.default_rng(8)
    t = np.arange(5 * 44100) / 44100
    beat = np.exp(-20 * (t % 0.5)) * rng.standard_normal(len(t))
    chords = sum(np.sin(2 * np.pi * f * t) for f in (110, 220, 277, 330, 440))
    mixture = np.stack([0.3 * beat + 0.1 * chords, 0.2 * beat + 0.12 * chords]).astype(np.float32)
    model = load_model(find_model("umx-mini"))
    result, expected = (Separator(model, e).separate(mixture) for e in (SIMD, REFERENCE))
    # Of the mixture: whose these sines are is a close call, which rounding sways more than it does in music.
    limit = 10 ** (-50 / 20) * np.linalg.norm(mixture)
    for stem, reference in zip(result, expected, strict=True):
        assert np.linalg.norm(stem - reference) < limit


EXTREMES = [np.nan, np.inf, -np.inf, 1.0, -1.0, 1 - 2**-16, 1 + 2**-15, -1 - 2**-15, 1e-42, 3e38]


@FEW
@given(st.integers(0, 40), st.integers(1, 15), st.integers(1, 2), st.integers(0, 99))
def test_samples_and_peaks_of_any_length(samples, step, channels, seed):
    rng = np.random.default_rng(seed)
    whole = rng.normal(0, 0.7, (channels, samples + 3)).astype(np.float32)
    whole[rng.random(whole.shape) < 0.2] = rng.choice(np.array(EXTREMES, np.float32))
    audio = whole[:, 1 : samples + 1]  # of which left and right are not side by side
    found, expected = SIMD.to_int16(audio), REFERENCE.to_int16(audio)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]
    np.testing.assert_array_equal(SIMD.peaks(audio, step), REFERENCE.peaks(audio, step))
