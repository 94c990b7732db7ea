"""A model that comes to a checkout while its page is open: the page sees it, uses it, and has it without a network."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pages import put_stand_in, serving, stems
from playwright.sync_api import Browser, Page, expect
from songs import PATIENCE, card, compose, drop, expect_state, wav
from test_best_model import expect_made_with
from test_offline import KEPT

from scripts.build import SERVICE_WORKER
from scripts.common.index import write_index
from scripts.serve import server
from tests.checkout import ROOT, official_names, stand_in
from tests.checkpoints import pth, random_state
from tests.scripts.server import Server

INDEX = "fetch('weights/index.json').then(response => response.json())"
COMING = {"name": "umxl", "title": "UMX-L", "licence": "none", "size": 1, "quality": {}}


@pytest.fixture
def checkout(built: Path, tmp_path: Path) -> Path:
    """A site that has no service worker of its own, so that its server lists the files."""
    site = shutil.copytree(built, tmp_path / "site")
    put_stand_in(site)
    (site / SERVICE_WORKER).unlink()
    return site


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    context = browser.new_context()

    def open_page(url: str) -> Page:
        page = context.new_page()
        page.goto(url)
        expect_state(page, "ready")
        expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE)
        return page

    yield open_page
    context.close()


def arrive(checkout: Path, name: str) -> set[str]:
    """Have another model in the checkout; returns the paths of its files."""
    folder = checkout / "weights" / name
    shutil.copytree(checkout / "weights" / "umx-mini", folder)
    write_index(checkout / "weights")
    return {path.relative_to(checkout).as_posix() for path in folder.iterdir()}


def listed(page: Page) -> dict[str, Any]:
    return {model["name"]: model.get("coming") for model in page.evaluate(INDEX)}


def test_a_page_sees_what_is_on_its_way_and_what_is_here(
    checkout: Path, open_page: Callable[..., Page]
) -> None:
    coming: dict[str, Any] = {"entry": COMING | {"coming": 0.25, "seconds_left": 3}}
    http = server(checkout, coming=SimpleNamespace(entry=lambda: coming["entry"]))  # type: ignore[arg-type]
    with serving(http) as url:
        # It is kept meanwhile: its service worker asks for the index as it is on the disk.
        page = open_page(url + "?workers=1")
        page.reload()
        expect_state(page, "ready")
        assert page.evaluate("Boolean(navigator.serviceWorker.controller)")
        assert listed(page) == {"umx-mini": None, "umxl": 0.25}
        coming["entry"] = COMING | {"coming": 0.5, "seconds_left": 2}
        assert listed(page) == {"umx-mini": None, "umxl": 0.5}
        arrive(checkout, "umxl")
        coming["entry"] = None
        assert listed(page) == {"umx-mini": None, "umxl": None}
    # Its version of the page knows no other model than that which came with it, and none that is on its way.
    assert listed(page) == {"umx-mini": None}


def test_an_error_page_and_silence_are_no_index(
    checkout: Path, open_page: Callable[..., Page]
) -> None:
    with serving(server(checkout)) as url:
        page = open_page(url + "?workers=1")
        page.reload()
        expect_state(page, "ready")
        index = checkout / "weights" / "index.json"
        index.write_text("<!doctype html><title>Sign in to the hotel's network</title>")
        assert listed(page) == {"umx-mini": None}
        (worker,) = page.context.service_workers
        worker.evaluate(
            """() => {
              self.fetch = (url, { signal }) => new Promise((done, fail) => (signal.onabort = fail));
            }"""
        )
        assert listed(page) == {"umx-mini": None}


def test_what_has_come_works_without_a_network(
    checkout: Path, open_page: Callable[..., Page]
) -> None:
    with serving(server(checkout)) as url:
        first = open_page(url + "?workers=1")
        paths = arrive(checkout, "umxl")
        # As long as the first page is open, no newer version of the site may start.
        second = open_page(url + "?workers=1&model=umxl")
        assert paths <= second.evaluate(KEPT).keys()
        first.close()
    second.reload()
    expect_state(second, "ready")
    assert listed(second) == {"umx-mini": None, "umxl": None}
    drop(second, ("song.wav", wav(compose(3))))
    expect(card(second, "song").locator("a[download]")).to_have_count(5, timeout=PATIENCE)


def test_serve_brings_umxl_and_the_open_page_takes_it(browser: Browser, tmp_path: Path) -> None:
    """The whole way: from the archive through weights.py into a page that is not loaded again."""
    checkpoints = [pth(random_state(64, 2049, 1487, seed)) for seed in range(4)]
    archive = Server(official_names(checkpoints))
    with serving(archive):
        checkout = stand_in(tmp_path / "checkout", checkpoints, archive.url)
        shutil.copytree(ROOT / "app" / "vendor", checkout / "app" / "vendor")
        shutil.copytree(ROOT / "weights" / "umx-mini", checkout / "weights" / "umx-mini")
        archive.answers = ["honest", "cut"]
        archive.may_cut.clear()
        command = [sys.executable, "scripts/serve.py", "--no-open", "--port", "0"]
        process = subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout
            (url,) = re.findall(r"http://\S+", process.stdout.readline())
            context = browser.new_context()
            page = context.new_page()
            page.goto(url + "?workers=1")
            news = page.locator("#model-news")
            expect(news).to_contain_text("UMX-L is on its way", timeout=PATIENCE)
            page.evaluate("document.body.dataset.unchanged = 'yes'")
            archive.may_cut.set()
            in_use = page.locator("#in-use")
            expect(in_use).to_contain_text("Model: UMX-L", timeout=PATIENCE)
            expect(page.locator("body")).to_have_attribute("data-unchanged", "yes")
            song = compose(3)
            drop(page, ("song.wav", wav(song)))
            best, mini = (checkout / "weights" / name for name in ("umxl", "umx-mini"))
            expect_made_with(stems(card(page, "song")), best, mini, song)
            expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE)
        finally:
            archive.may_cut.set()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            assert process.stdout
            process.stdout.close()
    page.reload()
    expect(in_use).to_contain_text("Model: UMX-L", timeout=PATIENCE)
    context.close()
