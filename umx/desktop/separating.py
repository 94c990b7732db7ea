"""One song's file to the files of its stems."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from ..models import Progress
from ..names import MIX, title_of
from ..separator import Separator
from ..signal.sharing import share_out
from ..stems import named
from ..types import Float
from .audio import Form, stem_file, write_stems
from .song import Song
from .tags import read_tags, write_tags


@dataclass(frozen=True)
class Shape:
    """What files of stems are like. own_rate: whether they have the song's sample rate, where the form has it."""

    form: Form
    own_rate: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a song went.

    seconds: of music. loud: samples that were limited to full scale. broken: the second from which on the song couldn't
    be read; None if it could.
    """

    seconds: float
    loud: int
    broken: float | None

    def notes(self) -> list[str]:
        """What to say of it, to go behind the song's name."""
        notes = []
        if self.broken is not None:
            minutes, seconds = divmod(int(self.broken), 60)
            notes.append(f"is damaged: it was read up to {minutes}:{seconds:02}.")
        if self.loud:
            notes.append(
                f"has {self.loud} samples in its stems that were too loud and were limited."
            )
        return notes


def separate_song(
    path: Path,
    separator: Separator,
    paths: Mapping[str, Path],
    shape: Shape,
    progress: Progress,
) -> Outcome:
    """Separate a song into files by the titles of stems, or into that of MIX. Raises AudioError."""
    with Song(path, separator.manifest.sample_rate) as song:
        estimates = separator.stream(song.blocks(), song.samples, song.level, progress)
        available = separator.manifest.targets
        return write_song(song, estimates, separator.targets, available, paths, shape)


def write_song(
    song: Song,
    estimates: Iterable[Float],
    targets: Sequence[str],
    available: Sequence[str],
    paths: Mapping[str, Path],
    shape: Shape,
) -> Outcome:
    """Write a song's stems while its estimates come in: (targets, 2, n) each, which sum to the song.

    available: all of the model's targets. Raises AudioError.
    """
    usual, form = song.rate, shape.form
    rate = form.rate(song.own_rate if shape.own_rate else usual, usual)
    if rate != usual:
        estimates = _resampled(estimates, usual, rate)
        if rate == song.own_rate:
            estimates = _completed(estimates, song.own_blocks())
    stretches = (
        {title_of(name): stem for name, stem in named(each, targets, available).items()}
        for each in estimates
    )
    if form.holds_all:
        side_by_side = stem_file().side_by_side
        stretches = ({MIX: side_by_side(stems)} for stems in stretches)
    tags = read_tags(song.file)

    def finish(title: str, file: Path, container: str) -> None:
        write_tags(file, container, tags.of_part(song.path.stem, title))

    samples = round(song.samples * rate / usual)
    loud = write_stems(paths, stretches, samples, rate, form, finish)
    return Outcome(song.samples / usual, loud, song.broken)


def _resampled(stretches: Iterable[Float], source: int, target: int) -> Iterator[Float]:
    """(targets, channels, n) at another sample rate, a stretch at a time."""
    stream = None
    for stretch in stretches:
        shape = stretch.shape[:-1]
        stream = stream or soxr.ResampleStream(source, target, int(np.prod(shape)))
        flat = np.ascontiguousarray(stretch.reshape(-1, stretch.shape[-1]).T)
        yield stream.resample_chunk(flat).T.reshape(*shape, -1)
    if stream:
        rest = stream.resample_chunk(np.zeros((0, int(np.prod(shape))), np.float32), last=True)
        yield rest.T.reshape(*shape, -1)


def _completed(stretches: Iterable[Float], blocks: Iterable[Float]) -> Iterator[Float]:
    """Have estimates sum to the song, whose top of the spectrum is lost where it was resampled.

    stretches: (targets, 2, n); blocks: the song, (2, n), at the same sample rate. As long as the song.
    """
    held, song, targets = np.zeros((2, 0), np.float32), iter(blocks), 1
    for stretch in stretches:
        targets = len(stretch)
        while held.shape[1] < stretch.shape[-1] and (block := next(song, None)) is not None:
            held = np.concatenate([held, block], axis=1)
        mixture, held = np.split(held, [stretch.shape[-1]], axis=1)
        yield _shared(stretch[..., : mixture.shape[1]], mixture)
    for mixture in (held, *song):
        yield _shared(np.zeros((targets, *mixture.shape), np.float32), mixture)


def _shared(estimates: Float, mixture: Float) -> Float:
    estimates = np.array(estimates)
    if mixture.shape[1]:
        share_out(estimates, mixture)
    return estimates
