"""A site in which four checkpoints of our own are UMX-L, and the place that they come from."""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pages
from build import SERVICE_WORKER, service_worker

from tests.scripts.server import Handler, Server
from umx.official import OFFICIAL

ZENODO = "https://zenodo.org"


class Archive(Handler):
    """Has Zenodo's paths and headers."""

    def do_GET(self) -> None:  # noqa: N802 (http.server's name)
        *before, name, content = self.path.split("/")
        found = (*before[1:3], *before[4:], content) == ("api", "records", "files", "content")
        self.answer(self.server.files.get(name) if found else None)

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()


@contextmanager
def archive(checkpoints: Sequence[Path]) -> Iterator[Server]:
    """Serves checkpoints, in the order of UMX-L's targets, under the names that UMX-L's would have."""
    files = {name: path.read_bytes() for name, path in official_names(checkpoints).items()}
    http = Server(files, Archive)
    with pages.serving(http):
        yield http


def official_names(checkpoints: Sequence[Path]) -> dict[str, Path]:
    """The checkpoints by UMX-L's names, with the digits of their own hashes."""
    names = OFFICIAL["umxl"].checkpoints.values()
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in checkpoints]
    return {
        f"{name[:-12]}{digest[:8]}.pth": path
        for name, digest, path in zip(names, digests, checkpoints, strict=True)
    }


def build_site(folder: Path, checkpoints: Sequence[Path], origin: str = ZENODO) -> Path:
    """The site, but that the checkpoints are UMX-L, and its pages may fetch them from `origin`."""
    site = pages.build_site(folder / "site")
    policy = "connect-src 'self'"
    replace_in(site / "index.html", (policy, f"{policy} {origin}"), (ZENODO, origin))
    (wheel,) = (site / "app" / "vendor" / "umx").glob("*.whl")
    unpacked = folder / "wheel"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(unpacked)
    names = zip(OFFICIAL["umxl"].checkpoints.values(), official_names(checkpoints), strict=True)
    replace_in(unpacked / "umx" / "official.py", (ZENODO, origin), *names)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(unpacked.rglob("*")):
            packed.write(path, path.relative_to(unpacked))
    (site / SERVICE_WORKER).write_text(service_worker(site))
    return site


def replace_in(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
