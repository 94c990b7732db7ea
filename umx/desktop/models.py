"""Models on this machine: got from their makers, converted, listed, checked, removed.

These are the commands of `umx models`, and of scripts/weights.py. An interrupted download goes on where it stopped. A
model appears in its folder when it is whole.
"""

import argparse
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from ..errors import WeightsError
from ..format.convert import convert as convert_checkpoints
from ..format.convert import undescribed
from ..format.library import DEFAULT_MODEL, load_model, read_manifest
from ..format.manifest import USUAL_SNR, Manifest
from ..models.official import OFFICIAL, Official
from ..models.openunmix.training_folder import read_folder
from ..names import CHECKPOINTS, MANIFEST
from .download import DownloadError, Report, fetch, matches, sha256, terminal_report

DOWNLOAD = 0.9
"""The share of downloads in the progress of `get`; converting is the rest."""
CONVERSION_SECONDS = 4.0
"""Time for a target of UMX-L's size on one core, until the first target's is known."""
PAUSE = 0.5
"""Seconds between two lines for a program, at least."""
PRESETS = """presets:
  web    the smallest files whose stems are as good
  best   all bits that a weight may have
  fine   for small Open-Unmix models: 4 bits a weight, where "web" has 3
  small  for HTDemucs and slow lines: 8 bits a weight, where the others have up to 13
"""


class UsageError(Exception):
    """A message for the user, which ends the command."""


