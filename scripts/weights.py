#!/usr/bin/env python3
"""Get models, and keep those in weights/ in order.

    python3 scripts/weights.py get umxl               download UMX-L and convert it
    python3 scripts/weights.py get umxl --from DIR    the same from files that were downloaded by hand
    python3 scripts/weights.py convert DIR --name X   convert what openunmix's own training left in DIR
    python3 scripts/weights.py convert FILE --name X  convert an HTDemucs, .th or .safetensors
    python3 scripts/weights.py list                   the models here, and those that could be
    python3 scripts/weights.py verify [NAME …]        check every byte of them
    python3 scripts/weights.py remove NAME

An interrupted download goes on where it stopped. A model appears in weights/ when it is whole. Presets: "web" makes the
smallest files whose stems are as good, "best" spends all bits that a weight may have. "fine", for Open-Unmix only, is
meant for small models: 4 bits a weight, where "web" has 3. "small", for HTDemucs only, is meant for slow lines: 8 bits
a weight, where the others have up to 13.
"""

import argparse
import fcntl
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common import environment
from scripts.common.download import DownloadError, Report, fetch, matches, sha256, terminal_report
from scripts.common.index import OFFICIAL, WEIGHTS, models, write_index

if TYPE_CHECKING:
    from umx.models.official import Official

EMBEDDED = "umx-mini"
CHECKPOINTS = (".pth", ".th", ".safetensors")
"""How the names of the makers' files end."""
DOWNLOAD = 0.9
"""The share of downloads in the progress of `get`; converting is the rest."""
CONVERSION_SECONDS = 4.0
"""Time for a target of UMX-L's size on one core, until the first target's is known."""
PAUSE = 0.5
"""Seconds between two lines for a program, at least."""


class UsageError(Exception):
    """A message for the user, which ends the script."""


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    environment.need("numpy")
    sys.path.insert(0, str(environment.ROOT))
    changes = args.run in (get, convert, remove)
    try:
        with alone(args.weights) if changes else nullcontext():
            args.run(args)
    except (UsageError, DownloadError, ValueError) as error:
        print(f"weights.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        place = error.filename or args.weights
        print(
            f"weights.py: {place}: {error.strerror}. "
            "Make sure that it may be read and written and that there is room, and start again.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


@contextmanager
def alone(weights: Path) -> Iterator[None]:
    """Wait until no other process changes the models in a folder, and keep others waiting meanwhile."""
    folder = os.open(weights, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another weights.py that changes {weights} …", flush=True)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)  # which ends the lock


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="where models are (default: %(default)s)"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    get_parser = commands.add_parser("get", help="download and convert an official model")
    get_parser.add_argument("name", choices=list(OFFICIAL))
    get_parser.add_argument(
        "--from",
        dest="folder",
        type=existing_folder,
        metavar="DIR",
        help="take its .pth or .th files from here",
    )
    get_parser.add_argument(
        "--as-json", action="store_true", help="print progress as JSON lines, for programs"
    )
    get_parser.set_defaults(run=get)
    convert_parser = commands.add_parser("convert", help="convert a model of your own")
    convert_parser.add_argument("source", type=existing_path, metavar="DIR|FILE")
    convert_parser.add_argument("--name", type=model_name, required=True)
    convert_parser.set_defaults(run=convert)
    for sub in (get_parser, convert_parser):
        sub.add_argument(
            "--preset",
            choices=["web", "fine", "best", "small"],
            default="web",
            help="default: %(default)s",
        )
    list_parser = commands.add_parser("list", help="list the models here")
    list_parser.set_defaults(run=show)
    verify_parser = commands.add_parser("verify", help="check the models here")
    verify_parser.add_argument("names", type=model_name, nargs="*", metavar="NAME")
    verify_parser.set_defaults(run=verify)
    remove_parser = commands.add_parser(
        "remove", help="delete a model, or what is left of a download"
    )
    remove_parser.add_argument("name", type=model_name)
    remove_parser.set_defaults(run=remove)
    return top


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


def get(args: argparse.Namespace) -> None:
    from umx.models import official as registry

    if any(
        (model["name"], model["preset"]) == (args.name, args.preset)
        for model in models(args.weights)
    ):
        print(f"{args.name} is in {args.weights} already; remove it to get it anew.")
        return
    official = registry.OFFICIAL[args.name]
    work = work_folder(args)
    progress = JsonProgress(len(official.checkpoints)) if args.as_json else Progress()
    if args.folder:
        paths = find(official, args.folder)
    else:
        paths = {c.targets: work / c.file for c in official.checkpoints}
        try:
            for checkpoint in official.checkpoints:
                path = paths[checkpoint.targets]
                bring(checkpoint.url, path, checkpoint.sha256, progress)
        except DownloadError as error:
            raise UsageError(by_hand(official, args.name, error)) from error
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


def by_hand(official: "Official", name: str, error: DownloadError) -> str:
    links = "\n".join(f"  {checkpoint.url}" for checkpoint in official.checkpoints)
    return (
        f"{official.title} could not be downloaded: {error}.\n"
        f"Start again to go on from here; or download these files in a browser,\n{links}\n"
        f"and then: python3 scripts/weights.py get {name} --from FOLDER_OF_THESE_FILES"
    )


def find(official: "Official", folder: Path) -> dict[tuple[str, ...], Path]:
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
    from umx.format.convert import undescribed
    from umx.models.openunmix.training_folder import read_folder

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
    from umx.format.convert import convert as convert_checkpoints
    from umx.format.manifest import USUAL_SNR

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
    write_index(args.weights)
    size = next(model["size"] for model in models(args.weights) if model["name"] == name)
    print(f"{name} is in {place}: {size / 1e6:.1f} MB.")
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
        f"There is no model {name!r} in {args.weights}; python3 scripts/weights.py list shows what is there."
    )


def show(args: argparse.Namespace) -> None:
    here = models(args.weights)
    for model in here:
        size = f"{model['size'] / 1e6:.1f} MB"
        print(
            f"{model['name']:12} {size:>9}  {model['preset']:5} {model['licence']}  {model['title']}"
        )
    for name, official in OFFICIAL.items():
        if name not in {model["name"] for model in here}:
            licence, title = official["licence"], official["title"]
            print(f"{name:12} {'not here':>9}  {'':5} {licence}  {title}")


def verify(args: argparse.Namespace) -> None:
    from umx.errors import WeightsError
    from umx.format.library import load_model

    for name in args.names:
        if not (args.weights / name).is_dir():
            raise no_model(args, name)
    bad = 0
    for name in args.names or [model["name"] for model in models(args.weights)]:
        try:
            load_model(args.weights / name)
            print(f"{name}: whole and unchanged")
        except WeightsError as error:
            print(f"{name}: {error}")
            bad += 1
    if bad:
        raise UsageError("Get what is damaged again, or remove it.")


def remove(args: argparse.Namespace) -> None:
    if args.name == EMBEDDED:
        raise UsageError(f"{EMBEDDED} belongs to this repository and stays.")
    folders = [args.weights / args.name, work_folder(args)]
    there = [folder for folder in folders if folder.is_dir()]
    if not there:
        raise no_model(args, args.name)
    for folder in there:
        shutil.rmtree(folder)
    write_index(args.weights)
    print(f"{args.name} is gone.")


if __name__ == "__main__":
    sys.exit(main())
