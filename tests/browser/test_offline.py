"""The service worker: what it keeps, what it refuses, when a new version of the site starts."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import needs_engine
from pages import expect_all_kept, put_stand_in, serving, stems
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, expect
from songs import PATIENCE, card, compose, drop, expect_state, wav

from scripts.build import SERVICE_WORKER, hashes, service_worker
from scripts.common.environment import ROOT
from scripts.serve import Handler, server

ONE_WORKER = "?workers=1"
SONG = ("song.wav", wav(compose(3)))

# What the service worker keeps: {path: sha256}.
KEPT = """async () => {
  const found = {};
  for (const name of await caches.keys()) {
    if (!name.startsWith("umx at ")) continue;
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const bytes = await (await cache.match(request)).arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      const path = new URL(request.url).pathname.slice(1);
      found[path] = Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join("");
    }
  }
  return found;
}"""

# Registers the service worker, and tells what becomes of it.
REGISTER = """async () => {
  const registration = await navigator.serviceWorker.register("service-worker.js");
  await registration.update().catch(() => undefined);
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  if (worker?.state === "installing") await new Promise((done, fail) => {
    worker.onstatechange = done;
    setTimeout(fail, 120_000, "the service worker is still being installed");
  });
  return worker?.state ?? "redundant";
}"""


@pytest.fixture
def site(request: pytest.FixtureRequest, built: Path, tmp_path: Path) -> Path:
    """A site of the test's own, with the stand-in for the engine unless it is marked otherwise."""
    site = shutil.copytree(built, tmp_path / "site")
    if not needs_engine(request):
        put_stand_in(site)
    return site


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    with without_complaints(context):
        yield context
    context.close()


@contextmanager
def without_complaints(context: BrowserContext) -> Iterator[None]:
    """Fails at the end if a page has put errors on the console."""
    complaints: list[str] = []
    context.on(
        "console",
        lambda m: complaints.append(f"{m.text} {m.location}") if m.type == "error" else None,
    )
    context.on("weberror", lambda e: complaints.append(str(e.error)))
    yield
    assert complaints == []


@pytest.fixture
def open_page(context: BrowserContext) -> Callable[..., Page]:
    """Open an address and wait for the engine."""

    def open_page(url: str, query: str = ONE_WORKER) -> Page:
        page = context.new_page()
        page.goto(url + query)
        expect_state(page, "ready")
        return page

    return open_page


def expect_kept(page: Page) -> None:
    """Wait until the page says that it is kept."""
    expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE)


def separate(page: Page) -> dict[str, bytes]:
    drop(page, SONG)
    return stems(card(page, "song"))


def publish(site: Path, version: int = 0) -> None:
    """List the site's files anew, as another build would, with the version in the page."""
    index = site / "index.html"
    before = re.sub('<meta name="version".*?>', "", index.read_text())
    mark = f'<meta name="version" content="{version}"></head>'
    index.write_text(before.replace("</head>", mark))
    (site / SERVICE_WORKER).write_text(service_worker(site))


def begin_and_cancel(page: Page) -> None:
    """Cancel a long song while it is being separated; fresh workers take over."""
    drop(page, ("long.wav", wav(np.tile(compose(20), (6, 1)))))
    song = card(page, "long")
    expect(song.locator(".status")).to_contain_text("%", timeout=PATIENCE)
    song.locator(".cancel").click()
    expect(song.locator(".status")).to_have_text("Cancelled")


@pytest.mark.engine
def test_whole_job_without_a_server(site: Path, open_page: Callable[..., Page]) -> None:
    prefix = "/some/where/"  # elsewhere there is none
    with serving(server(site, prefix=prefix), prefix) as url:
        page = open_page(url)
        online = separate(page)
        expect_kept(page)
    page.reload()
    expect_state(page, "ready")
    assert separate(page) == online
    assert len(online) == 5


@pytest.mark.engine
def test_checkout_is_kept_too(open_page: Callable[..., Page]) -> None:
    with serving(server(ROOT)) as url:
        page = open_page(url)
        expect_kept(page)
    page.reload()
    expect_state(page, "ready")


@pytest.mark.engine
def test_workers_renewed_without_a_server(site: Path, open_page: Callable[..., Page]) -> None:
    """On the first visit, whose page began without the service worker."""
    with serving(server(site)) as url:
        page = open_page(url)
        expect_kept(page)
    begin_and_cancel(page)
    assert len(separate(page)) == 5


def test_file_that_was_tampered_with_is_never_kept(
    site: Path, open_page: Callable[..., Page]
) -> None:
    style = site / "app" / "look" / "style.css"
    style.write_text(style.read_text() + "/* not as published */")
    with serving(server(site)) as url:
        page = open_page(url)
        assert page.evaluate(REGISTER) == "redundant"
        found = page.evaluate(KEPT)
        assert "app/look/style.css" not in found
        assert all(sha256 in hashes(site / path) for path, sha256 in found.items())
        assert not page.locator("#offline").is_visible()


@pytest.mark.engine
def test_damaged_copy_is_fetched_again(site: Path, open_page: Callable[..., Page]) -> None:
    """That of weights, too, which only the engine checks."""
    with serving(server(site)) as url:
        page = open_page(url)
        expect_kept(page)
        page.evaluate(
            """async () => {
              const cache = await caches.open((await caches.keys()).find((name) => name.startsWith("umx at ")));
              const keys = (await cache.keys()).filter(key => /worker.py|vocals/.test(key.url));
              for (const key of keys) await cache.put(key, new Response("an error page"));
            }"""
        )
        worker = "app/worker/worker.py"
        assert page.evaluate(KEPT)[worker] not in hashes(site / worker)
        page.reload()
        expect_state(page, "ready")
        expect_kept(page)
        found = page.evaluate(KEPT)
        assert all(sha256 in hashes(site / path) for path, sha256 in found.items())


