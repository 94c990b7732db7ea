"""Build the static site into dist/: `python3 scripts/build.py`. Copy that folder to any host, under any path."""

import shutil
from pathlib import Path

from vendor import run, vendor
from wheel import build_wheel

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "dist"
PARTS = ("index.html", "app", "weights")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.part")


def prepare() -> None:
    """Put in place what the page needs beside its sources."""
    vendor()
    build_wheel()


def build(site: Path = SITE) -> Path:
    """Write the site anew."""
    prepare()
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, site / part, ignore=LEFT_OUT)
        else:
            shutil.copy(source, site)
    return site


if __name__ == "__main__":
    run(lambda: print(f"The site is in {build()}."))
