"""The numpy engine against its definitions in double precision, and the choice between engines."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umx import kernels
from umx.kernels import blas
from umx.kernels.layers import Linear, LstmLayer
from umx.kernels.reference import Numpy, sigmoid

ENGINE = Numpy()
sizes = st.integers(1, 9)


def matrix(rng: np.random.Generator, outputs: int, inputs: int) -> Linear:
    weight = rng.integers(-127, 128, (outputs, inputs), np.int8)
    scale = rng.uniform(0.001, 0.02, outputs).astype(np.float32)
    return Linear(weight, scale, rng.standard_normal(outputs).astype(np.float32))


def exact(x: np.ndarray, layer: Linear) -> np.ndarray:
    return x.astype(float) @ layer.weight.T.astype(float) * layer.scale + layer.bias


@given(rows=sizes, inputs=sizes, outputs=sizes, seed=st.integers(0, 999))
def test_linear(rows: int, inputs: int, outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, inputs)).astype(np.float32)
    layer = matrix(rng, outputs, inputs)
    expected = exact(x, layer)
    for activation, function in [
        ("none", lambda y: y),
        ("tanh", np.tanh),
        ("relu", lambda y: np.maximum(y, 0)),
    ]:
        result = ENGINE.linear(x, ENGINE.pack(layer), activation)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, function(expected), atol=1e-5)


@given(st.floats(width=32, allow_nan=False))
def test_sigmoid_takes_any_number(x: float) -> None:
    with np.errstate(all="raise", under="ignore"):
        y = sigmoid(np.array([x], np.float32))
    assert y.dtype == np.float32
    expected = 1 / (1 + np.exp(-np.clip(x, -500, 500)))
    assert y[0] == pytest.approx(expected, abs=1e-6)


def lstm(
    x: np.ndarray, layer: LstmLayer, state: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """torch.nn.LSTM's formulas, frame by frame, forward."""
    (h, c), out = state, []
    for frame in np.moveaxis(x, 1, 0):
        recurrent = h @ (layer.recurrent.weight.T * layer.recurrent.scale.astype(float))
        i, f, g, o = np.split(exact(frame, layer.input) + recurrent, 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        out.append(h)
    return np.stack(out, axis=1) if out else np.empty((len(x), 0, h.shape[1])), (h, c)


@given(
    sequences=sizes,
    frames=st.integers(0, 9),
    inputs=sizes,
    width=sizes,
    reverse=st.booleans(),
    seed=st.integers(0, 999),
)
def test_lstm(
    sequences: int, frames: int, inputs: int, width: int, reverse: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((sequences, frames, inputs)).astype(np.float32)
    layer = LstmLayer(matrix(rng, 4 * width, inputs), matrix(rng, 4 * width, width))
    h, c = rng.uniform(-1, 1, (2, sequences, width)).astype(np.float32)
    # The engine writes one direction beside the other's output, which it leaves alone.
    both = np.full((sequences, frames, 3 * width), 7, np.float32)
    after = ENGINE.lstm(x, layer, (h, c), reverse, both[..., width : 2 * width])
    order = slice(None, None, -1 if reverse else 1)
    expected, expected_after = lstm(x[:, order], layer, (h, c))
    np.testing.assert_allclose(both[..., width : 2 * width], expected[:, order], atol=1e-5)
    np.testing.assert_allclose(after[0], expected_after[0], atol=1e-5)
    np.testing.assert_allclose(after[1], expected_after[1], atol=1e-5)
    assert (both[..., :width] == 7).all()
    assert (both[..., 2 * width :] == 7).all()


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal((*shape, 2)).astype(np.float32).view(np.complex64)[..., 0]


def wiener(masks: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """The filter's formulas, bin by bin."""
    level = max(1, np.abs(mixture).max() / 10)
    x = mixture.astype(complex) / level
    y = masks * x
    out = np.zeros_like(y)
    targets, frames, channels, bins = y.shape
    for b in range(bins):
        spatial = []
        for j in range(targets):
            power = (np.abs(y[j, :, :, b]) ** 2).mean(axis=1)
            total = sum(np.outer(frame, frame.conj()) for frame in y[j, :, :, b])
            spatial.append(total / (power.sum() + 1e-10))
        for t in range(frames):
            parts = [
                (np.abs(y[j, t, :, b]) ** 2).mean() * spatial[j] for j in range(targets)
            ]  # covariance of each target in this bin
            inverse = np.linalg.inv(sum(parts) + 1e-5 * np.eye(channels))
            for j in range(targets):
                out[j, t, :, b] = parts[j] @ inverse @ x[t, :, b] * level
    return out


@pytest.mark.parametrize("loudness", [0.5, 1, 300])
@pytest.mark.parametrize("targets", [2, 4])
def test_wiener(targets: int, loudness: float) -> None:
    rng = np.random.default_rng(targets)
    mixture = np.complex64(loudness) * noise(rng, 7, 2, 5)
    masks = rng.uniform(0, 1, (targets, 7, 2, 5)).astype(np.float32)
    (result,) = ENGINE.wiener(masks, mixture)
    expected = wiener(masks, mixture)
    assert result.dtype == np.complex64
    assert np.linalg.norm(result - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("loudness", [1, 300, 1e6])
@pytest.mark.parametrize("ratio", [1, -1, 0.7, 0.3 + 0.4j, 1e-3, 0])
@pytest.mark.parametrize("heard", [1, 4])
@pytest.mark.parametrize("targets", [1, 4])
@pytest.mark.parametrize("frames", [1, 40])
def test_wiener_of_channels_that_hold_the_same(
    frames: int, targets: int, heard: int, ratio: complex, loudness: float
) -> None:
    """As in mono songs, one side of which may be silent; all but some of the targets may be, too."""
    rng = np.random.default_rng(targets)
    left = np.complex64(loudness) * noise(rng, frames, 1, 20)
    mixture = np.concatenate([left, np.complex64(ratio) * left], axis=1)
    masks = np.repeat(rng.uniform(0, 1, (targets, frames, 1, 20)), 2, axis=2).astype(np.float32)
    masks[heard:] = 0
    expected = wiener(masks, mixture)
    (result,) = ENGINE.wiener(masks, mixture)
    assert np.linalg.norm(result - expected) < 1e-4 * np.linalg.norm(expected)
    # Masks that differ by next to nothing, as those of one song's two sides do.
    masks *= 1 + np.float32(1e-4) * rng.standard_normal(masks.shape, np.float32)
    expected = wiener(masks, mixture)
    (result,) = ENGINE.wiener(masks, mixture)
    assert np.linalg.norm(result - expected) < 0.02 * np.linalg.norm(expected)


def test_not_a_number_stays_in_its_bin() -> None:
    rng = np.random.default_rng(6)
    mixture, masks = 300 * noise(rng, 7, 2, 5), rng.uniform(0, 1, (3, 7, 2, 5)).astype(np.float32)
    (expected,) = ENGINE.wiener(masks, mixture)
    mixture[4, 1, 2] = np.nan
    with np.errstate(invalid="ignore"):
        (result,) = ENGINE.wiener(masks, mixture)
    np.testing.assert_array_equal(np.delete(result, 2, -1), np.delete(expected, 2, -1))


def test_complete_estimates_share_what_a_source_more_and_they_leave() -> None:
    rng = np.random.default_rng(5)
    mixture = 3 * noise(rng, 50, 2, 8)
    masks = rng.uniform(0, 0.5, (3, 50, 2, 8)).astype(np.float32)
    beside = wiener(np.concatenate([masks, 1 - masks.sum(axis=0, keepdims=True)]), mixture)[:3]
    left = mixture - beside.sum(axis=0)
    assert np.linalg.norm(left) > 0.1 * np.linalg.norm(mixture)
    expected = beside + masks / masks.sum(axis=0) * left
    (complete,) = ENGINE.wiener(masks, mixture, complete=True)
    assert np.linalg.norm(complete - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("loudness", [1e-6, 1, 1e6])
@pytest.mark.parametrize("most", [0, 1e-4, 1, 3])
def test_complete_estimates_sum_to_the_mixture(most: float, loudness: float) -> None:
    rng = np.random.default_rng(5)
    mixture = np.complex64(loudness) * noise(rng, 50, 2, 8)
    masks = rng.uniform(0, most, (3, 50, 2, 8)).astype(np.float32)
    (estimates,) = ENGINE.wiener(masks, mixture, complete=True)
    total = estimates.sum(axis=0)
    assert np.linalg.norm(total - mixture) < 1e-5 * np.linalg.norm(mixture)


@pytest.mark.parametrize("masks", [0, 1])
def test_wiener_of_silence_is_finite(masks: float) -> None:
    with np.errstate(all="raise", under="ignore"):
        (estimates,) = ENGINE.wiener(
            np.full((4, 5, 2, 3), masks, np.float32), np.zeros((5, 2, 3), np.complex64)
        )
    assert np.abs(estimates).max() < 1e-3


def test_magnitude() -> None:
    spectrum = np.array([3 + 4j, 0, -1e-20j, 3e30 + 4e30j], np.complex64)
    result = ENGINE.magnitude(spectrum)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [5, 0, 1e-20, 5e30], rtol=1e-6)


def test_peaks() -> None:
    audio = np.array([[1, -3, 2, np.nan, 0], [0, 2, -5, np.nan, 0.5]], np.float32)
    assert ENGINE.peaks(audio, 2).tolist() == [3, 5, 0.5]
    assert ENGINE.peaks(audio[:, 3:4], 2).tolist() == [0]
    assert ENGINE.peaks(audio[:, :0], 2).tolist() == []


class Broken(Numpy):
    """An engine of which one part gives wrong results, as some browsers' do."""

    name = "broken"

    def __init__(self, part: str, factor: float):
        self.part, self.factor = part, np.float32(factor)

    def linear(self, *arguments):
        y = super().linear(*arguments)
        return y * self.factor if self.part == "linear" else y

    def lstm(self, x, layer, state, reverse, out):
        after = super().lstm(x, layer, state, reverse, out)
        if self.part == "lstm":
            out *= self.factor
        return after

    def magnitude(self, spectrum):
        y = super().magnitude(spectrum)
        return y * self.factor if self.part == "magnitude" else y

    def wiener(self, masks, mixture, complete=False):
        (y,) = super().wiener(masks, mixture, complete)
        yield y * self.factor if self.part == "wiener" else y

    def spectrum(self, padded, n_fft, hop):
        y = super().spectrum(padded, n_fft, hop)
        return y * np.complex64(self.factor) if self.part == "spectrum" else y

    def overlap_add(self, spectra, signal, n_fft, hop, start):
        factor = np.complex64(self.factor if self.part == "overlap_add" else 1)
        super().overlap_add(spectra * factor, signal, n_fft, hop, start)

    def to_int16(self, audio):
        factor = np.float32(self.factor if self.part == "to_int16" else 1)
        return super().to_int16(audio * factor)

    def peaks(self, audio, step):
        y = super().peaks(audio, step)
        return y * self.factor if self.part == "peaks" else y


@pytest.mark.parametrize(
    "part",
    ["linear", "lstm", "magnitude", "wiener", "spectrum", "overlap_add", "to_int16", "peaks"],
)
@pytest.mark.parametrize("factor", [1.05, 0.5, 0, np.nan, np.inf])
def test_wrong_results_are_noticed(part: str, factor: float) -> None:
    with np.errstate(all="ignore"):
        assert not kernels.agree(Broken(part, factor), ENGINE)
    assert kernels.agree(Broken(part, 1.0001), ENGINE)


def test_the_first_engine_that_is_right_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Numpy:
        raise OSError("no such library")

    right = Broken("nothing", 1)
    for candidates, chosen in [
        ((lambda: right, missing), right),
        ((missing, lambda: right), right),
        ((lambda: Broken("wiener", 2), lambda: right), right),
    ]:
        monkeypatch.setattr(kernels, "candidates", lambda threads, given=candidates: given)
        assert kernels.choose() is chosen
    monkeypatch.setattr(kernels, "candidates", lambda threads: (missing, missing))
    assert type(kernels.choose()) is Numpy


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(blas, "LIBRARY", tmp_path / "libopenblas.so")
    with pytest.raises(OSError, match="libopenblas"):
        blas.OpenBlas()
