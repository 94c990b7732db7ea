"""The command line: `python -m umx separate SONG… -o DIR`."""

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..format.library import (
    DEFAULT_MODEL,
    Model,
    best_model,
    find_model,
    load_model,
    model_places,
    user_models,
)
from ..format.manifest import Manifest
from ..models.official import OFFICIAL
from ..names import KARAOKE, MIX, RESIDUAL, title_of
from ..separator import Separator
from ..stem_atom import STEMS
from ..stems import targets_for, titles_of
from ..version import VERSION
from . import models
from .audio import FORMS, AudioError, find_form, stem_file
from .collection import Entry, collect, places
from .separating import Shape, separate_song
from .telling import TELLINGS, Telling, say

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
NO_CLUSTER = "Clusters need dask.distributed: pip install 'umx[cluster]'"
STATUS = """exit status:
  0    every song is done, or was there already
  1    some songs failed; the last lines name them
  2    nothing was begun: an argument, the model or the folder for stems is wrong; or the cluster can't be worked with
  128+ a signal has ended it, such as 130 for Ctrl-C; no file is left half-written
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="umx", description="Separate songs into stems.")
    top.add_argument("--version", action="version", version=f"umx {VERSION}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    models.add_commands(
        commands.add_parser("models", help="get, convert, list, check and remove models"),
        "umx",
        user_models(),
        others=[place for place in model_places() if place != user_models()],
    )
    sub = commands.add_parser(
        "separate",
        help="write the stems of songs as files",
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument(
        "songs",
        nargs="+",
        metavar="SONG",
        help="a file; a folder, with all that is below it; or a pattern in quotes, such as 'Music/**/*.flac'",
    )
    sub.add_argument(
        "-o",
        "--output",
        default=".",
        metavar="DIR",
        help="for the stems, in folders like those of the songs (default: here)",
    )
    sub.add_argument("--model", help="name or folder (default: the best that is here)")
    sub.add_argument(
        "--stems",
        type=lambda text: text.split(","),
        action="extend",
        default=[],
        metavar="NAME,…",
        help="only these, such as vocals,karaoke (default: all that the model gives)",
    )
    sub.add_argument(
        "--karaoke",
        action="append_const",
        dest="stems",
        const=KARAOKE,
        help="only the song without its vocals: --stems karaoke",
    )
    sub.add_argument(
        "--residual",
        action="store_true",
        help="also write what the chosen stems leave of the song, as “rest”",
    )
    sub.add_argument(
        "--format",
        choices=list(FORMS),
        default="wav",
        help="default: %(default)s. stem.mp4 is one file for DJ programs, Native Instruments' Stems: the mix, drums, "
        "bass, melody and vocals (pip install 'umx[stems]')",
    )
    sub.add_argument(
        "--bits",
        choices=["16", "24", "float"],
        help="of a sample in WAV, or in FLAC but for float, which keeps what is louder than full scale (default: 16)",
    )
    sub.add_argument(
        "--rate",
        choices=["song", "44100"],
        default="44100",
        help="sample rate: each song's own where the format has it, or %(default)s (the default); Opus has 48000 "
        "alone, stem.mp4 44100",
    )
    sub.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out songs whose stems are all there, to go on where a run was stopped",
    )
    sub.add_argument("--json", action="store_true", help="say how it goes in lines of JSON")
    sub.add_argument(
        "--threads", type=int, metavar="N", help="at work at a time (default: one a core)"
    )
    sub.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="work on the cluster of this dask scheduler, such as tcp://host:8786. Songs and output are on disks that "
        "all of its workers share, or URLs, such as s3://bucket/songs (pip install 'umx[cluster]')",
    )
    sub.set_defaults(run=separate)
    return top


def prepare(manifest: Manifest, stems: Sequence[str], residual: bool) -> dict[str, Any]:
    """What a `Separator` takes for the wanted stems, or for all of the model.

    residual: whether "rest" is wanted, too. Raises ValueError for a stem that the model can't give.
    """
    # Where some targets are wanted, karaoke is made of the residual.
    targets = targets_for(stems, manifest.targets)
    return {"targets": targets, "residual": residual or bool(stems)}


def check_whole(manifest: Manifest, chosen: bool) -> None:
    """Raise ValueError unless stem.mp4 can be written of a model. chosen: whether only some stems are wanted."""
    stem_file()
    titles, needed = map(title_of, manifest.targets), [title for title, _ in STEMS]
    if sorted(titles) != sorted(needed):
        raise ValueError(f"stem.mp4 has {', '.join(needed)}; {manifest.name} gives other stems.")
    if chosen:
        raise ValueError("stem.mp4 has all stems: leave out --stems, --karaoke and --residual.")


def separate(args: argparse.Namespace) -> int:
    """Separate every song. One that fails is named, and doesn't stop the others. Returns the exit status."""
    addresses = [place for place in (*args.songs, args.output) if "://" in place]
    try:
        if addresses and not args.dask:
            raise ValueError(f"{addresses[0]} is an address; such need --dask.")
        shape = Shape(find_form(args.format, args.bits), own_rate=args.rate == "song")
        model = load_model(find_model(args.model) if args.model else best_model())
        if shape.form.holds_all:
            check_whole(model.manifest, args.stems or args.residual)
        options = prepare(model.manifest, args.stems, args.residual) | {"threads": args.threads}
        separator = None if args.dask else Separator(model, **options)
    except (WeightsError, ValueError, OSError) as error:
        say(f"umx: {error}", sys.stderr)
        return 2
    protocol, _, folder = args.output.rpartition("://")
    output = Path(folder)
    if not protocol:
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            say(f"umx: {output} can't be made a folder: {error.strerror}.", sys.stderr)
            return 2
    if not args.model and model.manifest.name == DEFAULT_MODEL:
        tell_of_better()
    every = titles_of(model.manifest.targets)
    titles = [*dict.fromkeys(map(title_of, args.stems))] or every
    titles += [title_of(RESIDUAL)] * args.residual
    if shape.form.holds_all:
        titles = [MIX]
    try:
        entries, empty = collect(args.songs, output, [*every, title_of(RESIDUAL)])
    except ImportError:
        say(f"umx: {NO_CLUSTER}", sys.stderr)
        return 2
    telling = TELLINGS[args.json](len(entries) + len(empty))
    try:
        for argument, why in empty.items():
            telling.failed(argument, why)
        songs = zip(entries, places(entries, output, titles, shape.form.ending), strict=True)
        if separator:
            failures = one_by_one(songs, separator, shape, args.skip_existing, telling)
        else:
            failures = on_cluster(args, songs, model, options, shape, protocol, telling)
        telling.end()
    except ClusterError as error:
        say(f"umx: {error}", sys.stderr)
        return 2
    finally:
        telling.close()
    return 1 if failures or empty else 0


