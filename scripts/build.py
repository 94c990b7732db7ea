"""Build the static site into dist/: `python3 scripts/build.py`. Copy that folder to any host, under any path."""

import gzip
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common.environment import ROOT
from scripts.common.index import check, models, write_index
from scripts.common.wheel import build_wheel
from scripts.vendor import run, vendor

SITE = ROOT / "dist"
PARTS = ("index.html", "app", "weights")
SERVICE_WORKER = "service-worker.js"
INDEX = "weights/index.json"
FALLBACK = "openblas-"
"""What only the engine for browsers without SIMD loads; app/offline/ leaves it out too."""
NO_PART = shutil.ignore_patterns("__pycache__", "*.part", SERVICE_WORKER)


def left_out(folder: str, names: list[str]) -> set[str]:
    """What of a folder's content is no part of the site. A model's card is, what is told about shims isn't."""
    notes = {"README.md"} if Path(folder).name == "shims" else set()
    return NO_PART(folder, names) | notes


def prepare() -> None:
    """Put in place what the page needs beside its sources. Ends the script where a model is damaged."""
    vendor()
    build_wheel()
    try:
        write_index(ROOT / "weights")
        check(ROOT / "weights")
    except ValueError as error:
        sys.exit(str(error))


def build(site: Path = SITE) -> Path:
    """Write the site anew."""
    prepare()
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, site / part, ignore=left_out)
        else:
            shutil.copy(source, site)
    publish(site)
    return site


def publish(site: Path) -> None:
    """Have the page know all models that lie in a site, and its service worker all files."""
    write_index(site / "weights")
    (site / SERVICE_WORKER).write_text(service_worker(site))


def service_worker(folder: Path) -> str:
    """The service worker of the site in `folder`: our script, after a list of all files with the hashes they may have.

    It lies at the root of the site, because a service worker is in charge of what lies beside and below it.
    """
    files = {path.relative_to(folder).as_posix(): hashes(path) for path in site_files(folder)}
    script = (ROOT / "app" / "offline" / SERVICE_WORKER).read_text()
    return f"const FILES = {json.dumps(files, indent=1)};\n\n{script}"


def site_files(folder: Path) -> list[Path]:
    """Every file of the site that lies in `folder`, which may be the checkout."""
    found = [folder / "index.html"]
    for top in PARTS[1:]:
        for where, folders, names in os.walk(folder / top):
            missing = left_out(where, [*folders, *names])
            folders[:] = set(folders) - missing
            found += [Path(where, name) for name in set(names) - missing]
    return sorted(found)


def hashes(path: Path) -> list[str]:
    """The sha256 of a file, and of what it unpacks to if it is a .gz: some servers have browsers unpack those."""
    data = path.read_bytes()
    forms = [data, gzip.decompress(data)] if path.suffix == ".gz" else [data]
    return [hashlib.sha256(form).hexdigest() for form in forms]


def first_visit(site: Path) -> int:
    """Bytes that a first visit loads, but for its model: all that every visitor needs, as it lies on the disk."""
    paths = [path for path in site_files(site) if path.parent.parent != site / "weights"]
    return sum(path.stat().st_size for path in paths if not path.name.startswith(FALLBACK))


def main() -> None:
    site = build()
    sizes = [path.stat().st_size for path in site.rglob("*") if path.is_file()]
    print(f"The site is in {site}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB.")
    print(f"A first visit loads {first_visit(site) / 1e6:.1f} MB and one of these models:")
    for model in models():
        print(f"  {model['title']}, {model['size'] / 1e6:.1f} MB, licence {model['licence']}")


if __name__ == "__main__":
    run(main)
