"""From segments of the mixture to stems: STFT, a mask a target, Wiener filter, inverse STFT."""

from collections.abc import Iterator, Sequence

import numpy as np

from ...format.safetensors import Tensors
from ...kernels import Engine
from ...signal import stft, wiener
from ...types import Float
from .. import Cutting, Progress
from .network import Network, OpenUnmix

FIXED, FILTERING = 4_000_000, 9_500_000
"""Measured costs, in weights: FIXED overhead per network; FILTERING, Wiener filter and iSTFT per target."""


class Estimator:
    """The networks of one model, each of one target."""

    cutting = Cutting(segment=600 * 1024, overlap=22050, batch_size=4)
    """Segments are two windows of the Wiener filter, 13.9 seconds. Four in lockstep fill the rows that the kernels take
    at a time, `LANES` in `vectors.h`."""

    def __init__(self, network: Network, engine: Engine):
        self.network, self.engine = network, engine
        self.networks: dict[str, OpenUnmix] = {}

    def add(self, targets: Sequence[str], tensors: Tensors) -> None:
        """Take one more target's network."""
        (target,) = targets
        self.networks[target] = OpenUnmix(tensors, self.network, self.engine)

    def estimate(
        self, mixture: Float, wanted: Sequence[str], progress: Progress
    ) -> Iterator[Float]:
        """Separate B segments in lockstep: float32 (B, 2, samples); see `models.Estimator`.

        All of the model's targets are estimated, whichever are wanted, since the Wiener filter weighs them against each
        other: on real songs a target loses up to 2.4 dB if a residual stands for the others.
        """
        samples = mixture.shape[-1]
        shortage = self.network.n_fft - samples
        if shortage > 0:  # reflection needs more than half a frame of audio
            mixture = np.pad(mixture, ((0, 0), (0, 0), (0, shortage)))
        encoded = []
        done, filtering = 0, FILTERING * len(self.networks)
        work = sum(FIXED + network.size for network in self.networks.values()) + filtering
        for network, output in zip(self.networks.values(), self._encode(mixture), strict=True):
            encoded.append(output)
            done += FIXED + network.size
            progress(done / work)

        def synthesise(index: int) -> Float:
            return self._synthesise(mixture[index], [e[index] for e in encoded], wanted, samples)

        found = self.engine.threads.map(synthesise, range(len(mixture)))
        for index in range(len(mixture)):
            estimates = None  # so that those before needn't be in memory beside the new ones
            estimates = next(found)
            progress((done + filtering * (index + 1) / len(mixture)) / work)
            yield estimates

    def _encode(self, mixture: Float) -> Iterator[Float]:
        """All layers but the last of one network after the other: float32 (B, frames, hidden_size) each."""
        magnitude = self._magnitude(mixture)
        return self.engine.threads.map(
            lambda network: network.encode(magnitude)[0], self.networks.values()
        )

    def _magnitude(self, mixture: Float) -> Float:
        """What the networks see of B segments: float32 (B, frames, channels, max_bin)."""
        n_fft, hop, max_bin = self.network.n_fft, self.network.hop, self.network.max_bin
        frames = stft.frame_count(mixture.shape[-1], hop)
        out = np.empty((len(mixture), frames, mixture.shape[1], max_bin), np.float32)

        def fill(index: int) -> None:
            # One segment at a time: complex spectra of all of them would be the largest array in memory.
            spectrum = self.engine.spectrum(stft.pad(mixture[index], n_fft), n_fft, hop)
            out[index] = self.engine.magnitude(spectrum)[..., :max_bin]

        self.engine.threads.run(fill, range(len(mixture)))
        return out

    def _synthesise(
        self, mixture: Float, encoded: Sequence[Float], wanted: Sequence[str], samples: int
    ) -> Float:
        """Masks, Wiener filter and inverse STFT of one segment, window by window.

        mixture: float32 (channels, n), with zeros behind what is shorter than a frame; encoded: float32
        (frames, hidden_size) a network; samples: how many to give. Returns float32 (wanted targets, channels, samples).
        """
        n_fft, hop = self.network.n_fft, self.network.hop
        frames = len(encoded[0])
        padded = stft.pad(mixture, n_fft)
        inverse = stft.Inverse(
            (len(wanted),), len(padded), frames, n_fft, hop, self.engine.overlap_add
        )
        for window in wiener.windows(frames):
            audio = padded[:, window.start * hop : (window.stop - 1) * hop + n_fft]
            self._filter(audio, [e[window] for e in encoded], wanted, inverse, window.start)
        return inverse.signal(samples)

    def _filter(
        self,
        audio: Float,
        encoded: Sequence[Float],
        wanted: Sequence[str],
        inverse: stft.Inverse,
        start: int,
    ) -> None:
        """Masks and Wiener filter of one window, whose frames go into the inverse transform from `start` on.

        audio: float32 (channels, n), padded; encoded: float32 (frames, hidden_size) a network.
        """
        spectra = self.engine.spectrum(audio, self.network.n_fft, self.network.hop)
        masks = np.empty((len(encoded), *spectra.shape), np.float32)
        for mask, network, frames in zip(masks, self.networks.values(), encoded, strict=True):
            mask[:] = network.mask(frames)
        every = list(self.networks)
        chosen = [every.index(target) for target in wanted]
        for estimates in self.engine.wiener(masks, spectra, complete=True):
            # Indexing makes a copy; it is spared where all targets are wanted.
            inverse.add(estimates if list(wanted) == every else estimates[chosen], start)
            start += estimates.shape[1]