def test_only_the_model_in_use_is_kept(site: Path, open_page: Callable[..., Page]) -> None:
    other = site / "weights" / "other"
    shutil.copytree(site / "weights" / "umx-mini", other)
    publish(site)
    with serving(server(site)) as url:
        page = open_page(url, "?model=other")
        expect_kept(page)
        found = page.evaluate(KEPT)
        assert {path for path in found if re.match("weights/.+/", path)} == {
            path.relative_to(site).as_posix() for path in other.iterdir()
        }


def test_no_room_to_keep_the_site(site: Path, context: BrowserContext) -> None:
    """The page says nothing of working without a network, and works."""
    with serving(server(site)) as url:
        page = context.new_page()
        quota = {"origin": url.rstrip("/"), "quotaSize": 1_000_000}
        context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", quota)
        page.goto(url + ONE_WORKER)
        expect_state(page, "ready")
        assert page.evaluate(REGISTER) == "redundant"
        assert len(separate(page)) == 5
        assert not page.locator("#offline").is_visible()


@pytest.mark.engine
def test_weights_that_the_server_has_unpacked(site: Path, open_page: Callable[..., Page]) -> None:
    class Unpacking(Handler):
        def end_headers(self) -> None:
            if self.path.endswith(".gz"):
                self.send_header("Content-Encoding", "gzip")
            super().end_headers()

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Unpacking, directory=str(site)))
    with serving(http) as url:
        page = open_page(url)
        expect_kept(page)
    page.reload()
    expect_state(page, "ready")


@pytest.mark.engine
def test_new_version_starts_between_visits(
    site: Path, open_page: Callable[..., Page], context: BrowserContext
) -> None:
    logged: list[str] = []
    context.on("console", lambda message: logged.append(message.text))
    offline = site / "app" / "offline" / "offline.py"
    impatient = offline.read_text()
    offline.write_text(impatient.replace("PATIENCE = 3\n", "PATIENCE = 120\n"))
    assert offline.read_text() != impatient
    publish(site, version=1)
    with serving(server(site)) as url:
        page = open_page(url)
        expect_kept(page)
        worker = site / "app" / "worker" / "worker.py"
        worker.write_text(worker.read_text() + "\nprint('worker of version 2')\n")
        publish(site, version=2)
        assert page.evaluate(REGISTER) == "installed"

        other = open_page(url)
        assert other.locator("meta[name=version][content='1']").count() == 1
        begin_and_cancel(page)
        assert len(separate(page)) == 5
        assert "worker of version 2" not in logged

        other.close()
        page.reload()
        page.locator("meta[name=version][content='2']").wait_for(state="attached", timeout=PATIENCE)
        expect_state(page, "ready")
        assert "worker of version 2" in logged

        publish(site, version=3)
        assert page.evaluate(REGISTER) == "installed"
        page.close()
        page = context.new_page()
        page.goto(url, timeout=PATIENCE)
        page.locator("meta[name=version][content='3']").wait_for(state="attached", timeout=PATIENCE)


# Added to a service worker: it doesn't answer whether it may start, and does so when it is told to.
LATE = """
requests.renew = () => new Promise(() => {
  new BroadcastChannel("start").onmessage = () => self.skipWaiting();
});
"""


def test_new_version_that_starts_late(site: Path, open_page: Callable[..., Page]) -> None:
    """The page doesn't wait for it, and is loaded anew then, since it would get files of the new version."""
    publish(site, version=1)
    with serving(server(site)) as url:
        page = open_page(url)
        expect_kept(page)
        publish(site, version=2)
        script = site / SERVICE_WORKER
        script.write_text(script.read_text() + LATE)
        assert page.evaluate(REGISTER) == "installed"
        page.reload()
        expect_state(page, "ready")
        assert page.locator("meta[name=version][content='1']").count() == 1
        # Whoever still asks the version before for something would have the browser wait with the new one.
        expect_all_kept(page)
        # Again and again: it may not be there to listen yet.
        page.evaluate("setInterval(() => new BroadcastChannel('start').postMessage(''), 100)")
        page.locator("meta[name=version][content='2']").wait_for(state="attached", timeout=PATIENCE)
        expect_state(page, "ready")


@pytest.mark.engine
def test_page_without_service_workers(
    site: Path,
    browser_type: BrowserType,
    browser_type_launch_args: dict[str, Any],
) -> None:
    """Over plain http, as on a local network: nothing that needs a secure origin is there."""
    args = [*browser_type_launch_args["args"], "--host-resolver-rules=MAP lan.test 127.0.0.1"]
    browser = browser_type.launch(**{**browser_type_launch_args, "args": args})
    context = browser.new_context()
    with serving(server(site)) as url, without_complaints(context):
        page = context.new_page()
        page.goto(url.replace("localhost", "lan.test") + ONE_WORKER)
        expect_state(page, "ready")
        assert page.evaluate("[isSecureContext, 'serviceWorker' in navigator]") == [False, False]
        assert len(separate(page)) == 5
        assert not page.locator("#offline").is_visible()
    browser.close()


def test_the_page_about_the_page_needs_no_server(
    site: Path, open_page: Callable[..., Page]
) -> None:
    with serving(server(site)) as url:
        page = open_page(url)
        expect_kept(page)
    page.goto(url + "app/about/de.html")
    expect(page.locator("h1")).to_have_text("Wie diese Seite Lieder zerlegt")
    page.locator(".notes a").first.click()
    expect(page.locator("h1")).to_have_text("Segments and their overlap")
    shown = "getComputedStyle(document.querySelector('.back')).display"
    assert page.evaluate(shown) == "inline-block"  # by the style sheet
