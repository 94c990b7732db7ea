"""Short-time Fourier transform and its inverse, as `torch.stft` and `torch.istft` compute them for Open-Unmix.

Periodic Hann window, centred frames with reflected edges, one-sided spectrum, not normalised. Spectrograms are laid out
(…, frames, channels, bins), so that all channels of a frame lie side by side: that is one row of the network's input.
"""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import numpy as np

from ..types import Complex, Float

OverlapAdd: TypeAlias = Callable[[Complex, Float, int, int, int], None]


@cache
def hann(n_fft: int) -> Float:
    """The periodic Hann window, float32 (n_fft,)."""
    phase = np.arange(n_fft) * (2 * np.pi / n_fft)
    window: Float = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    return window


def frame_count(samples: int, hop: int) -> int:
    """How many centred frames cover `samples` samples."""
    return 1 + samples // hop


def pad(audio: Float, n_fft: int) -> Float:
    """Reflect n_fft // 2 samples at both ends of the last axis, so that frame t is centred on sample t * hop."""
    edges = [(0, 0)] * (audio.ndim - 1) + [(n_fft // 2, n_fft // 2)]
    return np.pad(audio, edges, mode="reflect")


def spectrum(padded: Float, n_fft: int, hop: int) -> Complex:
    """Transform every whole frame of `padded`.

    padded: float32 (…, channels, samples). Returns complex64 (…, frames, channels, n_fft // 2 + 1).
    """
    *lead, channels, samples = padded.shape
    *steps, channel_step, sample_step = padded.strides
    # sliding_window_view won't do: it stands for a frame at every sample, more than 32-bit addresses reach.
    frames = np.lib.stride_tricks.as_strided(
        padded,
        (*lead, 1 + (samples - n_fft) // hop, channels, n_fft),
        (*steps, hop * sample_step, channel_step, sample_step),
        writeable=False,
    )
    # C order must be asked for: the product would take over the order of `frames`, a view of a signal.
    windowed = np.multiply(frames, hann(n_fft), order="C")
    return np.fft.rfft(windowed).astype(np.complex64, copy=False)


def stft(audio: Float, n_fft: int = 4096, hop: int = 1024) -> Complex:
    """Transform whole signals.

    audio: float32 (…, channels, samples), longer than n_fft // 2.
    Returns complex64 (…, 1 + samples // hop, channels, n_fft // 2 + 1).
    """
    return spectrum(pad(audio, n_fft), n_fft, hop)


def overlap_add(spectra: Complex, signal: Float, n_fft: int, hop: int, start: int) -> None:
    """Add the windowed inverse transforms of the frames start, start + 1, … to a signal, in place.

    spectra: complex64 (frames, channels, bins); signal: float32 (channels, samples), padded as `spectrum` takes it.
    """
    frames = np.fft.irfft(spectra, n_fft).astype(np.float32, copy=False)
    frames *= hann(n_fft)
    blocks = signal.reshape(len(signal), -1, hop)
    stop = start + len(frames)
    for k in range(n_fft // hop):
        piece = np.moveaxis(frames[..., k * hop : (k + 1) * hop], 1, 0)
        blocks[:, start + k : stop + k] += piece


class Inverse:
    """The inverse transform of signals whose frames arrive a stretch at a time, in any order.

    Only the sum of the windowed frames is kept, never their spectra. `hop` must divide `n_fft`.
    """

    def __init__(
        self,
        lead: tuple[int, ...],
        channels: int,
        frames: int,
        n_fft: int,
        hop: int,
        overlap_add: OverlapAdd = overlap_add,
    ):
        """lead: the axes before the frames, such as (targets,); frames: how many there are in all."""
        self.n_fft, self.hop, self.frames = n_fft, hop, frames
        self._overlap_add = overlap_add
        self._sum = np.zeros((*lead, channels, (frames - 1) * hop + n_fft), np.float32)

    def add(self, spectra: Complex, start: int) -> None:
        """Add the frames start, start + 1, … : complex64 (*lead, n, channels, bins)."""
        for signal in np.ndindex(spectra.shape[:-3]):
            # Signals are added one at a time: frames of all of them would be the largest array in memory.
            self._overlap_add(spectra[signal], self._sum[signal], self.n_fft, self.hop, start)

    def signal(self, samples: int) -> Float:
        """The finished signal, float32 (*lead, channels, samples). It is made in the memory of the sum, so ask once."""
        inner = slice(self.n_fft // 2, self.n_fft // 2 + samples)
        signal = self._sum[..., inner]
        signal /= self._envelope()[inner]
        return signal

    def _envelope(self) -> Float:
        """Sum of the squared windows, (padded samples,). It is constant except at the signal's ends."""
        power = (hann(self.n_fft) ** 2).reshape(-1, self.hop)
        total = np.zeros((self._sum.shape[-1] // self.hop, self.hop), np.float32)
        for k in range(len(power)):
            total[k : k + self.frames] += power[k]
        # The padding's first sample is under a window of zero only. It is cut off, but must not divide by zero.
        return np.maximum(total, np.float32(1e-11)).reshape(-1)


def istft(spectra: Complex, samples: int, n_fft: int = 4096, hop: int = 1024) -> Float:
    """Invert `stft`: complex64 (…, frames, channels, bins) to float32 (…, channels, samples)."""
    *lead, frames, channels, _ = spectra.shape
    inverse = Inverse(tuple(lead), channels, frames, n_fft, hop)
    inverse.add(spectra, 0)
    return inverse.signal(samples)
