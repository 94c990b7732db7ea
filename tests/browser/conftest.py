"""The built site in a real browser, under a path prefix, from a server that sends no special headers.

A file whose tests need no separation overrides `address` by `stand_in`; there, the mark `engine` has a test visit the
site as it is, and its `page` is shared by all files. README.md says which tests do without the engine, and why.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pages import build_site, put_stand_in, serving
from playwright.sync_api import Browser, BrowserContext, Page, expect
from songs import PATIENCE

from scripts.serve import server

PREFIX = "/some/where/"

# A machine with other work is slow at what is done at once elsewhere.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {
        "executable_path": os.environ.get("UMX_CHROMIUM", "/usr/bin/chromium"),
        "args": [
            "--no-sandbox",
            "--autoplay-policy=no-user-gesture-required",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    }


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("built") / "site")


@pytest.fixture(scope="session")
def real(built: Path) -> Iterator[str]:
    """The address of the site as it is."""
    with serving(server(built, prefix=PREFIX), PREFIX) as url:
        yield url


@pytest.fixture(scope="session")
def stand_in(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site that has the stand-in for the engine."""
    site = shutil.copytree(built, tmp_path_factory.mktemp("stand-in") / "site")
    put_stand_in(site)
    with serving(server(site, prefix=PREFIX), PREFIX) as url:
        yield url


@pytest.fixture(scope="module")
def address(real: str) -> str:
    """The address of the site that a file's tests visit."""
    return real


@contextmanager
def watched(context: BrowserContext, address: str) -> Iterator[list[str]]:
    """What the context's pages do that they must not: errors on the console, requests that leave the origin.

    Fails at the end if anything is in the list.
    """
    complaints: list[str] = []

    def request(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and not url.startswith(address):
            complaints.append(f"a request to {url}")

    context.on("request", lambda r: request(r.url))
    context.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    context.on("weberror", lambda e: complaints.append(str(e.error)))
    yield complaints
    assert complaints == []


def needs_engine(request: pytest.FixtureRequest) -> bool:
    return request.node.get_closest_marker("engine") is not None


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The address of the site that a test visits."""
    return request.getfixturevalue("real" if needs_engine(request) else "address")


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Callable[..., tuple[Page, list[str]]]]:
    """Open a page of its own: `visit(query, prepare)` gives it and its list of complaints.

    It has no service worker, whose answers no route of a test would see.
    prepare: called with the page before it goes anywhere.
    """
    visits = []

    def open_page(
        query: str = "?workers=1", prepare: Callable[[Page], object] | None = None, **options: Any
    ) -> tuple[Page, list[str]]:
        context = browser.new_context(service_workers="block", **options)
        watch = watched(context, url)
        visits.append((context, watch))
        complaints, page = watch.__enter__(), context.new_page()
        if prepare:
            prepare(page)
        page.goto(url + query)
        return page, complaints

    yield open_page
    for context, watch in visits:
        context.close()
        watch.__exit__(None, None, None)


@contextmanager
def ready(browser: Browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    context = browser.new_context(service_workers="block")
    with watched(context, address) as complaints:
        page = context.new_page()
        page.goto(address + "?workers=2")
        expect(page.locator("html")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
        yield page, complaints
        context.close()


@pytest.fixture(scope="module")
def shared(browser: Browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    with ready(browser, address) as found:
        yield found


@pytest.fixture(scope="session")
def shared_real(browser: Browser, real: str) -> Iterator[tuple[Page, list[str]]]:
    """With the engine; shared by all files, since it takes long to start."""
    with ready(browser, real) as found:
        yield found


CLEAR = """() => {
  for (const card of [...document.querySelectorAll(".card")].reverse()) {
    card.querySelector(".cancel:not([hidden])")?.click();
    card.querySelector(".remove").click();
  }
}"""
"""Cancels and removes all songs."""


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page whose engine is ready and that has no songs, shared by a file's tests."""
    name = "shared_real" if needs_engine(request) else "shared"
    page, complaints = request.getfixturevalue(name)
    yield page
    found = complaints.copy()
    complaints.clear()
    page.evaluate(CLEAR)
    expect(page.locator(".card")).to_have_count(0)
    assert found == []
