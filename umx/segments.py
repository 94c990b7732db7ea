"""How a song is cut into overlapping segments, and how their estimates become one again.

Neighbouring segments share `overlap` samples, over which one fades out linearly as the next fades in (a triangular
cross-fade, as in Demucs). Segments are separated several at a time, in lockstep, so a network's weights are read once
for all of them; such a batch is the unit of work of a worker.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from . import planning, threads
from .models import Cutting
from .types import Float


@dataclass(frozen=True)
class Batch:
    """Consecutive segments of equal length, separated in lockstep."""

    starts: tuple[int, ...]
    """First sample that is kept of each segment's estimates."""
    length: int
    """Samples that are kept."""
    cuts: tuple[int, ...]
    """First sample that the network sees of each segment: it may see more of the song than is kept."""
    span: int
    """Samples that the network sees."""


def plan(samples: int, cutting: Cutting, workers: int = 1) -> list[Batch]:
    """The batches that `planning.batches` cuts a song into."""
    fields = planning.batches(samples, **asdict(cutting), workers=workers)
    return [Batch(*each) for each in fields]


@dataclass(frozen=True)
class Part:
    """Consecutive batches of a song, to be separated by themselves.

    first: the first sample of the song that its batches read. samples: length of its estimates. is_first, is_last:
    whether it begins or ends the song. Neighbours' estimates share `Cutting.overlap` samples, over which they fade.
    """

    batches: tuple[Batch, ...]
    first: int
    samples: int
    is_first: bool
    is_last: bool


def split(samples: int, cutting: Cutting, count: int) -> list[Part]:
    """The parts that a song is separated in: at most `count`, as even as its batches allow.

    A part's estimates have the bits that they have in the whole song.
    """
    batches = plan(samples, cutting)
    out = []
    for place in threads.parts(len(batches), count) if batches else ():
        some = tuple(batches[place])
        is_last = place.stop == len(batches)
        end = samples if is_last else some[-1].starts[-1] + some[-1].length
        out.append(Part(some, some[0].cuts[0], end - some[0].starts[0], place.start == 0, is_last))
    return out


def join(parts: Iterable[Iterable[Float]], overlap: int) -> Iterator[Float]:
    """The estimates of a song's parts, each (…, n) a stretch at a time, as those of the whole song."""
    tail: Float | None = None
    for part in parts:
        held: Float | None = None
        for stretch in part:
            held = stretch if held is None else np.concatenate([held, stretch], axis=-1)
            if held.shape[-1] <= overlap:
                continue
            if tail is not None:
                held = np.concatenate([held[..., :overlap] + tail, held[..., overlap:]], axis=-1)
                tail = None
            yield held[..., :-overlap]
            held = held[..., -overlap:]
        tail = tail if held is None else held
    if tail is not None:
        yield tail


def cut(audio: Float, batch: Batch) -> Float:
    """The mixture of a batch: (channels, samples) to (segments, channels, span), zeros past the end."""
    out = np.zeros((len(batch.cuts), len(audio), batch.span), np.float32)
    for segment, start in zip(out, batch.cuts, strict=True):
        piece = audio[:, start : start + batch.span]
        segment[:, : piece.shape[1]] = piece
    return out


def keep(estimates: Float, batch: Batch, index: int) -> Float:
    """What is kept of a segment's estimates: (…, span) to (…, length), a view."""
    before = batch.starts[index] - batch.cuts[index]
    return estimates[..., before : before + batch.length]


class Cutter:
    """Cuts batches, in order, out of a song that comes in blocks, and keeps no more of it than the next batch needs."""

    def __init__(self, blocks: Iterable[Float]):
        """blocks: float32 (channels, n), of any length."""
        self._blocks = iter(blocks)
        self._held: Float | None = None
        self._start = 0  # the song's sample with which it begins

    def cut(self, batch: Batch) -> Float:
        """As `cut`. The batch begins no earlier than the one before."""
        start, end = batch.cuts[0], batch.cuts[-1] + batch.span
        held = [] if self._held is None else [self._held[:, start - self._start :]]
        count = sum(block.shape[-1] for block in held)
        while count < end - start and (block := next(self._blocks, None)) is not None:
            held.append(block)
            count += block.shape[-1]
        # One block stays what it is: a song that is in memory as a whole isn't copied.
        self._held = held[0] if len(held) == 1 else np.concatenate(held, axis=-1)
        self._start = start
        return cut(self._held, replace(batch, cuts=tuple(place - start for place in batch.cuts)))


def fade(estimates: Float, overlap: int, first: bool, last: bool) -> None:
    """Fade a segment's estimates (…, length) in and out where it has neighbours, in place.

    This is one half of a cross-fade. `Joiner` adds the halves; between batches, the page's `worker.join` does.

    first, last: whether the segment begins or ends the song; those ends stay as they are.
    """
    rising = (np.arange(overlap, dtype=np.float32) + np.float32(0.5)) / np.float32(overlap)
    if not first:
        estimates[..., :overlap] *= rising
    if not last:
        estimates[..., -overlap:] *= rising[::-1]


class Joiner:
    """Adds up faded segments, and gives the signal a stretch at a time."""

    def __init__(self, overlap: int):
        self.overlap = overlap
        self._tail: Float | None = None

    def add(self, estimates: Float, last: bool) -> Float:
        """Take the next segment (…, length), faded; return the stretch that no later segment changes."""
        if self._tail is not None:
            estimates[..., : self.overlap] += self._tail
        if last:
            return estimates
        self._tail = estimates[..., -self.overlap :].copy()
        return estimates[..., : -self.overlap]
