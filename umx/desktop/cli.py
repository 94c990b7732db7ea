"""The command line: `python -m umx separate SONG… -o DIR`."""

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from itertools import count
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from ..errors import WeightsError
from ..format.library import Model, find_model, load_model
from ..names import RESIDUAL, title_of
from ..separator import DEFAULT_MODEL, Separator
from ..stems import named, targets_for, titles_of
from ..types import Float
from ..version import VERSION
from .audio import AudioError, write_stems
from .song import Song

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="umx", description="Separate songs into stems.")
    top.add_argument("--version", action="version", version=f"umx {VERSION}")
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
        default=[],
        metavar="NAME,…",
        help="only these, such as vocals,karaoke (default: all that the model gives)",
    )
    sub.add_argument(
        "--residual",
        action="store_true",
        help="also write what the chosen stems leave of the song, as “rest”",
    )
    sub.set_defaults(run=separate)
    return top


def prepare(model: Model, stems: Sequence[str], residual: bool) -> tuple[Separator, list[str]]:
    """A separator for the wanted stems, or for all, and the titles of their files.

    residual: whether "rest" is wanted, too. Raises ValueError for a stem that the model can't give.
    """
    available = model.manifest.targets
    wanted = [title_of(stem) for stem in stems] or titles_of(available)
    if residual:
        wanted.append(title_of(RESIDUAL))
    # Where some targets are wanted, karaoke is made of the residual.
    apart = residual or bool(stems)
    return Separator(model, targets=targets_for(stems, available), residual=apart), wanted


def separate(args: argparse.Namespace) -> int:
    """Separate every song. One that fails is named, and doesn't stop the others. Returns the exit status."""
    try:
        model = load_model(find_model(args.model))
        separator, titles = prepare(model, args.stems, args.residual)
    except (WeightsError, ValueError, OSError) as error:
        say(f"umx: {error}", sys.stderr)
        return 2
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        say(f"umx: {args.output} can't be made a folder: {error.strerror}.", sys.stderr)
        return 2
    failures = 0
    for song, paths in zip(args.songs, places(args.songs, args.output, titles), strict=True):
        try:
            write(song, separator, paths)
        except AudioError as error:
            say(f"umx: {error}", sys.stderr)
            failures += 1
        except Exception as error:  # of any kind: the next song may not have it
            say(f"umx: {song} can't be separated: {type(error).__name__}: {error}", sys.stderr)
            failures += 1
    return 1 if failures else 0


def places(songs: Sequence[Path], folder: Path, titles: Iterable[str]) -> list[dict[str, Path]]:
    """Paths of each song's stems by title: "Song - stem.wav".

    Songs of the same name are numbered, so that no file is written twice, and no song overwritten.
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
    """A key that is the same for paths that may be one file; some systems ignore case."""
    return os.path.realpath(path).casefold()


def write(path: Path, separator: Separator, paths: Mapping[str, Path]) -> None:
    """Separate one song into files by title. Raises AudioError."""
    rate = separator.manifest.sample_rate
    available = separator.manifest.targets
    with Song(path, rate) as song:

        def stretches() -> Iterator[dict[str, Float]]:
            layout = "{desc} {percentage:3.0f}% |{bar}| {remaining} left"
            with tqdm(desc=path.stem, total=1.0, bar_format=layout, disable=None) as bar:
                for estimates in separator.stream(
                    song.blocks(), song.samples, song.level, lambda done: bar.update(done - bar.n)
                ):
                    stems = named(estimates, separator.targets, available)
                    yield {title_of(name): stem for name, stem in stems.items()}

        loud = write_stems(paths, stretches(), song.samples, rate)
    for stem in paths.values():
        say(str(stem), sys.stdout)
    if song.broken is not None:
        minutes, seconds = divmod(int(song.broken), 60)
        say(f"umx: {path} is damaged: it was read up to {minutes}:{seconds:02}.", sys.stderr)
    if loud:
        say(
            f"umx: {path}: {loud} samples were louder than 16 bits can hold and were limited.",
            sys.stderr,
        )


def say(line: str, stream: TextIO) -> None:
    """Print a line; a closed pipe is no error."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        # The line is still in the stream, and flushing it at the end of the program would fail again.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def open_streams() -> None:
    """Have the standard streams print any file's name, whose bytes need not be text.

    A closed stream is opened to nowhere. Otherwise the next file that is opened gets its number, and messages go there.
    """
    for name, mode in ("stdin", "r"), ("stdout", "w"), ("stderr", "w"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(
            encoding=sys.getfilesystemencoding(), errors=sys.getfilesystemencodeerrors()
        )


def stop(number: int, frame: object) -> None:
    """Tidy up, without interference by other signals, and end with the status of a program that a signal ends."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    open_streams()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, stop)
    args = parser().parse_args(argv)
    code: int = args.run(args)
    for number, handler in before.items():
        signal.signal(number, handler)
    return code