def one_by_one(
    songs: Iterable[tuple[Entry, Mapping[str, Path]]],
    separator: Separator,
    shape: Shape,
    skip_existing: bool,
    telling: Telling,
) -> int:
    """Separate songs on this machine. Returns how many failed."""
    failures = 0
    for entry, paths in songs:
        song = entry.address
        if skip_existing and all(path.exists() for path in paths.values()):
            telling.skipped(song)
            continue
        try:
            outcome = separate_song(entry.path, separator, paths, shape, telling.progress(song))
        except AudioError as error:
            telling.failed(song, str(error))
            failures += 1
        except Exception as error:  # of any kind: the next song may not have it
            telling.failed(song, f"{song} can't be separated: {type(error).__name__}: {error}")
            failures += 1
        else:
            telling.done(song, {title: str(path) for title, path in paths.items()}, outcome)
    return failures


class ClusterError(Exception):
    """A cluster that can't begin; says why."""


def on_cluster(
    args: argparse.Namespace,
    songs: Iterable[tuple[Entry, Mapping[str, Path]]],
    model: Model,
    options: Mapping[str, Any],
    shape: Shape,
    protocol: str,
    telling: Telling,
) -> int:
    """Separate songs on a cluster. protocol: the output's. Returns how many failed. Raises ClusterError."""
    try:
        from .cluster import Job, SeparatorPlugin, run
    except ImportError as error:
        raise ClusterError(NO_CLUSTER) from error

    def address(path: Path, protocol: str) -> str:
        # Workers have other working folders.
        return f"{protocol}://{path.as_posix()}" if protocol else path.absolute().as_posix()

    jobs = (
        Job(
            address(entry.path, entry.protocol.removesuffix("://")),
            {title: address(path, protocol) for title, path in paths.items()},
            shape,
        )
        for entry, paths in songs
    )
    try:
        plugin = SeparatorPlugin(model, **options)
        return run(args.dask, jobs, plugin, telling, args.skip_existing)
    except Exception as error:  # of any kind: workers' own errors come here, too
        raise ClusterError(
            f"{args.dask} can't be worked with: {type(error).__name__}: {error}"
        ) from error


def tell_of_better() -> None:
    """Say once, at the first run, how to get a better model. The folder for models is there from then on."""
    folder, best = user_models(), OFFICIAL["umxl"]
    if not folder.exists():
        say(
            f"umx: This is {DEFAULT_MODEL}, a small model to try everything with. {best.title} is far better: "
            f"umx models get umxl brings it from its makers ({best.licence}).",
            sys.stderr,
        )
        with suppress(OSError):
            folder.mkdir(parents=True)


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
