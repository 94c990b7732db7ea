"""From a mixture to its stems: `separate` for one call, `Separator` for many."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np

from . import audio as audio_files
from . import segments, stft, wiener
from .kernels import Engine, choose
from .openunmix import OpenUnmix
from .types import Float
from .weights import Model, Tensor, find_model, load_model

DEFAULT_MODEL = "umx-mini"
RESIDUAL = "residual"
AGGREGATES: Mapping[str, tuple[str, ...]] = {"karaoke": ("bass", "drums", "other")}
"""Stems that are sums of targets: by name, the targets that they need."""
FIXED, FILTERING = 4_000_000, 9_500_000
"""How many of a network's weights take as long as what is to be done for a network of any size, and as a target's
Wiener filter and inverse transform; as measured."""

Progress = Callable[[float], None]


def with_aggregates(
    estimates: Float, targets: Sequence[str], aggregates: Mapping[str, tuple[str, ...]] = AGGREGATES
) -> dict[str, Float]:
    """Name the estimates (targets, …) and add every aggregate whose targets are all there."""
    stems = dict(zip(targets, estimates, strict=True))
    for name, parts in aggregates.items():
        if set(parts) <= set(targets):
            stems[name] = np.sum([stems[part] for part in parts], axis=0)
    return stems


class Separator:
    """A model ready to separate mixtures at its own sample rate and channel count."""

    def __init__(
        self,
        model: Model,
        engine: Engine | None = None,
        targets: Sequence[str] | None = None,
        residual: bool = False,
    ):
        """targets: those to estimate, all of the model's by default; residual: add what they leave as one more.

        A single target always gets a residual beside it inside, because the Wiener filter weighs targets against each
        other; it is returned only where asked for.
        Raises ValueError for a target that the model doesn't have.
        """
        wanted = tuple(targets or model.targets)
        for target in wanted:
            if target not in model.targets:
                names = ", ".join(model.targets)
                raise ValueError(
                    f"The model {model.manifest.name} has no target {target!r}, only {names}."
                )
        self.manifest = model.manifest
        self.engine = engine or choose()
        self.residual = residual
        self.networks: dict[str, OpenUnmix] = {}
        for target in wanted:
            self.add(target, model.targets[target])

    @property
    def targets(self) -> tuple[str, ...]:
        """What `process` gives, in this order."""
        return (*self.networks, RESIDUAL) if self.residual else tuple(self.networks)

    def add(self, target: str, tensors: Mapping[str, Tensor]) -> None:
        """Estimate one more target, with its weights as `weights.read_target` returns them."""
        self.networks[target] = OpenUnmix(tensors, self.manifest, self.engine)

    def only(self, targets: Sequence[str]) -> "Separator":
        """One that estimates some of the targets, in the model's order, and what they leave as a residual.

        It shares its networks with this one. Raises ValueError if this one has none of the targets.
        """
        part = copy(self)
        part.networks = {t: network for t, network in self.networks.items() if t in targets}
        part.residual = True
        if not part.networks:
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
                estimates[-1] = signal[:, :samples] - estimates[:-1].sum(axis=0)
            report((done + filtering * (index + 1) / len(mixture)) / work)
            yield estimates

    def stream(self, mixture: Float, progress: Progress | None = None) -> Iterator[Float]:
        """Separate a whole song, giving its stems a stretch at a time, in order.

        mixture: float32 (channels, samples). Yields float32 (targets, channels, n); the n add up to samples.
        """
        samples = mixture.shape[-1]
        batches = segments.plan(samples)
        joiner = segments.Joiner(segments.OVERLAP)
        count = sum(len(batch.starts) for batch in batches)
        given = index = 0
        for number, batch in enumerate(batches):

            def report(fraction: float, number: int = number) -> None:
                if progress:
                    progress((number + fraction) / len(batches))

            for estimates in self.process(segments.cut(mixture, batch), report):
                last = index == count - 1
                segments.fade(estimates, segments.OVERLAP, index == 0, last)
                stretch = joiner.add(estimates, last)[..., : samples - given]
                given += stretch.shape[-1]
                index += 1
                yield stretch

    def separate(self, mixture: Float, progress: Progress | None = None) -> Float:
        """Separate a whole song in memory: float32 (channels, samples) to (targets, channels, samples)."""
        empty = np.zeros((len(self.targets), len(mixture), 0), np.float32)
        return np.concatenate([empty, *self.stream(mixture, progress)], axis=-1)

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
        (frames, hidden_size) a network; samples: how many to give. Returns float32 (targets, channels, samples).
        """
        n_fft, hop = self.manifest.n_fft, self.manifest.hop
        frames = len(encoded[0])
        padded = stft.pad(mixture, n_fft)
        lead = (len(self.targets),)
        inverse = stft.Inverse(lead, len(padded), frames, n_fft, hop, self.engine.overlap_add)
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
        if self.residual or len(masks) == 1:
            masks = wiener.with_residual(masks)
        for estimates in self.engine.wiener(masks, spectra):
            inverse.add(estimates[: len(self.targets)], start)
            start += estimates.shape[1]


def separate(
    audio: Float,
    sample_rate: int,
    model: str | Path = DEFAULT_MODEL,
    targets: Sequence[str] | None = None,
    residual: bool = False,
    progress: Progress | None = None,
) -> dict[str, Float]:
    """Separate a song into stems: one per target, and the aggregates that they make up (karaoke).

    audio: float (samples,) or (channels, samples), at any sample rate; one channel is given to both sides. It stays
    as it is; NaN in it counts as silence.
    model: a model's name or folder, see `weights.find_model`.
    Returns float32 (2, samples) by name, at the sample rate and length of the input; with `residual`, the targets and
    "residual" sum to the mixture.
    Raises WeightsError for a model that can't be found or read, ValueError for audio of another shape.
    """
    separator = Separator(load_model(find_model(model)), targets=targets, residual=residual)
    mixture = audio_files.to_stereo(np.array(audio, np.float32))
    audio_files.make_finite(mixture)
    rate = separator.manifest.sample_rate
    samples = mixture.shape[-1]
    estimates = separator.separate(audio_files.resample(mixture, sample_rate, rate), progress)
    if rate != sample_rate:
        estimates = np.stack([audio_files.resample(e, rate, sample_rate) for e in estimates])
        estimates = audio_files.fit(estimates, samples)
        if residual:
            estimates[-1] = mixture - estimates[:-1].sum(axis=0)
    return with_aggregates(estimates, separator.targets)
