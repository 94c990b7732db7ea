"""What is heard where segments meet: nothing. Sines and sweeps show a click or a dip that noise would hide."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umx import segments
from umx.format.library import Model, find_model, load_model
from umx.kernels.reference import Numpy
from umx.models.openunmix import Estimator
from umx.separator import Separator
from umx.signal.samples import to_int16
from umx.signal.stft import istft, stft
from umx.types import Float

RATE = 44100
CUTTING = Estimator.cutting
FLOOR = 10 ** (-80 / 20)
TARGETS = ("vocals", "drums", "bass", "other")


def sine(samples: int, pitch: float) -> Float:
    """A full-scale tone, (2, samples), a quarter of a turn apart in the two channels."""
    phase = 2 * np.pi * pitch * np.arange(samples) / RATE
    return np.stack([np.sin(phase), np.cos(phase)]).astype(np.float32)


def sweep(samples: int) -> Float:
    """From 20 Hz to 20 kHz, a constant number of octaves a second."""
    time = np.linspace(0, 1, samples)
    phase = 2 * np.pi * 20 * samples / RATE * (1000**time - 1) / np.log(1000)
    return np.stack([np.sin(phase), np.cos(phase)]).astype(np.float32)


def borders(samples: int, workers: int) -> Iterator[slice]:
    """Where neighbouring segments overlap, and a frame on either side."""
    starts = [s for batch in segments.plan(samples, CUTTING, workers) for s in batch.starts]
    for start in starts[1:]:
        yield slice(start - 4096, start + CUTTING.overlap + 4096)


def joined(mixture: Float, workers: int, separate: Callable[[Float], Float]) -> Float:
    """A mixture separated segment by segment, (channels, samples) to (…, channels, samples)."""
    samples = mixture.shape[-1]
    batches = segments.plan(samples, CUTTING, workers)
    pieces = [piece for batch in batches for piece in segments.cut(mixture, batch)]
    joiner = segments.Joiner(CUTTING.overlap)
    stretches = []
    for index, piece in enumerate(pieces):
        estimates, last = separate(piece), index == len(pieces) - 1
        segments.fade(estimates, CUTTING.overlap, index == 0, last)
        stretches.append(joiner.add(estimates, last))
    return np.concatenate(stretches, axis=-1)[..., :samples]


def there_and_back(piece: Float) -> Float:
    return istft(stft(piece), piece.shape[-1])


@settings(max_examples=10, deadline=None)
@given(
    samples=st.integers(15 * RATE, 40 * RATE),
    workers=st.integers(1, 4),
    pitch=st.floats(20, 20_000),
)
def test_sines_pass_the_joins(samples: int, workers: int, pitch: float) -> None:
    mixture = sine(samples, pitch)
    error = joined(mixture, workers, there_and_back) - mixture
    places = list(borders(samples, workers))
    assert places
    assert all(np.abs(error[:, place]).max() < FLOOR for place in places)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_sweep_passes_the_joins(workers: int) -> None:
    mixture = sweep(45 * RATE)
    error = joined(mixture, workers, there_and_back) - mixture
    assert len(list(borders(45 * RATE, workers))) >= 3
    assert np.abs(error).max() < FLOOR


def test_a_segment_that_is_late_by_one_sample_would_be_found() -> None:
    """The bound is one that a fault breaks."""
    mixture = sine(30 * RATE, 1000)
    error = joined(mixture, 1, lambda piece: np.roll(there_and_back(piece), 1)) - mixture
    assert all(np.abs(error[:, place]).max() > FLOOR for place in borders(30 * RATE, 1))


class Even:
    """In place of a network: every target is as loud as the next."""

    size = 1

    def encode(self, magnitude: Float) -> tuple[Float, None]:
        return np.zeros((*magnitude.shape[:2], 1), np.float32), None

    def mask(self, encoded: Float) -> Float:
        return np.full((len(encoded), 2, 2049), 0.25, np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(find_model("umx-mini"))


TONES = np.stack([sine(30 * RATE, 440)[0], sine(30 * RATE, 587)[1]]) / 2
SWEEPS = np.stack([sweep(30 * RATE)[0], sweep(30 * RATE)[0, ::-1]])


@pytest.mark.parametrize("signal", [TONES, SWEEPS], ids=["tones", "sweeps"])
def test_even_stems_pass_the_joins_of_the_separator(model: Model, signal: Float) -> None:
    """Through the Wiener filter, whose windows of frames meet inside the segments, too."""
    separator = Separator(model, Numpy())
    separator.estimator.networks = dict.fromkeys(TARGETS, Even())  # type: ignore[arg-type]
    estimates = separator.separate(signal)
    assert estimates.shape == (4, *signal.shape)
    places = [*borders(signal.shape[-1], 1), slice(290 * 1024, 310 * 1024)]
    assert len(places) > 2
    for place in places:
        assert np.abs(estimates[..., place] - signal[:, place] / 4).max() < FLOOR


def test_stems_and_residual_sum_to_the_mixture_as_16_bit_files(model: Model) -> None:
    rng = np.random.default_rng(5)
    samples = rng.integers(-20_000, 20_000, (2, 15 * RATE), dtype=np.int16)
    separator = Separator(model, Numpy(), residual=True)
    separator.estimator.networks = dict.fromkeys(TARGETS, Even())  # type: ignore[arg-type]
    files = [to_int16(stem) for stem in separator.separate((samples / 32768).astype(np.float32))]
    assert [loud for _, loud in files] == [0] * 5
    total = np.sum([stem for stem, _ in files], axis=0, dtype=np.int32)
    # Each of the five is rounded by half a step at most.
    assert np.abs(total - samples).max() <= 2
