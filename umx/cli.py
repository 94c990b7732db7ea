"""The command line: `python -m umx separate SONG… -o DIR`."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from tqdm import tqdm

from . import audio
from .separator import AGGREGATES, DEFAULT_MODEL, RESIDUAL, Separator, with_aggregates
from .types import Float
from .weights import WeightsError, find_model, load_model

TITLES = {"other": "melody"}
"""What files call a target where people use another word than the field."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="umx", description="Separate songs into stems.")
    commands = top.add_subparsers(required=True)
    sub = commands.add_parser("separate", help="write the stems of songs as WAV files")
    sub.add_argument("songs", nargs="+", type=Path, metavar="SONG")
    sub.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="default: here"
    )
    sub.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
    sub.add_argument(
        "--stems",
        type=lambda text: [TITLES.get(stem, stem) for stem in text.split(",")],
        metavar="NAME,…",
        help="only these, such as vocals,karaoke (default: all that the model gives)",
    )
    sub.add_argument("--residual", action="store_true", help="also write what the targets leave")
    sub.set_defaults(run=separate)
    return top


def names_of(targets: Sequence[str]) -> list[str]:
    """What targets give: themselves, and the aggregates that they make up."""
    return [*targets, *(name for name, parts in AGGREGATES.items() if set(parts) <= set(targets))]


def targets_of(stems: Sequence[str], available: Sequence[str]) -> list[str]:
    """The targets that the wanted stems need, in the model's order. Raises ValueError for an unknown stem."""
    names = {TITLES.get(name, name): name for name in names_of(available)}
    needed: set[str] = set()
    for stem in stems:
        if stem not in names:
            raise ValueError(f"There is no stem {stem!r}; choose from {', '.join(names)}.")
        needed.update(AGGREGATES.get(names[stem], (names[stem],)))
    return [target for target in available if target in needed]


def separate(args: argparse.Namespace) -> int:
    """Separate every song; a song that fails is named, and the others are still done."""
    try:
        model = load_model(find_model(args.model))
        targets = targets_of(args.stems, tuple(model.targets)) if args.stems else None
        separator = Separator(model, targets=targets, residual=args.residual)
        args.output.mkdir(parents=True, exist_ok=True)
    except (WeightsError, ValueError, OSError) as error:
        print(f"umx: {error}", file=sys.stderr)
        return 2
    titles = [TITLES.get(name, name) for name in names_of(separator.targets)]
    wanted = [t for t in titles if not args.stems or t in args.stems or t == RESIDUAL]
    failures = 0
    for song, paths in zip(args.songs, places(args.songs, args.output, wanted), strict=True):
        try:
            write(song, separator, paths)
        except (audio.AudioError, OSError) as error:
            print(f"umx: {error}", file=sys.stderr)
            failures += 1
    return 1 if failures else 0


def places(songs: Sequence[Path], folder: Path, titles: Iterable[str]) -> list[dict[str, Path]]:
    """Where each song's stems go, by title: "Song - stem.wav".

    Songs of one name are numbered, so that no file is written twice, nor over one of the songs.
    """
    taken = {_identity(song) for song in songs}
    out = []
    for song in songs:
        for number in count(1):
            name = song.stem if number == 1 else f"{song.stem} ({number})"
            paths = {title: folder / f"{name} - {title}.wav" for title in titles}
            if taken.isdisjoint(map(_identity, paths.values())):
                break
        taken.update(map(_identity, paths.values()))
        out.append(paths)
    return out


def _identity(path: Path) -> str:
    """The same for paths that may be one file: on some systems, upper and lower case are."""
    return os.path.realpath(path).casefold()


def write(song: Path, separator: Separator, paths: Mapping[str, Path]) -> None:
    """Separate one song into files by title."""
    rate = separator.manifest.sample_rate
    mixture = audio.read(song, rate)

    def stretches() -> Iterator[dict[str, Float]]:
        layout = "{desc} {percentage:3.0f}% |{bar}| {remaining} left"
        with tqdm(desc=song.stem, total=1.0, bar_format=layout, disable=None) as bar:
            for estimates in separator.stream(mixture, lambda done: bar.update(done - bar.n)):
                named = with_aggregates(estimates, separator.targets)
                yield {TITLES.get(name, name): stem for name, stem in named.items()}

    loud = audio.write_stems(paths, stretches(), rate)
    for path in paths.values():
        print(path)
    if loud:
        print(
            f"umx: {song}: {loud} samples were louder than 16 bits can hold and were limited.",
            file=sys.stderr,
        )


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    code: int = args.run(args)
    return code
