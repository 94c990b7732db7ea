"""For everybody: axe finds nothing in any state, and the keyboard alone does the whole job."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from pages import ENGINE, at_work, let_through
from playwright.sync_api import Page, expect
from songs import PATIENCE, RATE, SONG, card, compose, drop, expect_state, read, wav

from page.text.texts import LANGUAGES


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


# All rules; but of what they find good, no more than whether there is some.
OPTIONS = {"resultTypes": ["violations"]}


def check(page: Page, state: str) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        results = Axe().run(page, options=OPTIONS)
        assert results.violations_count == 0, f"{state}, {scheme}: {results.generate_report()}"
    page.emulate_media(color_scheme="light")


SMALL_TARGETS = """() => [...document.querySelectorAll("button, select, input, summary, li > a")]
  .map((node) => node.closest("label") ?? node)
  .filter((node) => node.checkVisibility({ visibilityProperty: true }))
  .filter((node) => {
    const { width, height } = node.getBoundingClientRect();
    return Math.min(width, height) < 23.9;
  })
  .map((node) => node.outerHTML)"""
"""Finds what can be pressed and is less than 24 pixels wide or high."""


def is_for_phones_too(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(SMALL_TARGETS) == []


@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing_in_any_state(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    check(page, "empty")
    for summary in page.locator("summary").all():
        summary.click()
    check(page, "details")
    is_for_phones_too(page)
    for summary in page.locator("summary").all():
        summary.click()
    with at_work(page) as work:
        drop(page, ("song.wav", wav(SONG)), ("no song.wav", b"no"))
        song = card(page, "song")
        work.let_one_go(page)
        expect(song.locator(".play")).to_be_enabled(timeout=PATIENCE)
        check(page, "running")
        is_for_phones_too(page)
    expect_state(page, "error")
    check(page, "done, and an error")
    song.get_by_role("button", name="Solo drums").click()
    song.get_by_role("button", name="Loop from here").click()
    check(page, "solo and loop")
    is_for_phones_too(page)
    song.get_by_role("button", name="Analyse").click()
    expect(song.locator(".click")).to_be_visible()
    check(page, "analysed, with a click")
    is_for_phones_too(page)
    page.locator("#help-button").click()
    check(page, "help")
    is_for_phones_too(page)
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.set_viewport_size({"width": 1280, "height": 720})


@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing_in_german(visit: Callable, width: int, tmp_path: Path) -> None:
    """Of songs that wait, are cancelled, too loud, or kept; of a model that is being made."""

    def prepare(page: Page) -> None:
        page.route(ENGINE, lambda route: None)

    size = {"width": width, "height": 800}
    page, _ = visit("?workers=1", prepare, locale="de-DE", viewport=size)
    loud = wav(np.sign(SONG[: 5 * 44100]))
    drop(page, ("laut.wav", loud), ("zwei.wav", loud), ("drei.wav", loud))
    expect(page.locator(".card[data-state=waiting]")).to_have_count(2, timeout=PATIENCE)
    check(page, "waiting")
    is_for_phones_too(page)
    for title in ("zwei", "drei"):
        page.get_by_role("button", name=f"{title} abbrechen").click()
    check(page, "cancelled")
    is_for_phones_too(page)
    let_through(page, ENGINE)
    page.reload()
    expect(page.locator(".status")).to_contain_text("Unterbrochen", timeout=PATIENCE)
    check(page, "interrupted")
    is_for_phones_too(page)
    page.get_by_role("button", name="laut entfernen").click()
    drop(page, ("laut.wav", loud))
    expect_state(page, "done")
    expect(page.locator(".loud")).not_to_have_text("")
    check(page, "too loud")
    is_for_phones_too(page)
    page.reload()
    expect(page.locator(".card[data-state=done]")).to_be_visible(timeout=PATIENCE)
    expect_state(page, "ready")
    page.locator(".title").click()
    check(page, "kept")
    page.route(ENGINE, lambda route: None)
    drop(page, ("vocals.pth", b""))
    expect(page.locator("#cancel-conversion")).to_be_visible()
    check(page, "conversion")
    is_for_phones_too(page)


def test_axe_finds_nothing_before_the_engine_and_without_one(visit: Callable) -> None:
    page, complaints = visit(
        "?workers=1", lambda p: p.route("**/manifest.json", lambda route: None)
    )
    check(page, "loading")
    let_through(page, "**/manifest.json")
    page.route("**/manifest.json", lambda route: route.fulfill(status=404))
    page.reload()
    expect_state(page, "error")
    check(page, "no engine")
    complaints.clear()  # of the file that isn't there


OUTLINE = """node => {
  const style = getComputedStyle(node);
  return [style.outlineStyle, style.outlineWidth, style.outlineColor];
}"""
ACCENT_IN_THE_DARK = "rgb(167, 156, 255)"


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control of that name has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.locator("*:focus")
        if focused.count() and name in (
            focused.get_attribute("aria-label"),
            (focused.text_content() or "").strip(),
            focused.get_attribute("id"),
        ):
            assert name == "file" or focused.evaluate(OUTLINE) == [
                "solid",
                "3px",
                ACCENT_IN_THE_DARK,
            ]
            return
    raise AssertionError(f"Tab does not reach {name}.")


def test_the_whole_job_by_keyboard(page: Page, tmp_path: Path) -> None:
    (tmp_path / "typed.wav").write_bytes(wav(compose(3)))
    page.emulate_media(color_scheme="dark")
    page.locator("h1").click()
    with page.expect_file_chooser() as chooser:
        tab_to(page, "file")  # here, so that the browser surely knows of it when the key is pressed
        page.keyboard.press("Space")
    chooser.value.set_files(tmp_path / "typed.wav")
    expect_state(page, "done")
    tab_to(page, "Play")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "Karaoke")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Karaoke")).to_have_attribute("aria-pressed", "true")
    tab_to(page, "Vocals")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    waiting.value.save_as(tmp_path / "vocals.wav")
    assert read(tmp_path / "vocals.wav").shape == (3 * 44100, 2)
    tab_to(page, "Remove typed")
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(0)
    page.emulate_media(color_scheme="light")


def test_shortcuts(page: Page) -> None:
    drop(page, ("song.wav", wav(SONG)))
    expect_state(page, "done")
    page.locator("h1").click()
    song = card(page, "song")
    page.keyboard.press("2")
    expect(song.get_by_role("button", name="Solo drums")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("k")
    expect(song.get_by_role("button", name="Karaoke")).to_have_attribute("aria-pressed", "true")
    expect(song.get_by_role("button", name="Mute vocals")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    expect(song.locator(".clock")).to_have_text("0:05")
    page.keyboard.press("l")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("l")
    expect(song.locator(".loop")).to_have_text("Loop 0:05–0:10")
    page.keyboard.press("Home")
    expect(song.locator(".clock")).to_have_text("0:00")
    page.keyboard.press("Space")
    expect(song.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(song.get_by_role("button", name="Play")).to_be_visible()
    page.keyboard.press("?")
    help_dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(help_dialog).to_be_visible()
    help_dialog.get_by_label("Shortcuts are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    expect(song.get_by_role("button", name="Karaoke")).to_have_attribute("aria-pressed", "true")
    page.locator("#help-button").click()
    help_dialog.get_by_label("Shortcuts are on").check()
    help_dialog.get_by_role("button", name="Close").click()


def test_sliders_leave_the_other_keys_to_the_song(page: Page) -> None:
    drop(page, ("song.wav", wav(SONG)))
    expect_state(page, "done")
    song = card(page, "song")
    position, volume = song.locator(".seek"), song.get_by_label("Volume of drums")
    position.press("ArrowRight")
    expect(song.locator(".clock")).to_have_text("0:05")
    position.press("ArrowUp")
    expect(song.locator(".clock")).to_have_text("0:10")
    position.press("ArrowLeft")
    expect(song.locator(".clock")).to_have_text("0:05")
    volume.press("ArrowLeft")
    expect(volume).to_have_value("0.99")
    volume.press("Home")
    expect(volume).to_have_value("0")
    expect(song.locator(".clock")).to_have_text("0:05")
    volume.press("End")
    volume.press("K")  # as with Caps Lock
    expect(song.get_by_role("button", name="Karaoke")).to_have_attribute("aria-pressed", "true")
    position.press("Space")
    expect(song.get_by_role("button", name="Pause")).to_be_visible()
    volume.press("Space")
    expect(song.get_by_role("button", name="Play")).to_be_visible()


def test_the_clock_is_no_news(page: Page) -> None:
    """Else screen readers would say every second of a song."""
    drop(page, ("song.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(card(page, "song").locator(".mixer").get_by_role("status")).to_have_count(0)


SAID = """
window.said = [];
addEventListener("DOMContentLoaded", () => {
  const look = (changes) => said.push(...changes.flatMap((change) =>
    [...change.addedNodes].map((node) => node.data).filter(Boolean)));
  new MutationObserver(look).observe(document.querySelector("#announcer"), { childList: true });
});
"""
"""Has the page keep what it has screen readers say."""


def test_the_same_news_is_said_again(visit: Callable) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script(SAID))
    drop(page, ("odd.wav", b"no song"))
    expect_state(page, "error")
    drop(page, ("odd.wav", b"no song"))
    expect(page.locator(".card[data-state=failed]")).to_have_count(2, timeout=PATIENCE)
    broken = "“odd.wav” can't be read as audio by this browser: convert it to MP3 or WAV."
    assert [text for text in page.evaluate("said") if text != "Ready."] == [broken, broken]


def test_who_starts_a_song_by_keyboard_goes_on_with_play(visit: Callable) -> None:
    page, _ = visit("?workers=1")
    expect_state(page, "ready")
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    drop(page, ("one.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(card(page, "one").locator(".play")).to_be_focused()
    # But not who is elsewhere by then, nor who has dropped it.
    for control in ("#demo", "#help-button"):
        page.locator(control).focus()
        with at_work(page):
            drop(page, (f"{control[1:]}.wav", wav(compose(1))))
            page.locator("#help-button").focus()
        song = card(page, control[1:])
        expect(song).to_have_attribute("data-state", "done", timeout=PATIENCE)
        expect(page.locator("#help-button")).to_be_focused()


def test_focus_stays_where_the_visitor_is(page: Page) -> None:
    with at_work(page):
        drop(page, ("one.wav", wav(compose(2))), ("two.wav", wav(compose(2))))
        two = page.get_by_role("button", name="two", exact=True)
        page.get_by_role("button", name="Cancel two").press("Enter")
        expect(two).to_be_focused()
        page.get_by_role("button", name="Retry two").press("Enter")
        expect(two).to_be_focused()
        for title in ("two", "one"):
            page.get_by_role("button", name=f"Cancel {title}").click()
        page.get_by_role("button", name="Remove one").press("Enter")
        expect(two).to_be_focused()
        page.get_by_role("button", name="Remove two").press("Enter")
        expect(page.locator("#file")).to_be_focused()
    with at_work(page):
        drop(page, ("short.wav", wav(compose(3))))
        page.get_by_role("button", name="Cancel short").focus()
    expect_state(page, "done")
    expect(page.get_by_role("button", name="short", exact=True)).to_be_focused()


def presses_of_tab(page: Page, name: str) -> int:
    """How often Tab is pressed until the control of that name has the focus."""
    for count in range(1, 60):
        page.keyboard.press("Tab")
        focused = page.locator("*:focus")
        if focused.count() and (focused.text_content() or "").strip() == name:
            return count
    raise AssertionError(f"Tab does not reach {name}.")


def test_from_a_title_to_its_karaoke_file_are_at_most_eight_tabs(
    page: Page, tmp_path: Path
) -> None:
    drop(page, ("one.wav", wav(compose(1))), ("two.wav", wav(compose(1))))
    expect_state(page, "done")
    one = card(page, "one")
    title, skip = page.get_by_role("button", name="one", exact=True), one.locator(".skip")
    title.focus()
    height = (one.bounding_box() or {})["height"]
    tabs = presses_of_tab(page, "To the files")
    expect(skip).to_be_in_viewport(ratio=1)
    assert skip.evaluate("node => getComputedStyle(node).clipPath") == "none"
    assert (one.bounding_box() or {})["height"] == height
    check(page, "on the way to the files")
    page.keyboard.press("Enter")
    expect(one.locator(".format")).to_be_focused()
    expect(one.locator(".format")).to_be_in_viewport(ratio=1)
    tabs += presses_of_tab(page, "Karaoke")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    waiting.value.save_as(tmp_path / "karaoke.wav")
    assert waiting.value.suggested_filename == "one - karaoke.wav"
    assert read(tmp_path / "karaoke.wav").shape == (RATE, 2)
    assert tabs <= 8
    # It is not there where there are no files.
    title.press("Enter")
    page.keyboard.press("Tab")
    expect(one.locator(".zip")).to_be_focused()


LANGUAGE = """
Object.defineProperty(navigator, "languages", {
  get: () => [localStorage.getItem("a test's language") ?? "en"],
});
"""


def test_axe_finds_nothing_in_any_language(visit: Callable) -> None:
    """Of the whole page, with a song that is kept."""
    page, _ = visit("?workers=1", lambda page: page.add_init_script(LANGUAGE))
    drop(page, ("song.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(page.locator("#kept")).to_contain_text("1 song")
    page.route(ENGINE, lambda route: None)  # the engine isn't needed
    for language in ("en", *LANGUAGES):
        page.evaluate('language => localStorage.setItem("a test\'s language", language)', language)
        page.reload()
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.locator("a[download]")).to_have_count(5, timeout=PATIENCE)
        page.get_by_role("button", name="song", exact=True).click()
        for summary in page.locator("summary:visible").all():
            summary.click()
        for width in (1280, 320):
            page.set_viewport_size({"width": width, "height": 800})
            check(page, f"{language}, {width}")
            is_for_phones_too(page)


TOO_SMALL = """() => [...document.querySelectorAll("button, li > a, select, input, summary")]
  .map((node) => node.closest("label:not(#drop)") ?? node)
  .filter((node) => node.checkVisibility({ visibilityProperty: true }))
  .filter((node) => {
    const { width, height } = node.getBoundingClientRect();
    return width < 44 || height < 44;
  })
  .map((node) => node.outerHTML)"""


def test_a_phone_on_its_side(visit: Callable) -> None:
    size = {"width": 844, "height": 390}
    page, _ = visit("?workers=1", is_mobile=True, has_touch=True, viewport=size)
    drop(page, ("song.wav", wav(compose(2))))
    expect_state(page, "done")
    assert page.evaluate(TOO_SMALL) == []
    song = card(page, "song")
    for control in (".solo", ".mix"):
        song.locator(control).first.evaluate("node => node.scrollIntoView({ block: 'center' })")
        for reached in (".play", ".seek", ".loop", control):
            expect(song.locator(reached).first).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("locale", ["de-DE", "ja-JP"])
def test_a_card_on_the_smallest_phone(visit: Callable, locale: str) -> None:
    size = {"width": 320, "height": 640}
    page, _ = visit("?workers=1", is_mobile=True, has_touch=True, viewport=size, locale=locale)
    drop(page, ("song.wav", wav(compose(2))))
    expect_state(page, "done")
    song = card(page, "song")
    assert page.evaluate("document.documentElement.scrollWidth <= 320")
    more = song.locator(".more")
    more.evaluate("node => node.scrollIntoView({ block: 'center' })")  # not below what sticks
    more.tap()
    for slider in (".volume", ".pan"):
        box = song.locator(slider).first.bounding_box()
        assert box and box["width"] > 2 * 22.4, "no way to go for the thumb"
    # What is told has the card's width, and what plays leaves room for the mixer.
    cut = "node => node.scrollWidth > node.clientWidth"
    assert not any(button.evaluate(cut) for button in song.locator("button:visible").all())
    inner = song.bounding_box()
    told, transport = (song.locator(part).bounding_box() for part in (".told", ".transport"))
    assert inner and told and transport
    assert told["width"] > 0.85 * inner["width"]
    assert transport["height"] < 640 / 5


@pytest.mark.parametrize("width", [320, 390])
def test_why_a_song_has_failed_is_read_across_a_phone(visit: Callable, width: int) -> None:
    """Also where it may be tried again, by a button of its own line."""
    size = {"width": width, "height": 844}

    def prepare(page: Page) -> None:
        page.route("**/demo.mp3", lambda route: route.fulfill(status=404))

    page, complaints = visit("?workers=1", prepare, is_mobile=True, has_touch=True, viewport=size)
    expect_state(page, "ready")
    drop(page, ("A song with a long name.mp3", b"no song"))
    page.locator("#demo").tap()
    expect(page.locator(".card[data-state=failed]")).to_have_count(2, timeout=PATIENCE)
    for title, has_retry in ("A song with a long name", False), ("Demo song", True):
        song = card(page, title)
        inner = song.locator(".head").bounding_box()
        status = song.locator(".status").bounding_box()
        assert inner and status
        assert status["width"] > 0.95 * inner["width"]
        below = inner["y"] + inner["height"] - status["y"] - status["height"]
        retry = song.locator(".retry")
        assert retry.is_visible() == has_retry
        assert below > 44 if has_retry else below < 24
        if has_retry:
            button = retry.bounding_box()
            assert button and button["y"] >= status["y"] + status["height"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    complaints.clear()  # of the file that isn't there


def test_a_card_on_a_phone(visit: Callable) -> None:
    page, _ = visit("?workers=1", has_touch=True, viewport={"width": 390, "height": 844})
    drop(page, ("song.wav", wav(compose(2))))
    expect_state(page, "done")
    song = card(page, "song")
    assert page.evaluate(TOO_SMALL) == []
    box = song.bounding_box()
    assert box and box["height"] < 2 * 844
    pan, more = song.get_by_label("Pan of bass"), song.get_by_role("button", name="More")
    expect(pan).to_be_hidden()
    height = box["height"]
    more.tap()
    expect(pan).to_be_visible()
    assert page.evaluate(TOO_SMALL) == []
    for slider in (pan, song.get_by_label("Volume of bass")):
        box = slider.bounding_box()
        assert box and box["width"] > 2 * 22.4, "no way to go for the thumb"
    box = song.bounding_box()
    assert box and box["height"] == pytest.approx(height, abs=1)
    for summary in page.locator("summary:visible").all():
        summary.tap()
    assert page.evaluate(TOO_SMALL) == []
    # What plays stays in reach where files are saved.
    song.locator(".mix").evaluate("node => node.scrollIntoView({ block: 'center' })")
    for control in (".play", ".seek", ".loop", ".mix"):
        expect(song.locator(control)).to_be_in_viewport(ratio=1)
    song.locator(".play").tap()
    expect(song.get_by_role("button", name="Pause")).to_be_visible()
