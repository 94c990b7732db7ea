"""Tempo, key and chords of a song: asked for, said, halved and doubled, kept, called off; what is fetched for them."""

import re
from collections.abc import Iterator

import pytest
from pages import TURN, Hold, expect_all_kept, let_through, opened, wait_until
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from songs import PATIENCE, card, compose, drop, wav

SONG = wav(compose(16))
"""120 beats a minute."""
FOUND = "120 BPM · A minor, or C major"
"""Said of what the stand-in finds in every song."""
SCIPY = re.compile(r"/(scipy|openblas|micropip|packaging)-")


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture
def context(browser: Browser, url: str) -> Iterator[BrowserContext]:
    """A browser that keeps what pages keep, for one test."""
    context = browser.new_context(base_url=url, service_workers="block", bypass_csp=True)
    yield context
    context.close()


def made(page: Page, title: str = "song") -> Locator:
    """The card of a song that was dropped and is done."""
    drop(page, (f"{title}.wav", SONG))
    song = card(page, title)
    expect(song).to_have_attribute("data-state", "done", timeout=PATIENCE)
    return song


def analyse(song: Locator) -> Locator:
    """Have a song analysed; the text that is said of it."""
    song.get_by_role("button", name="Analyse").click()
    return song.locator(".found")


def test_by_keyboard_and_over_a_reload(context: BrowserContext) -> None:
    page = opened(context)
    song = made(page)
    found, keyboard = song.locator(".found"), page.keyboard
    song.get_by_role("button", name="Analyse").focus()
    keyboard.press("Enter")
    expect(found).to_have_text(FOUND)
    expect(page.locator("#announcer")).to_have_text(FOUND)
    expect(song.get_by_role("button", name="Analyse")).to_be_hidden()
    half, double = (
        song.get_by_role("button", name=f"{name} the tempo") for name in ("Half", "Twice")
    )
    expect(half).to_be_focused()
    keyboard.press("Enter")
    expect(found).to_have_text(FOUND.replace("120", "60"))
    expect(page.locator("#announcer")).to_have_text(FOUND.replace("120", "60"))
    song.get_by_text("Chords", exact=True).click()
    # At half the tempo a bar has two chords.
    expect(song.locator(".bars")).to_have_text("0:00 Am F | Dm E | Am F | Dm E")
    page.reload()
    song = card(page, "song")
    song.get_by_role("button", name="song", exact=True).click()
    expect(found).to_have_text(FOUND.replace("120", "60"))
    double.click()
    double.click()
    expect(found).to_have_text(FOUND.replace("120", "240"))
    expect(double).to_be_disabled()
    song.get_by_role("button", name="Remove").click()
    page.evaluate("document.querySelector('#removed').hidden")
    page.reload()
    expect(page.locator(".card")).to_have_count(0)
    wait_until(page, "() => !Object.keys(localStorage).some(name => name.startsWith('analysis '))")


def test_cancelled(context: BrowserContext) -> None:
    page = opened(context)
    song, hold = made(page), Hold(TURN)
    hold(page)
    found = analyse(song)
    expect(found).to_have_text("Analysing… 30%")
    expect(song.get_by_role("button", name="Cancel the analysis")).to_be_focused()
    page.keyboard.press("Enter")
    expect(found).to_have_text("Cancelled.")
    expect(song.get_by_role("button", name="Analyse")).to_be_focused()
    hold.release()
    page.keyboard.press("Enter")
    expect(found).to_have_text(FOUND)


def test_removed_meanwhile(context: BrowserContext) -> None:
    """The worker ends, and nothing is said of a song that is no longer there."""
    page = opened(context)
    song, hold = made(page), Hold(TURN)
    hold(page)
    before = len(page.workers)
    expect(analyse(song)).to_have_text("Analysing… 30%")
    assert len(page.workers) == before + 1
    song.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Undo").click()
    expect(song.locator(".found")).to_have_text("Analysing… 30%")
    song.get_by_role("button", name="Remove").click()
    drop(page, ("other.wav", SONG))
    expect(card(page, "other")).to_have_count(1)
    wait_until(page, "() => document.querySelector('#removed').hidden")
    while len(page.workers) > before:
        page.evaluate("new Promise(requestAnimationFrame)")
    hold.release()


@pytest.mark.parametrize("locale", ["en-GB", "de-DE", "ja-JP", "fr-FR"])
def test_on_the_smallest_phone(browser: Browser, url: str, locale: str) -> None:
    context = browser.new_context(
        base_url=url, locale=locale, viewport={"width": 320, "height": 640}, has_touch=True
    )
    page = opened(context)
    song = made(page)
    song.locator(".analyse").tap()
    expect(song.locator(".half")).to_be_visible()
    song.locator(".chords summary").tap()
    expect(song.locator(".bars")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= 320")
    for control in (".half", ".double"):
        box = song.locator(control).bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 44
    if locale == "de-DE":
        expect(song.locator(".found")).to_have_text("120 BPM · A-Moll oder C-Dur")
    context.close()


@pytest.mark.engine
def test_scipy_comes_when_it_is_asked_for(context: BrowserContext, url: str) -> None:
    """The tempo of a song that the engine has separated, which is known; and what is fetched for it, and when."""
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = opened(context)
    song = made(page)
    assert not any(map(SCIPY.search, asked))
    page.route("**/scipy-*.whl", lambda route: route.fulfill(status=404))
    reason = "What analyses songs can't be fetched: the network is gone, or the server."
    found = analyse(song)
    expect(found).to_have_text(reason, timeout=PATIENCE)
    expect(page.locator("#announcer")).to_have_text(reason)
    let_through(page, "**/scipy-*.whl")
    expect(analyse(song)).to_contain_text(re.compile(r"^120 BPM · \w"), timeout=PATIENCE)
    names = {match[1] for address in asked if (match := SCIPY.search(address))}
    assert names == {"scipy", "openblas", "micropip", "packaging"}
    assert [address for address in asked if not address.startswith((url, "blob:", "data:"))] == []


@pytest.mark.engine
def test_without_a_network(browser: Browser, url: str) -> None:
    """Whoever has analysed a song once can do it again."""
    context = browser.new_context(base_url=url, bypass_csp=True)
    page = opened(context)
    expect_all_kept(page)
    kept = """async () => (await Promise.all((await caches.keys()).map(async name =>
      (await (await caches.open(name)).keys()).map(({ url }) => url)))).flat().filter(url =>
      /\\/(scipy|openblas|micropip|packaging)-/.test(url)).length"""
    assert page.evaluate(kept) == 0
    expect(analyse(made(page))).to_contain_text("120 BPM", timeout=PATIENCE)
    wait_until(page, f"async () => (await ({kept})()) === 4")
    context.set_offline(True)
    page.reload()
    expect(analyse(made(page, "another"))).to_contain_text("120 BPM", timeout=PATIENCE)
    context.close()
