"""A site in which four checkpoints of our own are UMX-L, and the place that they come from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pages

from tests.checkout import OFFICIAL_SOURCE, ZENODO, make_official, official_names, replace_in
from tests.scripts.server import Handler, Server


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
    http = Server(official_names([path.read_bytes() for path in checkpoints]), Archive)
    with pages.serving(http):
        yield http


def build_site(folder: Path, checkpoints: Sequence[Path], origin: str = ZENODO) -> Path:
    """The site, but that the checkpoints are UMX-L, and its pages may fetch them from `origin`."""
    site = pages.build_site(folder / "site")
    policy = "connect-src 'self'"
    replace_in(site / "index.html", (policy, f"{policy} {origin}"), (ZENODO, origin))
    data = [path.read_bytes() for path in checkpoints]
    with pages.changing_package(site, folder / "wheel") as package:
        make_official(package / OFFICIAL_SOURCE, data, origin)
    return site
