"""The built site in a real browser, under a path prefix, from a server that sends no special headers."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from pages import build_site
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
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    site = build_site(tmp_path_factory.mktemp("built") / "site")
    with server(site, prefix=PREFIX) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://localhost:{http.server_port}{PREFIX}"
        http.shutdown()
        thread.join()


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


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., tuple[Page, list[str]]]]:
    """Open a page of its own: `visit(query, prepare)` gives it and its list of complaints.

    It has no service worker, whose answers no route of a test would see.
    prepare: called with the page before it goes anywhere.
    """
    visits = []

    def open_page(
        query: str = "?workers=1", prepare: Callable[[Page], object] | None = None, **options: Any
    ) -> tuple[Page, list[str]]:
        context = browser.new_context(service_workers="block", **options)
        watch = watched(context, address)
        visits.append((context, watch))
        complaints, page = watch.__enter__(), context.new_page()
        if prepare:
            prepare(page)
        page.goto(address + query)
        return page, complaints

    yield open_page
    for context, watch in visits:
        context.close()
        watch.__exit__(None, None, None)


@pytest.fixture(scope="module")
def shared(browser: Browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    context = browser.new_context()
    with watched(context, address) as complaints:
        page = context.new_page()
        page.goto(address + "?workers=2")
        expect(page.locator("html")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
        yield page, complaints
        context.close()


CLEAR = """() => {
  for (const card of [...document.querySelectorAll(".card")].reverse()) {
    card.querySelector(".cancel:not([hidden])")?.click();
    card.querySelector(".remove").click();
  }
}"""
"""Cancels and removes all songs."""


@pytest.fixture
def page(shared: tuple[Page, list[str]]) -> Iterator[Page]:
    """A page whose engine is ready and that has no songs, shared by a file's tests."""
    page, complaints = shared
    yield page
    assert complaints == []
    page.evaluate(CLEAR)
    expect(page.locator(".card")).to_have_count(0)
