"""How a song is cut into overlapping segments, and how their estimates become one again.

Neighbouring segments share `overlap` samples, over which one fades out linearly as the next fades in (a triangular
cross-fade, as in Demucs). Segments are separated several at a time, in lockstep, so a network's weights are read once
for all of them; such a batch is the unit of work of a worker.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .models import Cutting
from .types import Float


@dataclass(frozen=True)
class Batch:
    """Consecutive segments of equal length, separated in lockstep."""

    starts: tuple[int, ...]
    length: int


def plan(samples: int, cutting: Cutting, workers: int = 1) -> list[Batch]:
    """Cut a song into batches of equal size, as many for one worker as for the next, in the song's order.

    Segments get as much shorter than `cutting.segment` as it takes for the work to come out even, so that no worker is
    left alone with the end of the song. The last one may reach past the end by less than one sample a segment.
    """
    if samples <= 0:
        return []
    segment, overlap, lanes = cutting.segment, cutting.overlap, cutting.lanes
    count = max(1, -(-(samples - overlap) // (segment - overlap)))
    batches = count if count < workers else -(-count // (lanes * workers)) * workers
    each = -(-count // batches)
    count = each * batches
    if count == 1:
        return [Batch((0,), samples)]
    stride = -(-(samples - overlap) // count)
    return [
        Batch(tuple(i * stride for i in range(b * each, (b + 1) * each)), stride + overlap)
        for b in range(batches)
    ]


def cut(audio: Float, batch: Batch) -> Float:
    """The mixture of a batch: (channels, samples) to (segments, channels, length), zeros past the end."""
    out = np.zeros((len(batch.starts), len(audio), batch.length), np.float32)
    for segment, start in zip(out, batch.starts, strict=True):
        piece = audio[:, start : start + batch.length]
        segment[:, : piece.shape[1]] = piece
    return out


class Cutter:
    """Cuts batches, in order, out of a song that comes in blocks, and keeps no more of it than the next batch needs."""

    def __init__(self, blocks: Iterable[Float]):
        """blocks: float32 (channels, n), of any length."""
        self._blocks = iter(blocks)
        self._held: Float | None = None
        self._start = 0  # of what is held, in samples of the song

    def cut(self, batch: Batch) -> Float:
        """As `cut`. The batch begins no earlier than the one before."""
        start, end = batch.starts[0], batch.starts[-1] + batch.length
        held = [] if self._held is None else [self._held[:, start - self._start :]]
        count = sum(block.shape[-1] for block in held)
        while count < end - start and (block := next(self._blocks, None)) is not None:
            held.append(block)
            count += block.shape[-1]
        # One block stays what it is: a song that is in memory as a whole isn't copied.
        self._held = held[0] if len(held) == 1 else np.concatenate(held, axis=-1)
        self._start = start
        return cut(self._held, Batch(tuple(s - start for s in batch.starts), batch.length))


def fade(estimates: Float, overlap: int, first: bool, last: bool) -> None:
    """Fade a segment's estimates (…, length) in and out where it has neighbours, in place.

    first, last: whether the segment begins or ends the song; those ends stay as they are.
    """
    rising = (np.arange(overlap, dtype=np.float32) + np.float32(0.5)) / np.float32(overlap)
    if not first:
        estimates[..., :overlap] *= rising
    if not last:
        estimates[..., -overlap:] *= rising[::-1]


class Joiner:
    """Adds faded segments up to one signal, a stretch at a time."""

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
