"""Audio: channels, sample rates, writing stems. Arrays are float32 (channels, samples)."""

import math
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from numbers import Real
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .layout import WAV, downmix
from .types import Float

LOUDEST = 1e6
"""Beyond it, squares of spectra would be too much for 32-bit floats."""


class AudioError(ValueError):
    """A file that can't be read as audio, or written."""


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


def to_float(audio: ArrayLike) -> Float:
    """A copy of (samples,) or (channels, samples) as float32; of integers, what their type can hold becomes 1.

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
    """Make NaN silence, and keep infinities and what is as good as infinite in bounds, in place.

    Files of float samples may hold any of it; one such sample would take its whole segment with it.
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
    """Cut or extend with zeros to exactly `samples` samples, where resampling has rounded differently."""
    short = max(0, samples - audio.shape[-1])
    return np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, short)])[..., :samples]


def to_int16(audio: Float) -> tuple[NDArray[np.int16], int]:
    """Round to 16 bits, (…) float to (…) int16, and count the samples that were too loud for them.

    Those are limited to full scale, not the whole stem turned down: stems keep their level, so they still sum to the
    mixture and to each other's karaoke. NaN becomes silence.
    """
    scaled = np.rint(np.nan_to_num(audio, nan=0.0, posinf=2.0, neginf=-2.0) * 32768)
    # Full scale itself is one step above the largest 16-bit value; that is rounding, not a loss worth counting.
    loud = int(np.count_nonzero((scaled > 32768) | (scaled < -32768)))
    return np.clip(scaled, -32768, 32767).astype(np.int16), loud


def write_stems(
    paths: Mapping[str, Path], stretches: Iterable[Mapping[str, Float]], samples: int, rate: int
) -> int:
    """Write stems as 16-bit WAV while they come in, stretch by stretch: each (2, n) by name, `samples` in all.

    A file appears under its name only when it is whole. Returns how many samples had to be limited to full scale.
    Raises AudioError, naming the folder, where there is no writing to it.
    """
    import soundfile

    loud = 0
    parts = {name: path.with_name(path.name + ".part") for name, path in paths.items()}
    # WAV has 32 bits for its length, header included, of which some programs take one for a sign; RF64 has 64.
    kind = "WAV" if 4 * samples < (1 << 31) - 1000 else "RF64"
    try:
        with ExitStack() as stack:
            files = {}
            for name, part in parts.items():
                part.touch()  # says why it can't be, which libsndfile doesn't
                sound = soundfile.SoundFile(_address(part), "w", rate, 2, "PCM_16", format=kind)
                files[name] = stack.enter_context(sound)
            for stretch in stretches:
                for name, file in files.items():
                    block, limited = to_int16(stretch[name].T)
                    loud += limited
                    file.write(block)
        for name, part in parts.items():
            part.replace(paths[name])
    except (OSError, soundfile.LibsndfileError) as error:
        folders = ", ".join(sorted({str(path.parent) for path in paths.values()}))
        why = f" ({error.strerror})" if isinstance(error, OSError) else ""
        raise AudioError(
            f"The stems can't be written to {folders}{why}: see that it is there and has room left."
        ) from error
    finally:
        with ExitStack() as stack:
            for part in parts.values():
                stack.callback(part.unlink, missing_ok=True)
    return loud


def _address(path: Path) -> str | bytes:
    """A path as soundfile takes it: names may hold bytes that are no text, which it fails at as a str."""
    return str(path) if os.name == "nt" else os.fsencode(path)
