"""UMX-L on its way while scripts/serve.py runs, in a copy of the checkout and from a server on this computer."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import OFFICIAL_SOURCE, official_names, stand_in
from tests.checkpoints import pth, random_state
from tests.scripts.server import Server
from umx.desktop.download import CHUNK
from umx.format.library import load_model
from umx.models.official import OFFICIAL

CHECKPOINTS = [pth(random_state(64, 2049, 1487, seed)) for seed in range(4)]
SIZE = len(CHECKPOINTS[0])
HALF = SIZE // 2
HERE = HALF // CHUNK * CHUNK
"""The bytes on the disk while the server holds back the second half."""
SAID = "UMX-L comes in the background (CC BY-NC-SA 4.0, {}/records/5069601)."
SECONDS = 60
"""More than a healthy run takes for anything here."""


@pytest.fixture
def archive() -> Iterator[Server]:
    with Server(official_names(CHECKPOINTS)) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield http
        http.may_cut.set()
        http.shutdown()


@pytest.fixture
def checkout(tmp_path: Path, archive: Server) -> Path:
    return stand_in(tmp_path / "checkout", CHECKPOINTS, archive.url)


class Run:
    """serve.py at work."""

    def __init__(self, checkout: Path, *words: str, **options: Any):
        command = [sys.executable, "scripts/serve.py", "--no-open", "--port", "0", *words]
        self.process = subprocess.Popen(
            command,
            cwd=checkout,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options,
            text=True,
            process_group=0,
        )
        self.said: list[str] = []

    def line(self) -> str:
        """The next line that it says; nothing at the end."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        self.said.append(line.rstrip("\n"))
        return self.said[-1]

    def url(self) -> str:
        match = re.fullmatch(r"The page is at (\S+) \(stop with Ctrl-C\)\.", self.line())
        assert match
        return match[1]

    def end(self, number: int = signal.SIGINT, to_group: bool = True) -> list[str]:
        """Press Ctrl-C, or send another signal; returns all that was said."""
        (os.killpg if to_group else os.kill)(self.process.pid, number)
        self.process.wait(SECONDS)
        while self.line():
            pass
        return [line for line in self.said if line]


@pytest.fixture
def start(checkout: Path) -> Iterator[Callable[..., Run]]:
    """Start serve.py in the copy of the checkout."""
    with ExitStack() as stack:

        def run(*words: str, **options: Any) -> Run:
            run = Run(checkout, *words, **options)
            stack.callback(stop, run)
            return run

        yield run


def stop(run: Run) -> None:
    if run.process.poll() is None:
        run.process.kill()
        run.process.wait(SECONDS)
    if run.process.stdout:
        run.process.stdout.close()


