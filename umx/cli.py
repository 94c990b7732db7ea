"""The command line: `python -m umx separate SONG… -o DIR`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
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
        type=lambda text: text.split(","),
        metavar="NAME,…",
        help="only these, such as vocals,karaoke (default: all that the model gives)",
    )
    sub.add_argument("--residual", action="store_true", help="also write what the targets leave")
    sub.set_defaults(run=separate)
    return top


def targets_of(stems: Sequence[str], available: Sequence[str]) -> list[str]:
    """The targets that the wanted stems need, in the model's order. Raises ValueError for an unknown stem."""
    names = {title: target for target, title in TITLES.items()}
    needed: set[str] = set()
    for stem in stems:
        target = names.get(stem, stem)
        if target not in (*available, *AGGREGATES):
            known = ", ".join(TITLES.get(name, name) for name in (*available, *AGGREGATES))
            raise ValueError(f"There is no stem {stem!r}; choose from {known}.")
        needed.update(AGGREGATES.get(target, (target,)))
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
    failures = 0
    for song in args.songs:
        try:
            write(song, separator, args.output, args.stems)
        except (audio.AudioError, OSError) as error:
            print(f"umx: {error}", file=sys.stderr)
            failures += 1
    return 1 if failures else 0


def write(song: Path, separator: Separator, folder: Path, stems: Sequence[str] | None) -> None:
    """Separate one song into `folder`, as "Title - stem.wav"."""
    rate = separator.manifest.sample_rate
    mixture = audio.read(song, rate)

    def stretches() -> Iterator[dict[str, Float]]:
        layout = "{desc} {percentage:3.0f}% |{bar}| {remaining} left"
        with tqdm(desc=song.stem, total=1.0, bar_format=layout, disable=None) as bar:
            for estimates in separator.stream(mixture, lambda done: bar.update(done - bar.n)):
                named = with_aggregates(estimates, separator.targets)
                yield {TITLES.get(name, name): stem for name, stem in named.items()}

    every = [*separator.targets]
    every += [name for name, parts in AGGREGATES.items() if set(parts) <= set(every)]
    titles = [TITLES.get(name, name) for name in every]
    wanted = [t for t in titles if not stems or t in stems or t == RESIDUAL]
    paths = {title: folder / f"{song.stem} - {title}.wav" for title in wanted}
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
