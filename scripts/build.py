"""Build the static site into dist/: `python3 scripts/build.py`. Copy that folder to any host, under any path."""

import argparse
import gzip
import hashlib
import html
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common.about import ABOUT, write_about
from scripts.common.environment import ROOT
from scripts.common.index import check, models, write_index
from scripts.common.wheel import build_wheel
from scripts.vendor import run, vendor
from shared.facts import SHARED_CACHE, SITE_CACHE

SITE = ROOT / "dist"
PARTS = ("index.html", "app", "weights")
SERVICE_WORKER = "service-worker.js"
INDEX = "weights/index.json"
ON_DEMAND = ("openblas-", "scipy-", "micropip-", "packaging-")
"""Beginnings of files that only some visitors load: those who analyse songs, and the first where a browser lacks SIMD.
app/offline/ leaves them out, too."""
BRAND = '<p class="brand">'
CONNECT = "connect-src 'self' blob: data:"
"""Texts of index.html that a site's own title, and a further place to fetch from, are put into."""
ZENODO = "https://zenodo.org"
"""UMX-L's makers' host. `umx` names it, too, but importing that takes numpy, which a build doesn't need."""
NO_PART = shutil.ignore_patterns("__pycache__", "*.part", SERVICE_WORKER)


def left_out(folder: str, names: list[str]) -> set[str]:
    """Names in a folder that are no part of the site: a model's card is a part of it, the list of shims isn't."""
    sources = {"shims": {"README.md"}, "about": {"languages"}}.get(Path(folder).name, set())
    return NO_PART(folder, names) | sources


def prepare() -> None:
    """Bring everything that the page needs beside its sources. Ends the script where a model is damaged."""
    vendor()
    build_wheel()
    write_about()
    try:
        write_index(ROOT / "weights")
        check(ROOT / "weights")
    except ValueError as error:
        sys.exit(str(error))


def build(site: Path = SITE, title: str = "", link: str = "", allow_umxl: bool = False) -> Path:
    """Write the site anew. title, link, allow_umxl: see `parser`."""
    prepare()
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, site / part, ignore=left_out)
        else:
            shutil.copy(source, site)
    adapt(site, title, link, allow_umxl)
    publish(site)
    return site


def adapt(site: Path, title: str, link: str, allow_umxl: bool) -> None:
    """Give a site its owner's title and link, and let its visitors' browsers fetch UMX-L."""
    path = site / "index.html"
    page = path.read_text()
    if title:
        page = replaced(
            page, "<title>umx: separate a song into stems", f"<title>{html.escape(title)}"
        )
        page = replaced(page, f"{BRAND}umx<", f"{BRAND}{html.escape(title)}<")
        manifest = site / "app" / "look" / "site.webmanifest"
        names = {"name": title, "short_name": title}
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | names, indent=2) + "\n")
        for about in (site / ABOUT).rglob("*.html"):
            text = about.read_text("utf-8")
            about.write_text(
                text.replace(">umx</a></p>", f">{html.escape(title)}</a></p>"), "utf-8"
            )
    if link:
        before, _, rest = page.partition(BRAND)
        name, _, after = rest.partition("<")
        page = f'{before}{BRAND}<a href="{html.escape(link)}">{name}</a><{after}'
    if allow_umxl:
        page = replaced(page, CONNECT, f"{CONNECT} {ZENODO}")
    path.write_text(page)


def replaced(page: str, before: str, after: str) -> str:
    """The page with a text replaced, which it must hold once."""
    if page.count(before) != 1:
        raise ValueError(f"index.html should hold {before!r} once.")
    return page.replace(before, after)


def publish(site: Path) -> None:
    """Have the page know all models that lie in a site, and its service worker all files."""
    write_index(site / "weights")
    (site / SERVICE_WORKER).write_text(service_worker(site))


def service_worker(folder: Path) -> str:
    """The service worker of the site in `folder`: our script, after a list of all files with their possible hashes.

    It lies at the root of the site, because a service worker is in charge of what lies beside and below it.
    """
    files = {path.relative_to(folder).as_posix(): hashes(path) for path in site_files(folder)}
    script = (ROOT / "app" / "offline" / SERVICE_WORKER).read_text()
    caches = {"SITE_CACHE": SITE_CACHE, "SHARED_CACHE": SHARED_CACHE}
    facts = "".join(f"const {name} = {json.dumps(text)};\n" for name, text in caches.items())
    return f"const FILES = {json.dumps(files, indent=1)};\n{facts}\n{script}"


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


def first_visit(site: Path) -> dict[str, list[Path]]:
    """Files that every first visit loads, by what they belong to. The model is not among them."""
    found: dict[str, list[Path]] = {}
    for path in site_files(site):
        parts = path.relative_to(site).parts
        if (parts[0] == "weights" and len(parts) > 2) or path.name.startswith(ON_DEMAND):
            continue
        group = parts[2] if parts[:2] == ("app", "vendor") else "the page"
        found.setdefault("the demo song" if path.suffix == ".mp3" else group, []).append(path)
    return found


def report(site: Path) -> None:
    """Print the bytes of a first visit: on the disk, and as a server sends them that packs on the way."""
    sizes, packed = Counter[str](), Counter[str]()
    for group, paths in first_visit(site).items():
        for path in paths:
            data = path.read_bytes()
            sizes[group] += len(data)
            packed[group] += min(len(data), len(gzip.compress(data)))
    print(f"{'bytes':>12}{'packed':>12}")
    for group, size in [*sizes.most_common(), ("all", sizes.total())]:
        small = packed.total() if group == "all" else packed[group]
        print(f"{size:>12,}{small:>12,}  {group}")


def address(text: str) -> str:
    """An address for a link. Raises ArgumentTypeError for one that links may not have."""
    if text and not text.startswith(("https://", "http://", "/", "./", "../")):
        raise argparse.ArgumentTypeError("it begins with https://, http:// or a path with / or ./")
    return text


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        description="Build the static site into dist/. Copy that folder to any host, under any path.",
        epilog="Example: python3 scripts/build.py --title 'Choir practice' --link https://choir.example.org/",
    )
    top.add_argument("--title", default="", help="what the site is called, instead of umx")
    top.add_argument(
        "--link", default="", type=address, help="where its title leads, such as your own site"
    )
    top.add_argument(
        "--allow-umxl",
        action="store_true",
        help="offer visitors to fetch UMX-L from its makers, 452 MB once, for uses that are not commercial; "
        f"the security policy then allows {ZENODO} and nothing else",
    )
    top.add_argument(
        "--report", action="store_true", help="say in bytes what a first visit loads, by what it is"
    )
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    wanted = parser().parse_args(arguments)
    site = build(title=wanted.title, link=wanted.link, allow_umxl=wanted.allow_umxl)
    sizes = [path.stat().st_size for path in site.rglob("*") if path.is_file()]
    print(f"The site is in {site}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB.")
    loaded = sum(path.stat().st_size for paths in first_visit(site).values() for path in paths)
    print(f"A first visit loads {loaded / 1e6:.1f} MB and one of these models:")
    for model in models():
        print(f"  {model['title']}, {model['size'] / 1e6:.1f} MB, licence {model['licence']}")
    if wanted.report:
        report(site)


if __name__ == "__main__":
    run(main)
