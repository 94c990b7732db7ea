"""Samples: channels, number formats, sample rates. Arrays are float32 (channels, samples)."""

import math
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..types import Float
from .layout import WAV, gains

CHANNELS = 2
"""Everything is separated in stereo, since all models are made for it."""
LOUDEST = 1e6
"""Largest sample that is let in: squares of its spectra still fit 32-bit floats."""


def to_stereo(audio: Float) -> Float:
    """(samples,) or (channels, samples) to (2, samples); more than two channels are in the order of WAV files.

    Raises ValueError for other shapes.
    """
    if audio.ndim == 1:
        audio = audio[np.newaxis]
    if audio.ndim != 2 or len(audio) == 0:
        raise ValueError(
            f"Audio should be (samples,) or (channels, samples), not of shape {audio.shape}."
        )
    channels = len(audio)
    return audio if channels == 2 else downmix(WAV.get(channels), channels) @ audio


def downmix(layout: list[str] | None, channels: int) -> Float:
    """Matrix that makes stereo of channels, float32 (2, channels). layout: as `layout.gains` takes it."""
    return np.array(gains(layout, channels), np.float32).T


def to_float(audio: ArrayLike) -> Float:
    """A copy of (samples,) or (channels, samples) as float32. Integers are scaled to -1 to 1.

    Signed ones are divided by half of their type's range, such as 32768; unsigned ones are centred first.
    Raises ValueError for anything but real numbers, and for (samples, channels).
    """
    given = np.asarray(audio)
    if given.ndim == 2 and len(given) > 2 and 0 < given.shape[1] < len(given):
        raise ValueError(
            f"Audio of shape {given.shape} looks like (samples, channels), as soundfile.read gives it, and should "
            "be (channels, samples): turn it by audio.T."
        )
    if np.issubdtype(given.dtype, np.floating):
        return given.astype(np.float32)
    if not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"Audio should be floats or integers, not of type {given.dtype}.")
    bounds = np.iinfo(given.dtype)
    full = (bounds.max - bounds.min + 1) / 2
    return ((given.astype(np.float64) - (bounds.min + full)) / full).astype(np.float32)


def checked_rate(sample_rate: float) -> float:
    """The sample rate, if it is a positive, finite number. Raises ValueError."""
    if isinstance(sample_rate, Real) and math.isfinite(sample_rate) and sample_rate > 0:
        return sample_rate
    raise ValueError(f"The sample rate should be a positive number of hertz, not {sample_rate!r}.")


def make_finite(audio: Float) -> None:
    """Replace NaN by 0, and limit samples to +-LOUDEST, in place.

    Files of float samples may hold anything, and one such sample would spoil its whole segment.
    """
    np.nan_to_num(audio, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
    np.clip(audio, -LOUDEST, LOUDEST, out=audio)


def resample(audio: Float, source: float, target: float) -> Float:
    """(channels, samples) at `source` Hz to `target` Hz."""
    if source == target:
        return audio
    import soxr  # compiled, and needed on desktops only: browsers resample as they decode

    resampled: Float = soxr.resample(audio.T, source, target).T
    return resampled


def fit(audio: Float, samples: int) -> Float:
    """Cut, or extend with zeros, to exactly `samples` samples: resampling may round differently."""
    short = max(0, samples - audio.shape[-1])
    return np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, short)])[..., :samples]


def to_int16(audio: Float) -> tuple[NDArray[np.int16], int]:
    """Round to 16 bits, (…) float to (…) int16, and count the samples that exceed full scale.

    Loud samples are limited to full scale; the stem is not turned down. So stems still sum to the mixture, and all
    but the vocals to karaoke. NaN becomes silence.
    """
    rounded, loud = _round(audio, 1 << 15)
    return rounded.astype(np.int16), loud


def to_int24(audio: Float) -> tuple[NDArray[np.int32], int]:
    """As `to_int16`, but 24 bits, which are the upper ones of each int32, as libsndfile takes them."""
    rounded, loud = _round(audio, 1 << 23)
    return rounded.astype(np.int32) << 8, loud


def _round(audio: Float, full: int) -> tuple[Float, int]:
    """Whole numbers from -full to full - 1, and how many samples exceed full scale."""
    scaled = np.rint(np.nan_to_num(audio, nan=0.0, posinf=2.0, neginf=-2.0) * full)
    # Full scale itself is one step above the largest value; that is rounding, not a loss worth counting.
    loud = int(np.count_nonzero((scaled > full) | (scaled < -full)))
    return np.clip(scaled, -full, full - 1), loud
