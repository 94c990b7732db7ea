"""From a mixture to its stems: `separate` for one call, `Separator` for many."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from . import audio as audio_files
from . import segments, stft, wiener
from .kernels import Engine, choose
from .level import Meter, gain
from .openunmix import OpenUnmix
from .stems import RESIDUAL, named
from .types import Float
from .weights import Model, Tensor, find_model, load_model

DEFAULT_MODEL = "umx-mini"
FIXED, FILTERING = 4_000_000, 9_500_000
"""How many of a network's weights take as long as what is to be done for a network of any size, and as a target's
Wiener filter and inverse transform; as measured."""

Progress = Callable[[float], None]


class Separator:
    """A model ready to separate mixtures at its own sample rate and channel count."""

    def __init__(
        self,
        model: Model,
        engine: Engine | None = None,
        targets: Sequence[str] | None = None,
        residual: bool = False,
    ):
        """targets: those to give, all of the model's by default; residual: give what they leave as one more.

        The Wiener filter weighs targets against each other, so all of the model's are estimated, whichever are wanted:
        on real songs a target loses up to 2.4 dB beside a mere residual.
        Raises ValueError for a target that the model doesn't have.
        """
        for target in targets or ():
            if target not in model.targets:
                names = ", ".join(model.targets)
                raise ValueError(
                    f"The model {model.manifest.name} has no target {target!r}, only {names}."
                )
        self.manifest = model.manifest
        self.engine = engine or choose()
        self.residual = residual
        self.networks: dict[str, OpenUnmix] = {}
        for target, tensors in model.targets.items():
            self.add(target, tensors)
        self._chosen = tuple(dict.fromkeys(targets or ()))

    @property
    def _wanted(self) -> tuple[str, ...]:
        return self._chosen or tuple(self.networks)

    @property
    def targets(self) -> tuple[str, ...]:
        """What `process` gives, in this order."""
        return (*self._wanted, RESIDUAL) if self.residual else self._wanted

    def add(self, target: str, tensors: Mapping[str, Tensor]) -> None:
        """Estimate one more target, with its weights as `weights.read_target` returns them."""
        self.networks[target] = OpenUnmix(tensors, self.manifest, self.engine)

    def only(self, targets: Sequence[str]) -> "Separator":
        """One that gives some of the targets, in the model's order, and what they leave as a residual.

        It shares its networks with this one. Raises ValueError if this one has none of the targets.
        """
        part = copy(self)
        part._chosen = tuple(target for target in self.networks if target in targets)
        part.residual = True
        if not part._chosen:
            raise ValueError(f"None of the targets {', '.join(targets)} is there to be chosen.")
        return part

    def process(self, mixture: Float, progress: Progress | None = None) -> Iterator[Float]:
        """Separate B segments in lockstep, and give them one by one.

        mixture: float32 (B, channels, samples).
        progress: called with the fraction of the work that is done, 0 to 1.
        Yields float32 (targets, channels, samples) for each segment, in order.
        """
        report = progress or (lambda fraction: None)
        samples = mixture.shape[-1]
        n_fft = self.manifest.n_fft
        shortage = n_fft - samples
        if shortage > 0:  # reflection needs more than half a frame of audio
            mixture = np.pad(mixture, ((0, 0), (0, 0), (0, shortage)))
        magnitude = self._magnitude(mixture)
        encoded = []
        done, filtering = 0, FILTERING * len(self.networks)
        work = sum(FIXED + network.size for network in self.networks.values()) + filtering
        for network in self.networks.values():
            encoded.append(network.encode(magnitude)[0])
            done += FIXED + network.size
            report(done / work)
        del magnitude
        for index, signal in enumerate(mixture):
            estimates = None  # so that those before needn't be in memory beside the new ones
            estimates = self._synthesise(signal, [e[index] for e in encoded], samples)
            if self.residual:
                left = signal[:, :samples] - estimates.sum(axis=0)
                estimates = np.concatenate([estimates, left[np.newaxis]])
            report((done + filtering * (index + 1) / len(mixture)) / work)
            yield estimates

    def stream(
        self,
        blocks: Iterable[Float],
        samples: int,
        level: float,
        progress: Progress | None = None,
    ) -> Iterator[Float]:
        """Separate a whole song that need not be in memory, giving its stems a stretch at a time, in order.

        blocks: float32 (channels, n) of any length, `samples` in all; level: what a `level.Meter` has heard of them.
        Yields float32 (targets, channels, n); the n add up to samples.
        """
        batches = segments.plan(samples)
        cutter, joiner = segments.Cutter(blocks), segments.Joiner(segments.OVERLAP)
        factor = np.float32(gain(level))
        count = sum(len(batch.starts) for batch in batches)
        given = index = 0
        for number, batch in enumerate(batches):

            def report(fraction: float, number: int = number) -> None:
                if progress:
                    progress((number + fraction) / len(batches))

            mixture = cutter.cut(batch)
            mixture *= factor
            for estimates in self.process(mixture, report):
                estimates /= factor
                last = index == count - 1
                segments.fade(estimates, segments.OVERLAP, index == 0, last)
                stretch = joiner.add(estimates, last)[..., : samples - given]
                given += stretch.shape[-1]
                index += 1
                yield stretch

    def separate(self, mixture: Float, progress: Progress | None = None) -> Float:
        """Separate a whole song in memory: float32 (channels, samples) to (targets, channels, samples)."""
        meter = Meter()
        meter.add(mixture)
        samples = mixture.shape[-1]
        stretches = self.stream([mixture], samples, meter.level, progress)
        empty = np.zeros((len(self.targets), len(mixture), 0), np.float32)
        return np.concatenate([empty, *stretches], axis=-1)

    def _magnitude(self, mixture: Float) -> Float:
        """What the networks see of B segments: float32 (B, frames, channels, max_bin)."""
        n_fft, hop = self.manifest.n_fft, self.manifest.hop
        frames = stft.frame_count(mixture.shape[-1], hop)
        out = np.empty((len(mixture), frames, mixture.shape[1], self.manifest.max_bin), np.float32)
        for index, signal in enumerate(mixture):
            # One segment at a time: complex spectra of all of them would be the largest array in memory.
            spectrum = self.engine.spectrum(stft.pad(signal, n_fft), n_fft, hop)
            out[index] = self.engine.magnitude(spectrum)[..., : self.manifest.max_bin]
        return out

    def _synthesise(self, mixture: Float, encoded: Sequence[Float], samples: int) -> Float:
        """Masks, Wiener filter and inverse STFT of one segment, window by window.

        mixture: float32 (channels, n), with zeros behind what is shorter than a frame; encoded: float32
        (frames, hidden_size) a network; samples: how many to give. Returns float32 (wanted targets, channels, samples).
        """
        n_fft, hop = self.manifest.n_fft, self.manifest.hop
        frames = len(encoded[0])
        padded = stft.pad(mixture, n_fft)
        inverse = stft.Inverse(
            (len(self._wanted),), len(padded), frames, n_fft, hop, self.engine.overlap_add
        )
        for window in wiener.windows(frames):
            audio = padded[:, window.start * hop : (window.stop - 1) * hop + n_fft]
            self._filter(audio, [e[window] for e in encoded], inverse, window.start)
        return inverse.signal(samples)

    def _filter(
        self, audio: Float, encoded: Sequence[Float], inverse: stft.Inverse, start: int
    ) -> None:
        """Masks and Wiener filter of one window, whose frames go into the inverse transform from `start` on.

        audio: float32 (channels, n), padded; encoded: float32 (frames, hidden_size) a network.
        """
        spectra = self.engine.spectrum(audio, self.manifest.n_fft, self.manifest.hop)
        masks = np.empty((len(encoded), *spectra.shape), np.float32)
        for mask, network, frames in zip(masks, self.networks.values(), encoded, strict=True):
            mask[:] = network.mask(frames)
        every = tuple(self.networks)
        wanted = [every.index(target) for target in self._wanted]
        for estimates in self.engine.wiener(masks, spectra, complete=True):
            # Choosing makes a copy, which all of them can do without.
            inverse.add(estimates if self._wanted == every else estimates[wanted], start)
            start += estimates.shape[1]


def separate(
    audio: ArrayLike,
    sample_rate: float,
    model: str | Path = DEFAULT_MODEL,
    targets: Sequence[str] | None = None,
    residual: bool = False,
    progress: Progress | None = None,
) -> dict[str, Float]:
    """Separate a song into stems: one per target, and karaoke, which is all but the vocals.

    audio: (samples,) or (channels, samples), at any sample rate; one channel is given to both sides. Integers are
    scaled by what their type holds. It stays as it is; NaN in it counts as silence.
    model: a model's name or folder, see `weights.find_model`; targets: those to give, all by default.
    residual: give what these targets leave of the mixture as "residual", too.
    Returns float32 (2, samples) by name, at the sample rate and length of the input. The stems of all targets sum to
    the mixture, and so do vocals and karaoke. A choice of targets gives the same stems as all of them.
    Raises WeightsError for a model that can't be found or read, ValueError for audio of another shape or type, or a
    sample rate that is none.
    """
    source_rate = audio_files.checked_rate(sample_rate)
    channels = audio_files.to_float(audio)
    audio_files.make_finite(channels)  # before they are mixed: no gain takes NaN out of a sum
    mixture = audio_files.to_stereo(channels)
    separator = Separator(
        load_model(find_model(model)), targets=targets, residual=residual or bool(targets)
    )
    rate = separator.manifest.sample_rate
    estimates = separator.separate(audio_files.resample(mixture, source_rate, rate), progress)
    if rate != source_rate:
        estimates = np.stack([audio_files.resample(e, rate, source_rate) for e in estimates])
        estimates = audio_files.fit(estimates, mixture.shape[-1])
        _restore(estimates, mixture)
    stems = named(estimates, separator.targets, tuple(separator.manifest.targets))
    return {name: stem for name, stem in stems.items() if residual or name != RESIDUAL}


def _restore(estimates: Float, mixture: Float) -> None:
    """Add what two changes of the sample rate have lost, near its end of the spectrum, in place.

    estimates: (stems, 2, samples) of all of the mixture, (2, samples). Each gets as much as its share of the power.
    """
    power = np.array([np.vdot(estimate, estimate) for estimate in estimates], np.float64) + 1e-30
    lost = mixture - estimates.sum(axis=0)
    for estimate, share in zip(estimates, power / power.sum(), strict=True):
        estimate += np.float32(share) * lost
