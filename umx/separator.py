"""From a mixture to its stems: `separate` for one call, `Separator` for many."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from . import models, segments
from .format.library import DEFAULT_MODEL, Model, find_model, load_model
from .format.safetensors import Tensors
from .kernels import Engine, choose
from .level import Meter, gain
from .models import Progress
from .names import RESIDUAL
from .signal import samples as signals
from .stems import named
from .types import Float


class Separator:
    """A model ready to separate mixtures at its own sample rate."""

    def __init__(
        self,
        model: Model | str | Path,
        engine: Engine | None = None,
        targets: Sequence[str] | None = None,
        residual: bool = False,
        threads: int | None = None,
    ):
        """model: may be its name or folder, see `library.find_model`. targets: those to estimate, all of the model's
        by default. residual: whether what they leave is one more.
        threads: how many may work at a time where no engine is given, by default as many as there are cores. Stems
        are the same to the bit, whatever their number, unless the engine is numpy.

        Raises ValueError for a target that the model doesn't have, and for less than one thread; WeightsError for a
        model that can't be found or read.
        """
        if not isinstance(model, Model):
            model = load_model(find_model(model))
        self.manifest = model.manifest
        self.engine = engine or choose(threads)
        architecture = models.find(self.manifest.architecture)
        self.estimator = architecture.Estimator(self.manifest.network, self.engine)
        self.cutting = self.estimator.cutting
        self.residual = residual
        self._available: tuple[str, ...] = ()
        for names, tensors in model.networks.items():
            self.add(names, tensors)
        for target in targets or ():
            if target not in self._available:
                raise ValueError(
                    f"The model {model.manifest.name} has no target {target!r}, only "
                    f"{', '.join(self._available)}."
                )
        self._chosen = tuple(dict.fromkeys(targets or ()))

    @property
    def _wanted(self) -> tuple[str, ...]:
        return self._chosen or self._available

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of what `process` gives, in its order."""
        return (*self._wanted, RESIDUAL) if self.residual else self._wanted

    def add(self, targets: Sequence[str], tensors: Tensors) -> None:
        """Take one more of the model's networks, with its weights as `packing.read_weights` returns them."""
        self.estimator.add(targets, tensors)
        self._available += tuple(targets)

    def only(self, targets: Sequence[str]) -> "Separator":
        """A separator for some of the targets, in the model's order, and for what they leave as a residual.

        It shares its networks with this one. Raises ValueError if this one has none of the targets.
        """
        part = copy(self)
        part._chosen = tuple(target for target in self._available if target in targets)
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
        found = self.estimator.estimate(mixture, self._wanted, progress or (lambda fraction: None))
        for signal in mixture:
            estimates = None  # so that those before needn't be in memory beside the new ones
            estimates = next(found)
            if self.residual:
                left = signal - estimates.sum(axis=0)
                estimates = np.concatenate([estimates, left[np.newaxis]])
            yield estimates

    def stream(
        self,
        blocks: Iterable[Float],
        samples: int,
        level: float,
        progress: Progress | None = None,
    ) -> Iterator[Float]:
        """Separate a whole song that need not be in memory, giving its stems a stretch at a time, in order.

        blocks: float32 (channels, n) of any length, `samples` in all; level: theirs, as a `level.Meter` measures it.
        Yields float32 (targets, channels, n); the n add up to samples. They don't depend on how long blocks are.
        """
        for part in segments.split(samples, self.cutting, 1):
            yield from self.stream_part(blocks, part, level, progress)

    def stream_part(
        self,
        blocks: Iterable[Float],
        part: segments.Part,
        level: float,
        progress: Progress | None = None,
    ) -> Iterator[Float]:
        """As `stream`, for one part of a song, as `segments.split` gives them. `segments.join` makes them one again.

        blocks: the song's from the part's first sample on; level: that of the whole song.
        """
        cutting, batches = self.cutting, part.batches
        cutter, joiner = segments.Cutter(blocks), segments.Joiner(cutting.overlap)
        factor = np.float32(gain(level))
        count = sum(len(batch.starts) for batch in batches)
        given = index = 0
        for number, batch in enumerate(batches):

            def report(fraction: float, number: int = number) -> None:
                if progress:
                    progress((number + fraction) / len(batches))

            mixture = cutter.cut(batch)
            mixture *= factor
            for place, segment in enumerate(self.process(mixture, report)):
                estimates = segments.keep(segment, batch, place)
                estimates /= factor
                last = index == count - 1
                begins, ends = part.is_first and index == 0, part.is_last and last
                segments.fade(estimates, cutting.overlap, begins, ends)
                stretch = joiner.add(estimates, last)[..., : part.samples - given]
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


def separate(
    audio: ArrayLike,
    sample_rate: float,
    model: str | Path = DEFAULT_MODEL,
    targets: Sequence[str] | None = None,
    residual: bool = False,
    progress: Progress | bool | None = None,
    threads: int | None = None,
) -> dict[str, Float]:
    """Separate a song into stems: one per target, and karaoke, which is all but the vocals.

    audio: (samples,) or (channels, samples), at any sample rate; one channel is given to both sides. Integers are
    scaled as `signal.samples.to_float` does it. NaN counts as silence. The array is not changed.
    model: a model's name or folder, see `library.find_model`; targets: those to give, all by default.
    residual: give what these targets leave of the mixture as "residual", too. threads: as for `Separator`.
    progress: called with the fraction of the work that is done; True draws a bar, in a notebook or on a terminal.
    Returns float32 (2, samples) by name, at the sample rate and length of the input. The stems of all targets sum to
    the mixture, and so do vocals and karaoke. A choice of targets gives the same stems as all of them.
    Raises WeightsError for a model that can't be found or read, ValueError for audio of another shape or type, or a
    sample rate that isn't positive.
    """
    source_rate = signals.checked_rate(sample_rate)
    channels = signals.to_float(audio)
    signals.make_finite(channels)  # before they are mixed: no gain takes NaN out of a sum
    mixture = signals.to_stereo(channels)
    apart = residual or bool(targets)
    separator = Separator(model, targets=targets, residual=apart, threads=threads)
    rate = separator.manifest.sample_rate
    source = signals.resample(mixture, source_rate, rate)
    with _bar() if progress is True else nullcontext(progress or None) as report:
        estimates = separator.separate(source, report)
    if rate != source_rate:
        estimates = np.stack([signals.resample(e, rate, source_rate) for e in estimates])
        estimates = signals.fit(estimates, mixture.shape[-1])
        _restore(estimates, mixture)
    stems = named(estimates, separator.targets, separator.manifest.targets)
    return {name: stem for name, stem in stems.items() if residual or name != RESIDUAL}


@contextmanager
def _bar() -> Iterator[Progress]:
    from tqdm.auto import tqdm  # needed on desktops only

    with tqdm(total=1.0, bar_format="{percentage:3.0f}% |{bar}| {remaining} left") as bar:
        yield lambda done: bar.update(done - bar.n)


def _restore(estimates: Float, mixture: Float) -> None:
    """Add what resampling twice has lost at the top of the spectrum, in place.

    estimates: (stems, 2, samples), which should sum to the mixture, (2, samples). Each gets of the loss what it has of
    the power.
    """
    power = np.array([np.vdot(estimate, estimate) for estimate in estimates], np.float64) + 1e-30
    lost = mixture - estimates.sum(axis=0)
    for estimate, share in zip(estimates, power / power.sum(), strict=True):
        estimate += np.float32(share) * lost