def add_commands(
    top: argparse.ArgumentParser,
    name: str,
    folder: Path,
    others: Sequence[Path] = (),
    changed: Callable[[Path], object] = lambda folder: None,
) -> None:
    """Give a parser the commands. Each sets "run", to be called with the arguments; it returns the exit status.

    name: the program's, to begin its messages with. folder: where models are, unless the user names another; others:
    folders whose models are shown, too.
    changed: called with the folder when its models have changed.
    """
    top.add_argument(
        "--weights", type=Path, default=folder, help="where models are (default: %(default)s)"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(command: str, run: Callable[..., None], changes: bool, **texts: Any) -> Any:
        sub = commands.add_parser(command, **texts)
        sub.set_defaults(run=partial(guarded, run, changes, name))
        return sub

    top.set_defaults(others=others, changed=changed, command=top.prog)

    converting = {"epilog": PRESETS, "formatter_class": argparse.RawDescriptionHelpFormatter}
    get_parser = add("get", get, True, help="download and convert an official model", **converting)
    get_parser.add_argument("name", choices=list(OFFICIAL))
    get_parser.add_argument(
        "--from",
        dest="source",
        type=existing_folder,
        metavar="DIR",
        help="take its .pth or .th files from here",
    )
    get_parser.add_argument(
        "--as-json", action="store_true", help="print progress as JSON lines, for programs"
    )
    convert_parser = add("convert", convert, True, help="convert a model of your own", **converting)
    convert_parser.add_argument("source", type=existing_path, metavar="DIR|FILE")
    convert_parser.add_argument("--name", type=model_name, required=True)
    for sub in (get_parser, convert_parser):
        sub.add_argument(
            "--preset",
            choices=["web", "fine", "best", "small"],
            default="web",
            help="default: %(default)s",
        )
    add("list", show, False, help="list the models here, and those that could be")
    verify_parser = add("verify", verify, False, help="check every byte of the models here")
    verify_parser.add_argument("names", type=model_name, nargs="*", metavar="NAME")
    remove_parser = add(
        "remove", remove, True, help="delete a model, or what is left of a download"
    )
    remove_parser.add_argument("name", type=model_name)


def guarded(
    run: Callable[[argparse.Namespace], None], changes: bool, name: str, args: argparse.Namespace
) -> int:
    """Run a command. Returns the exit status; what goes wrong is said in a sentence."""
    try:
        if changes:
            args.weights.mkdir(parents=True, exist_ok=True)
        with alone(args.weights, name) if changes else nullcontext():
            run(args)
    except (UsageError, DownloadError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        place = error.filename or args.weights
        print(
            f"{name}: {place}: {error.strerror}. "
            "Make sure that it may be read and written and that there is room, and start again.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


@contextmanager
def alone(weights: Path, name: str) -> Iterator[None]:
    """Wait until no other process changes the models in a folder, and keep others waiting meanwhile.

    Windows locks no folders: there, nobody waits.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    folder = os.open(weights, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another {name} that changes {weights} …", flush=True)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)  # which ends the lock


def model_name(text: str) -> str:
    if not re.fullmatch(r"[\w-]{1,64}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no model's name: letters, digits, - and _ are"
        )
    return text


def existing_path(text: str) -> Path:
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"there is no folder or file {text!r}")
    return Path(text)


def existing_folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text!r}")
    return Path(text)


def manifests(folder: Path) -> dict[str, Manifest]:
    """The models in a folder, by the names of theirs. Raises WeightsError for a damaged one."""
    paths = sorted(folder.glob(f"*/{MANIFEST}"))
    return {
        path.parent.name: read_manifest(path.parent)
        for path in paths
        if path.parent.suffix != ".part"
    }


def size_of(manifest: Manifest) -> int:
    """Bytes of a model's files."""
    return sum(entry.size for entry in manifest.files)


def get(args: argparse.Namespace) -> None:
    here = manifests(args.weights).get(args.name)
    if here and here.preset == args.preset:
        print(f"{args.name} is in {args.weights} already; remove it to get it anew.")
        return
    official = OFFICIAL[args.name]
    work = work_folder(args)
    progress = JsonProgress(len(official.checkpoints)) if args.as_json else Progress()
    if args.source:
        paths = find(official, args.source)
    else:
        paths = {c.targets: work / c.file for c in official.checkpoints}
        try:
            for checkpoint in official.checkpoints:
                path = paths[checkpoint.targets]
                bring(checkpoint.url, path, checkpoint.sha256, progress)
        except DownloadError as error:
            raise UsageError(by_hand(official, args, error)) from error
    print(f"{official.title} is licensed {official.licence}: {official.source}")
    build(args, args.name, paths, official.known, official.fields(), progress)


def bring(url: str, path: Path, expected: str, progress: "Progress") -> None:
    """Download a file, unless it is at `path` already."""
    if not (path.exists() and matches(sha256(path), expected)):
        fetch(url, path, expected, report=progress.download(path.name))
    progress.downloaded(path.name)


class Progress:
    """Tells people how far `get` is."""

    def download(self, name: str) -> Report:
        return terminal_report(name)

    def downloaded(self, name: str) -> None:
        print(f"{name} is here.", flush=True)

    def converting(self, target: str) -> None:
        print(f"Converting {target} …", flush=True)


class JsonProgress(Progress):
    """Tells programs: a line has the fraction that is done and the seconds left, null while nobody knows."""

    def __init__(self, count: int) -> None:
        """count: of checkpoints, which are taken to be of one size."""
        self.count = count
        self.here = self.converted = 0  # files
        self.got = 0  # bytes, in this run
        self.begun = monotonic()  # the stage
        self.told = -math.inf

    def download(self, name: str) -> Report:
        before: int | None = None  # the first report counts what an interrupted run left

        def report(have: int, total: int) -> None:
            nonlocal before
            self.got += max(0, have - before) if before is not None else 0
            before = have
            left = (self.count - self.here) * total - have
            seconds = None
            if self.got:
                conversion = self.count * CONVERSION_SECONDS
                seconds = (monotonic() - self.begun) * left / self.got + conversion
            if monotonic() > self.told + PAUSE:
                self.tell(DOWNLOAD * (self.here + have / total) / self.count, seconds)

        return report

    def downloaded(self, name: str) -> None:
        self.here += 1

    def converting(self, target: str) -> None:
        if self.converted:
            each = (monotonic() - self.begun) / self.converted
        else:
            each, self.begun = CONVERSION_SECONDS, monotonic()
        share = self.converted / self.count
        self.tell(DOWNLOAD + (1 - DOWNLOAD) * share, each * (self.count - self.converted))
        self.converted += 1

    def tell(self, fraction: float, seconds_left: float | None) -> None:
        self.told = monotonic()
        print(json.dumps({"fraction": fraction, "seconds_left": seconds_left}), flush=True)


def by_hand(official: Official, args: argparse.Namespace, error: DownloadError) -> str:
    links = "\n".join(f"  {checkpoint.url}" for checkpoint in official.checkpoints)
    return (
        f"{official.title} could not be downloaded: {error}.\n"
        f"Start again to go on from here; or download these files in a browser,\n{links}\n"
        f"and then: {args.command} get {args.name} --from FOLDER_OF_THESE_FILES"
    )


def find(official: Official, folder: Path) -> dict[tuple[str, ...], Path]:
    """The official checkpoints in a folder by their targets, recognised by their hashes, whatever their names."""
    digests = {
        path: sha256(path) for path in sorted(folder.iterdir()) if path.suffix in CHECKPOINTS
    }
    found = {}
    for checkpoint in official.checkpoints:
        paths = [p for p, digest in digests.items() if checkpoint.recognises(digest)]
        if not paths:
            path = folder / checkpoint.file
            state = "is damaged, its sha256 differs" if path in digests else "is missing"
            raise UsageError(f"{path} {state}; download it from {checkpoint.url}")
        found[checkpoint.targets] = paths[0]
    return found


def convert(args: argparse.Namespace) -> None:
    if args.source.is_dir():
        checkpoints, rate, known = read_folder(args.source)
    else:  # which says itself what it estimates
        checkpoints, rate, known = {(): args.source}, 44100, {}
    fields = undescribed(args.name) | {"sample_rate": rate}
    build(args, args.name, checkpoints, known, fields, Progress())


def build(
    args: argparse.Namespace,
    name: str,
    checkpoints: Mapping[tuple[str, ...], Path],
    known: Mapping[str, Any],
    fields: Mapping[str, Any],
    progress: Progress,
) -> None:
    """Convert checkpoints into a folder beside the models, which gets its name when it is whole.

    known: fields of the network that the checkpoints don't tell; fields: the manifest's.
    """
    work = work_folder(args) / "model"
    shutil.rmtree(work, ignore_errors=True)
    manifest = convert_checkpoints(
        checkpoints, work, args.preset, known, progress.converting, name=name, **fields
    )
    place, old = args.weights / name, work_folder(args) / "old"
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.replace(old)
    work.replace(place)
    shutil.rmtree(work_folder(args))
    args.changed(args.weights)
    print(f"{name} is in {place}: {size_of(manifest) / 1e6:.1f} MB.")
    if manifest.snr is not None:
        print(f"Rounded to integers, its stems are exact to {manifest.snr:.0f} dB.")
    if manifest.is_rough:
        print(
            f"That is little: {USUAL_SNR} dB and more are usual. Its weights are spread oddly, or the preset is "
            "coarse: try --preset best."
        )


def work_folder(args: argparse.Namespace) -> Path:
    """Folder of a model while it isn't whole."""
    return Path(args.weights) / f"{args.name}.part"


def no_model(args: argparse.Namespace, name: str) -> UsageError:
    return UsageError(
        f"There is no model {name!r} in {args.weights}; {args.command} list shows what is there."
    )


def every(args: argparse.Namespace) -> dict[str, tuple[Path, Manifest]]:
    """Each model by its name, with its folder; those of the user before those in other folders."""
    found: dict[str, tuple[Path, Manifest]] = {}
    for folder in (args.weights, *args.others):
        for name, manifest in manifests(folder).items():
            found.setdefault(name, (folder / name, manifest))
    return found


def show(args: argparse.Namespace) -> None:
    here = every(args)
    for name, (_, manifest) in here.items():
        size = f"{size_of(manifest) / 1e6:.1f} MB"
        print(f"{name:12} {size:>9}  {manifest.preset:5} {manifest.licence}  {manifest.title}")
    for name, official in OFFICIAL.items():
        if name not in here:
            print(f"{name:12} {'not here':>9}  {'':5} {official.licence}  {official.title}")


def verify(args: argparse.Namespace) -> None:
    folders = {} if args.names else {name: folder for name, (folder, _) in every(args).items()}
    for name in args.names:
        places = [place / name for place in (args.weights, *args.others)]
        there = [folder for folder in places if folder.is_dir()]
        if not there:
            raise no_model(args, name)
        folders[name] = there[0]
    bad = 0
    for name, folder in folders.items():
        try:
            load_model(folder)
            print(f"{name}: whole and unchanged")
        except WeightsError as error:
            print(f"{name}: {error}")
            bad += 1
    if bad:
        raise UsageError("Get what is damaged again, or remove it.")


def remove(args: argparse.Namespace) -> None:
    if args.name == DEFAULT_MODEL:
        raise UsageError(f"{DEFAULT_MODEL} comes with umx and stays.")
    folders = [args.weights / args.name, work_folder(args)]
    there = [folder for folder in folders if folder.is_dir()]
    if not there:
        raise no_model(args, args.name)
    for folder in there:
        shutil.rmtree(folder)
    args.changed(args.weights)
    print(f"{args.name} is gone.")
