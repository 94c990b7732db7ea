"""What several files' tests do with the page beside dropping songs: building and serving it, having it wait, timing it,
taking all of its stems; and what tests require of the machine."""

import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect
from songs import PATIENCE, content, expect_state

from scripts.build import SERVICE_WORKER, build, service_worker
from scripts.common.index import write_index

STAND_IN = Path(__file__).parent / "stand_in"
ENGINE = "**/app/worker/stand-in.js"
"""The address of the stand-in for the engine."""
TURN = "**/app/worker/turn"
"""What the stand-in asks for late in each batch of a song."""

UNLISTED = """async () => {
  const root = await navigator.storage.getDirectory();
  const [song] = await Array.fromAsync((await root.getDirectoryHandle("umx songs")).values());
  const list = await (await song.getFileHandle("song.json")).getFile();
  const listed = JSON.parse(await list.text()).pieces.map(({ file }) => file);
  return (await Array.fromAsync(song.keys())).filter(name => !listed.includes(name));
}"""
"""JavaScript that gives the files of the one kept song that its list doesn't name."""


def require(is_there: object, purpose: str, *packages: str) -> None:
    """Skip the test unless something is there, naming Debian packages that bring it; fail where all must be tested."""
    if is_there:
        return
    words = f"To test {purpose}, install {' and '.join(packages)}."
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


def build_site(folder: Path) -> Path:
    """The site with the model that comes with it, and none of those that this checkout has beside it."""
    site = build(folder)
    for path in (site / "weights").glob("*/"):
        if path.name != "umx-mini":
            shutil.rmtree(path)
    write_index(site / "weights")
    (site / SERVICE_WORKER).write_text(service_worker(site))
    return site


def put_stand_in(site: Path) -> None:
    """Give a site the stand-in for the engine, see README.md beside this file."""
    shutil.copy(STAND_IN / "stand-in.js", site / "app" / "worker")
    shutil.copy(STAND_IN / "worker_urls.py", site / "app" / "shims")
    (site / "app" / "worker" / "turn").touch()
    (site / "app" / "offline" / "snapshot-maker.mjs").write_text("postMessage('over');\n")
    (site / SERVICE_WORKER).write_text(service_worker(site))


@contextmanager
def changing_package(site: Path, folder: Path) -> Iterator[Path]:
    """The package `umx` of a site, unpacked into a new folder; what is changed there, the site's workers have then."""
    (wheel,) = (site / "app" / "vendor" / "umx").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    yield folder
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
    (site / SERVICE_WORKER).write_text(service_worker(site))


@contextmanager
def serving(http: ThreadingHTTPServer, prefix: str = "/") -> Iterator[str]:
    """The page's address, for as long as the server runs."""
    with http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{http.server_port}{prefix}"
        finally:
            http.shutdown()
            thread.join()


def opened(context: BrowserContext, query: str = "?workers=1") -> Page:
    """A page of a context that knows its address, whose engine is ready."""
    page = context.new_page()
    page.goto(query)
    expect_state(page, "ready")
    return page


def expect_all_kept(page: Page) -> None:
    """Wait until all is on the device that later visits need."""
    page.wait_for_function("performance.getEntriesByName('umx:kept').length", timeout=PATIENCE)


# Calls a function of the page until it gives, or promises, what is true.
UNTIL = """async ([argument, patience]) => {
  const holds = HOLDS, end = performance.now() + patience;
  while (!(await holds(argument))) {
    if (performance.now() > end) throw new Error("waited in vain");
    await new Promise(requestAnimationFrame);
  }
}"""


def wait_until(page: Page, holds: str, argument: object = None) -> None:
    """Wait for what an async function of JavaScript gives: `wait_for_function` takes any promise for true."""
    page.evaluate(UNTIL.replace("HOLDS", holds), [argument, PATIENCE])


class Hold:
    """What answers to a pattern is held back: `visit(query, hold)`, and in the end `hold.release()`."""

    def __init__(self, pattern: str):
        self.pattern = pattern
        self.held: list[Route] | None = []

    def __call__(self, page: Page) -> None:
        page.route(self.pattern, self.answer)

    def answer(self, route: Route) -> None:
        if self.held is None:
            route.continue_()
        else:
            self.held.append(route)

    def release(self) -> None:
        held, self.held = self.held or [], None
        for route in held:
            route.continue_()

    def let_one_go(self, page: Page) -> None:
        """Wait until something is held back, and let it go alone."""
        assert self.held is not None
        while not self.held:
            page.evaluate("new Promise(requestAnimationFrame)")
        self.held.pop(0).continue_()


@contextmanager
def at_work(page: Page) -> Iterator[Hold]:
    """Songs that come in it begin to be separated by the stand-in, and stay at work until `release`."""
    hold = Hold(TURN)
    hold(page)
    try:
        yield hold
    finally:
        hold.release()


def let_through(page: Page | BrowserContext, pattern: str) -> None:
    """Have the server answer again what a route of a test has answered.

    The newest route counts. Without any, Playwright would stop to intercept requests, and one that is on its way just
    then may never be answered.
    """
    page.route(pattern, lambda route: route.continue_())


# Measures the milliseconds from the next click until an expression is true of the page.
MEASURE = """() => {
  delete window.took;
  document.addEventListener("click", () => {
    const begun = performance.now();
    const everything = { subtree: true, childList: true, attributes: true, characterData: true };
    new MutationObserver((changes, observer) => {
      if (!(EXPRESSION)) return;
      window.took = performance.now() - begun;
      observer.disconnect();
    }).observe(document, everything);
  }, { capture: true, once: true });
}"""


@contextmanager
def within_a_second(page: Page, expression: str) -> Iterator[None]:
    """A click in it makes an expression true of the page in less than a second, by the page's own clock."""
    page.evaluate("delete window.took")
    page.evaluate(MEASURE.replace("EXPRESSION", expression))
    yield
    page.wait_for_function("window.took", timeout=PATIENCE)
    assert page.evaluate("took") < 1000


def stems(song: Locator, count: int = 5) -> dict[str, bytes]:
    """The WAV files of a card by stem, once they are there."""
    expect(song.locator("a[download]")).to_have_count(count, timeout=PATIENCE)
    return {
        str(link.get_attribute("data-stem")): content(song.page, str(link.get_attribute("href")))
        for link in song.locator("a[download]").all()
    }