def index(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(url + "weights/index.json") as response:
        found: list[dict[str, Any]] = json.load(response)
    return found


def wait_for(url: str, wanted: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
    """The index of models, as soon as it is as wanted."""
    while not wanted(found := index(url)):
        pass
    return found


@contextmanager
def nobody_at_work(weights: Path) -> Iterator[None]:
    """Raises BlockingIOError where a process changes models."""
    folder = os.open(weights, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield
    os.close(folder)


def names(checkout: Path) -> set[str]:
    return {path.name for path in (checkout / "weights").iterdir()}


def expect_whole(checkout: Path) -> None:
    assert names(checkout) == {"umxl", "index.json"}
    model = load_model(checkout / "weights" / "umxl")
    assert list(model.networks) == [c.targets for c in OFFICIAL["umxl"].checkpoints]


def test_the_first_start_brings_it_and_the_page_sees_how_far_it_is(
    start: Callable[..., Run], archive: Server, checkout: Path
) -> None:
    archive.answers = ["honest", "cut"]
    archive.may_cut.clear()
    run = start()
    url = run.url()
    (coming,) = wait_for(url, lambda models: models[0]["coming"] > 0)
    assert 0 < coming["coming"] <= 0.9 * (1 + HERE / SIZE) / 4
    official = OFFICIAL["umxl"]
    assert (coming["name"], coming["title"], coming["licence"]) == (
        "umxl",
        "UMX-L",
        "CC BY-NC-SA 4.0",
    )
    assert coming["quality"] == official.quality
    assert (coming["size"], coming["unpacked"]) == (official.size, official.unpacked)
    assert coming["seconds_left"] is None or coming["seconds_left"] > 0
    assert names(checkout) == {"umxl.part", "index.json"}
    assert json.loads((checkout / "weights" / "index.json").read_text()) == []

    archive.may_cut.set()
    (umxl,) = wait_for(url, lambda models: "coming" not in models[0])
    expect_whole(checkout)
    assert umxl["name"] == "umxl"
    assert umxl["quality"] == official.quality
    files = (checkout / "weights" / "umxl").glob("*.gz")
    assert umxl["size"] == sum(path.stat().st_size for path in files)
    run.line()
    assert run.line() == "UMX-L is here."
    said = run.end()
    assert said[1:] == [SAID.format(archive.url), "UMX-L is here."]
    assert run.process.returncode == 0


@pytest.mark.parametrize(
    ("number", "to_group", "code"),
    [
        (signal.SIGINT, True, 0),  # Ctrl-C
        (signal.SIGINT, False, 0),
        (signal.SIGTERM, False, 143),
        (signal.SIGHUP, True, 129),  # the terminal is closed
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_stopped_in_the_middle_it_goes_on_at_the_next_start(
    start: Callable[..., Run],
    archive: Server,
    checkout: Path,
    number: int,
    to_group: bool,
    code: int,
) -> None:
    archive.answers = ["honest", "cut"]
    archive.may_cut.clear()
    run = start()
    part = checkout / "weights" / "umxl.part" / f"{list(archive.files)[1]}.part"
    while not (part.exists() and part.stat().st_size == HERE):
        pass
    said = run.end(number, to_group)
    assert run.process.returncode == code
    assert said[1:] == [SAID.format(archive.url)]
    with nobody_at_work(checkout / "weights"):
        assert names(checkout) == {"umxl.part", "index.json"}

    archive.may_cut.set()
    archive.ranges.clear()
    run = start()
    wait_for(run.url(), lambda models: "coming" not in models[0])
    assert archive.ranges == [f"bytes={HERE}-", None, None]
    expect_whole(checkout)


def test_one_that_is_here_is_not_brought_again(
    start: Callable[..., Run], archive: Server, checkout: Path
) -> None:
    run = start()
    wait_for(run.url(), lambda models: "coming" not in models[0])
    run.end()
    archive.ranges.clear()
    run = start()
    assert [model["name"] for model in index(run.url())] == ["umxl"]
    assert len(run.end()) == 1
    assert archive.ranges == []


def test_no_network_is_one_line_and_the_page_is_served(
    start: Callable[..., Run], archive: Server, checkout: Path
) -> None:
    official = checkout / OFFICIAL_SOURCE
    nowhere = "http://127.0.0.1:9"  # the discard port: nobody listens
    official.write_text(official.read_text().replace(archive.url, nowhere))
    run = start()
    url = run.url()
    assert run.line() == SAID.format(nowhere)
    line = run.line()
    assert line.startswith("UMX-L could not be downloaded: 127.0.0.1:9 can't be reached (")
    assert line.endswith(". The page does without it; start again to go on.")
    wait_for(url, lambda models: models == [])
    with urllib.request.urlopen(url) as response:
        assert response.read() == (checkout / "index.html").read_bytes()
    assert len(run.end()) == 3
    assert archive.ranges == []


@pytest.mark.parametrize("answer", ["wrong bytes", "error page", "missing", "busy"])
def test_a_damaged_download_never_becomes_a_model(
    start: Callable[..., Run], archive: Server, checkout: Path, answer: str
) -> None:
    archive.answers = ["honest", *[answer] * 20]
    run = start()
    url = run.url()
    run.line()
    name = list(archive.files)[1]
    assert re.match(f"UMX-L could not be downloaded: {archive.url}/.*/{name}: ", run.line())
    wait_for(url, lambda models: models == [])
    assert len(run.end()) == 3
    assert names(checkout) == {"umxl.part", "index.json"}


def test_it_can_be_done_without(start: Callable[..., Run], archive: Server, checkout: Path) -> None:
    run = start("--without-umxl")
    assert index(run.url()) == []
    assert len(run.end()) == 1
    assert archive.ranges == []
    assert names(checkout) == {"index.json"}


def test_two_at_once_bring_it_once(
    start: Callable[..., Run], archive: Server, checkout: Path
) -> None:
    archive.answers = ["cut"]
    archive.may_cut.clear()
    first = start()
    wait_for(first.url(), lambda models: models[0]["coming"] > 0)
    second = start()
    assert index(second.url())[0]["coming"] == 0
    archive.may_cut.set()
    for run in (first, second):
        run.line()
        assert run.line() == "UMX-L is here."
    assert archive.ranges == [None, f"bytes={HALF}-", None, None, None]
    expect_whole(checkout)


def test_a_terminal_shows_one_line_that_is_drawn_over_itself(
    start: Callable[..., Run], archive: Server, checkout: Path
) -> None:
    archive.answers = ["honest", "cut"]
    archive.may_cut.clear()
    ours, theirs = pty.openpty()
    run = start(stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b" %" not in shown:
        shown += os.read(ours, 1000)
    archive.may_cut.set()
    while b"is here." not in shown:
        shown += os.read(ours, 1000)
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.process.wait(SECONDS) == 0
    os.close(ours)
    page, said, progress = shown.decode().replace("\r\n", "\n").split("\n")[:3]
    assert page.startswith("The page is at ")
    assert said == SAID.format(archive.url)
    *drawn, cleared, last = progress.split("\r")[1:]
    assert drawn
    assert all(re.fullmatch(r"UMX-L: \d+ %(, \d+ (s|min) left)? *", text) for text in drawn)
    assert all(len(text) == len(cleared) for text in drawn)
    assert (cleared.strip(), last) == ("", "UMX-L is here.")
