"""The engine's next start: from what the page has kept of the one before, unless that is of no use."""

from collections.abc import Iterator

import pytest
from conftest import watched
from pages import expect_all_kept, opened, stems
from playwright.sync_api import Browser, BrowserContext, Page
from songs import card, compose, drop, expect_state, wav

from scripts.bench import engines

# Tells whether a worker has started from the snapshot.
FROM_SNAPSHOT = "performance.getEntriesByName('umx:from-snapshot').length === 1"

# The names of the kept snapshots' caches, and what is in them: [address, bytes].
SNAPSHOTS = """async () => {
  const found = [];
  for (const name of await caches.keys()) {
    if (!name.startsWith("umx snapshot of ")) continue;
    const cache = await caches.open(name);
    for (const key of await cache.keys())
      found.push([key.url, (await (await cache.match(key)).arrayBuffer()).byteLength]);
  }
  return found;
}"""

# Puts as many zeros in the snapshot's place: with the hash of before, or with their own.
EXCHANGE = """async (has_own_hash) => {
  const name = (await caches.keys()).find((name) => name.startsWith("umx snapshot of "));
  const cache = await caches.open(name);
  const [key] = await cache.keys();
  const before = await cache.match(key);
  const zeros = new Uint8Array((await before.clone().arrayBuffer()).byteLength);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", zeros));
  const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const sha256 = has_own_hash ? hash : before.headers.get("sha256");
  await cache.put(key, new Response(zeros, { headers: { sha256 } }));
}"""


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=address)
    with watched(context, address):
        yield context
        context.close()


def starts(page: Page) -> list[bool]:
    """Of each worker, whether it has started from the snapshot."""
    return [worker.evaluate(FROM_SNAPSHOT) for worker in engines(page)]


def separated(page: Page) -> dict[str, bytes]:
    drop(page, ("song.wav", wav(compose(3))))
    return stems(card(page, "song"))


def test_next_start_is_from_the_snapshot(context: BrowserContext) -> None:
    page = opened(context, "?workers=2")
    expect_all_kept(page)
    expected = separated(page)
    assert starts(page) == [False, False]
    ((address, size),) = page.evaluate(SNAPSHOTS)
    assert "version=0.27.7" in address
    assert size > 20_000_000
    page.reload()
    expect_state(page, "ready")
    expect_all_kept(page)
    assert starts(page) == [True, True]
    assert separated(page) == expected
    assert page.evaluate(SNAPSHOTS) == [[address, size]]


def test_snapshot_that_is_of_no_use_is_made_anew(context: BrowserContext) -> None:
    """With the hash of before, or with its own."""
    page = opened(context)
    expect_all_kept(page)
    made = page.evaluate(SNAPSHOTS)
    for has_own_hash in (False, True):
        page.evaluate(EXCHANGE, has_own_hash)
        page.reload()
        expect_state(page, "ready")
        assert starts(page) == [False]
        assert len(separated(page)) == 5
        page.locator(".remove").click()
        expect_all_kept(page)
        assert page.evaluate(SNAPSHOTS) == made
        page.reload()
        expect_state(page, "ready")
        assert starts(page) == [True]


def test_no_room_for_a_snapshot(context: BrowserContext) -> None:
    page = context.new_page()
    origin = context.request.get("").url.split("/some/")[0]
    quota = {"origin": origin, "quotaSize": 40_000_000}  # for the site and no more
    context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", quota)
    for _ in range(2):
        page.goto("?workers=1")
        expect_state(page, "ready")
        expect_all_kept(page)
        assert starts(page) == [False]
        assert page.evaluate(SNAPSHOTS) == []
