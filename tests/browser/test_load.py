"""Many songs, many cancels: the page holds no more after them than before. scripts/soak.py does more of it."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from conftest import watched
from playwright.sync_api import Browser, CDPSession, Page, Route, expect
from songs import PATIENCE, card, compose, drop, expect_state, wav

from scripts.common.environment import ROOT
from scripts.soak import COUNT_URLS

SHORT = wav(compose(1))
LONG = wav(np.tile(compose(20), (6, 1)))

# What Python holds of JavaScript, JavaScript of Python, and the page's Blob URLs that were not revoked.
HELD = """() => [
  proxy_js_ref.filter(object => object !== undefined).length, proxy_js_map.size, blobUrls.size
]"""
ROUNDS = 20


def held(page: Page) -> list[int]:
    """The least that is counted: what only waits for its collector comes and goes, what is held stays."""
    session = page.context.new_cdp_session(page)
    counts: list[list[int]] = []
    # A worker that is on its way would hold its script.
    expect(page.locator("#engine")).to_have_text("Ready.", timeout=PATIENCE)
    for _ in range(ROUNDS):
        # What one collector lets go of, the other finds then: Python's runs whenever a song is removed.
        drop(page, ("no song.wav", b""))
        expect(page.locator(".card")).to_have_attribute("data-state", "failed")
        page.locator(".remove").dispatch_event("click")  # at once, as no finger could
        session.send("HeapProfiler.collectGarbage")
        counts.append(page.evaluate(HELD))
    return [min(some) for some in zip(*counts, strict=True)]


def separate(page: Page) -> None:
    drop(page, ("song.wav", SHORT))
    song = card(page, "song")
    expect(song.locator("a[download]")).to_have_count(5, timeout=PATIENCE)
    song.locator(".remove").click()
    expect(page.locator(".card")).to_have_count(0)


def cancel(page: Page) -> None:
    drop(page, ("long.wav", LONG))
    song = card(page, "long")
    expect(song.locator(".status")).to_contain_text("%", timeout=PATIENCE)
    song.locator(".cancel").click()
    song.locator(".remove").click()


def listen(page: Page) -> None:
    drop(page, ("song.wav", SHORT))
    song = card(page, "song")
    expect(song.locator("a[download]")).to_have_count(5, timeout=PATIENCE)
    song.locator(".play").click()
    expect(song.locator(".clock")).to_have_text("0:01", timeout=PATIENCE)
    song.locator(".remove").click()


def mix(page: Page) -> None:
    drop(page, ("song.wav", SHORT))
    song = card(page, "song")
    expect(song.locator("a[download]")).to_have_count(5, timeout=PATIENCE)
    for button in (".mix", ".zip"):
        with page.expect_download(timeout=PATIENCE):
            song.locator(button).click()
    song.locator(".remove").click()


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture
def counted(browser: Browser, url: str) -> Iterator[Page]:
    """A page whose Blob URLs are counted."""
    context = browser.new_context(service_workers="block")
    with watched(context, url):
        page = context.new_page()
        page.add_init_script(COUNT_URLS)
        page.goto(url + "?workers=1")
        expect_state(page, "ready")
        yield page
        context.close()


@pytest.mark.parametrize(
    "act", [separate, listen, mix, pytest.param(cancel, marks=pytest.mark.engine)]
)
def test_nothing_is_left_of_songs_that_are_gone(act: Callable[[Page], None], counted: Page) -> None:
    act(counted)
    levels = [held(counted)]
    # What is left of every song adds up, round by round. Some rounds grow by a song that is left for a while:
    # MicroPython takes a word on its stack that looks like a pointer for one.
    growing = True
    while growing and len(levels) < 9:
        act(counted)
        levels.append(held(counted))
        growing = bool((np.diff(levels, axis=0).min(axis=0) > 2).any()) or len(levels) < 4
    assert not growing, levels
    # The silence by which media keys are heard is there for good.
    assert levels[-1][2] == levels[0][2]
    assert len(counted.workers) == 1


GROW = """
separate_only = REQUESTS["separate"]


async def separate_and_grow(**named):
    np.empty(400_000_000, np.uint8)
    return await separate_only(**named)


REQUESTS["separate"] = separate_and_grow
"""


@pytest.mark.engine
def test_worker_that_has_grown_is_renewed(visit: Callable) -> None:
    """The first; the second, which hasn't, stays."""
    made: list[str] = []

    def fulfill(route: Route) -> None:
        made.append((ROOT / "app" / "worker" / "worker.py").read_text() + ("" if made else GROW))
        route.fulfill(body=made[-1])

    def prepare(page: Page) -> None:
        page.route("**/app/worker/worker.py", fulfill)
        # On a slow machine the page would fetch the script once more, to see whether it can be had.
        pool = (ROOT / "app" / "page" / "workers" / "pool.py").read_text()
        assert "SLOW_START = 15" in pool
        patient = pool.replace("SLOW_START = 15", "SLOW_START = 10_000")
        page.route("**/app/page/workers/pool.py", lambda route: route.fulfill(body=patient))

    page, _ = visit("?workers=1", prepare)
    expect_state(page, "ready")
    for count in (1, 2, 3):
        drop(page, ("song.wav", SHORT))
        expect(page.locator(".card[data-state=done]")).to_have_count(count, timeout=PATIENCE)
    assert len(made) == 2


def is_collected(page: Page, session: CDPSession) -> bool:
    """Whether what `window.gone` refers to leaves memory in 8 seconds; if the page doesn't see to it, it takes 10."""
    for _ in range(16):
        session.send("HeapProfiler.collectGarbage")
        if page.evaluate("gone.deref() === undefined"):
            return True
        page.wait_for_timeout(500)
    return False


def test_removed_cards_are_collected_with_nothing_done_after(page: Page) -> None:
    """All but a few: a word of MicroPython's memory may look like a pointer to a card. That happens to one in forty."""
    session = page.context.new_cdp_session(page)
    collected = []
    for _ in range(8):
        drop(page, ("no song.wav", b""))
        expect(page.locator(".card")).to_have_attribute("data-state", "failed")
        page.evaluate("window.gone = new WeakRef(document.querySelector('.card'))")
        page.locator(".remove").click()
        expect(page.locator(".card")).to_have_count(0)
        collected.append(is_collected(page, session))
    assert sum(collected) >= 6, collected
