"""A part of a song: chosen by hand or by keyboard before the work starts, and separated as the whole song would be."""

from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
import pytest
import soundfile
from corpus import encoded
from pages import TURN, Hold, at_work, opened, stems, wait_until
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from recordings import BLOCK, RECORD, blocks_of, blocks_that_are_of, listen
from songs import (
    COVER,
    PATIENCE,
    RATE,
    card,
    compose,
    drop,
    expect_state,
    mp3_with_id3,
    options,
    snr,
    wav,
)
from test_access import TOO_SMALL, check, is_for_phones_too
from test_keep import OWN_FILE
from test_long_files import LONG

SONG = compose(40)
FULL_SCALE = 2**15


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture
def context(browser: Browser, url: str) -> Iterator[BrowserContext]:
    """A browser that keeps what pages keep, for one test."""
    context = browser.new_context(base_url=url, service_workers="block", bypass_csp=True)
    context.add_init_script(RECORD)
    yield context
    context.close()


CHOOSE_AT_ONCE = """() => new MutationObserver((changes, observer) => {
  observer.disconnect();
  document.querySelector(".card .choose").click();
}).observe(document.querySelector("#songs"), { childList: true })"""
"""Presses "Only a part…" of the next song as soon as it is there, before it can be done."""


def choosing(page: Page, name: str, content: bytes) -> Locator:
    """A card of a song, of which a part can be chosen."""
    page.evaluate(CHOOSE_AT_ONCE)
    drop(page, (name, content))
    song = page.locator(".card[data-state=choosing]")
    expect(song.locator(".excerpt")).to_be_visible(timeout=PATIENCE)
    return song


def separate(song: Locator, begin: str, end: str) -> dict[str, np.ndarray]:
    """Have a part separated by its times; its stems."""
    song.get_by_label("From").fill(begin)
    song.get_by_label("To", exact=True).fill(end)
    song.get_by_label("To", exact=True).press("Enter")
    song.locator(".separate").click()
    page = song.page
    done = page.locator(".card").filter(has=page.locator(".title", has_text=f"{begin}–{end}"))
    return sounds(done)


def sounds(song: Locator) -> dict[str, np.ndarray]:
    return {
        name: soundfile.read(BytesIO(data), dtype="float32")[0]
        for name, data in stems(song).items()
    }


def together(stems: dict[str, np.ndarray]) -> np.ndarray:
    return stems["vocals"] + stems["karaoke"]


def is_of(stems: dict[str, np.ndarray], song: np.ndarray) -> bool:
    """Whether the stand-in's stems are of a song, to 16 bits."""
    return np.abs(together(stems) - song).max() < 3 / FULL_SCALE


@pytest.mark.engine
def test_the_stems_of_a_part_are_those_of_the_whole_song(page: Page) -> None:
    """At its edges, too, and where it is much quieter than the rest of the song."""
    sound = SONG.copy()
    sound[11 * RATE : 30 * RATE] *= 0.05
    content = encoded(sound, "WAV", "FLOAT")
    options(page).locator("#format").select_option("float")
    drop(page, ("whole.wav", content))
    whole = sounds(card(page, "whole"))
    part = separate(choosing(page, "part.wav", content), "0:12", "0:27")
    options(page).locator("#format").select_option("16")
    assert part.keys() == whole.keys()
    begin, end, edge = 12 * RATE, 27 * RATE, RATE // 2
    for name, stem in part.items():
        expected = whole[name][begin:end]
        assert stem.shape == expected.shape
        assert np.abs(expected).max() > 1e-4, "there is something to compare"
        for stretch in (slice(None), slice(edge), slice(-edge, None)):
            assert snr(stem[stretch], expected[stretch]) > 40, (name, stretch)


def drag(page: Page, wave: Locator, begin: float, end: float) -> None:
    """Drag from one fraction of a waveform's width to another."""
    box = wave.bounding_box()
    assert box
    page.mouse.move(box["x"] + begin * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()


DRAWN = """canvas => {
  const { width, height } = canvas, pen = canvas.getContext("2d");
  const tall = (x) => pen.getImageData(x, 0, 1, height).data.filter((value, i) => i % 4 === 3 && value).length;
  return [0.1, 0.3, 0.5, 0.7, 0.9].map((place) => tall(Math.round(place * width)));
}"""
"""How tall a waveform is at five places, in pixels."""


def test_a_part_is_dragged_and_is_a_song_like_any_other(context: BrowserContext) -> None:
    page = opened(context)
    loud = SONG.copy()
    loud[: 20 * RATE] *= 0.01
    content = mp3_with_id3(loud, COVER, TIT2="Meer: 3:30", TPE1="Sie")
    sound = soundfile.read(BytesIO(content), dtype="float32")[0]
    song = choosing(page, "song.mp3", content)
    wave, start = song.locator(".excerpt .wave"), song.locator(".separate")
    heights = wave.locator("canvas").evaluate(DRAWN)
    assert max(heights[:2]) < 0.3 * min(heights[3:])
    expect(start).to_have_text("Separate the whole song")
    drag(page, wave, 0.3, 0.7)
    expect(start).to_have_text("Separate 0:12–0:28")
    expect(song.get_by_label("From")).to_have_value("0:12")
    for edge, (begin, end) in enumerate(((0.3, 0.4), (0.7, 0.9))):
        drag(page, wave, begin, end)
        expect(song.get_by_label(("From", "To")[edge], exact=True)).to_have_value(
            ("0:16", "0:36")[edge]
        )
    start.click()
    song = card(page, "Meer: 3:30 0:16–0:36")
    found = sounds(song)
    names = [link.get_attribute("download") for link in song.locator("a[download]").all()]
    assert names[0] == "Sie - Meer_ 3.30 0.16–0.36 - vocals.wav"
    expected = sound[16 * RATE : 36 * RATE]
    assert together(found).shape == expected.shape
    assert snr(together(found), expected) > 40  # decoders of MP3 differ
    expect(song.locator(".length")).to_have_text("0:20")
    song.get_by_role("button", name="Original", exact=True).click()
    blocks = listen(song, 3, 5)
    places = blocks_that_are_of(together(found), blocks)
    assert len(places) >= 2
    assert all(5 * RATE - RATE < place < 9 * RATE for place in places)

    # It is kept as a song of that length.
    page.reload()
    song = card(page, "Meer: 3:30 0:16–0:36")
    assert all(np.array_equal(stem, found[name]) for name, stem in sounds(song).items())
    song.locator(".title").click()
    expect(song.locator(".length")).to_have_text("0:20")
    assert min(song.locator(".lane canvas").first.evaluate(DRAWN)) > 3


def test_by_keyboard_while_other_songs_have_their_turn(visit: Callable) -> None:
    page, _ = visit("?workers=1")
    expect_state(page, "ready")
    with at_work(page) as work:
        drop(page, ("one.wav", wav(SONG)), ("two.wav", wav(compose(2))))
        one = card(page, "one")
        expect(one.locator(".status")).to_contain_text("left", timeout=PATIENCE)
        page.get_by_role("button", name="Only a part of one").press("Enter")
        begin, end = one.get_by_label("From"), one.get_by_label("To", exact=True)
        expect(begin).to_be_focused()
        expect(page.get_by_role("group", name="The part of one")).to_be_visible()
        expect(page.locator("#announcer")).to_have_text(
            "Which part? Drag over the waveform, or type."
        )
        work.release()
        expect(card(page, "two")).to_have_attribute("data-state", "done", timeout=PATIENCE)
    expect(one).to_have_attribute("data-state", "choosing")
    page.keyboard.type("0:10")
    page.keyboard.press("Tab")
    expect(end).to_be_focused()
    for key in ("PageDown", "PageDown", "ArrowDown", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    expect(end).to_have_value("0:21")
    end.fill("no time")
    page.keyboard.press("Tab")
    expect(end).to_have_value("0:21")
    expect(one.get_by_role("button", name="Listen to the part")).to_be_focused()
    page.keyboard.press("Tab")
    expect(one.locator(".separate")).to_be_focused()
    page.keyboard.press("Enter")
    part = card(page, "one 0:10–0:21")
    expect(part.locator(".title")).to_be_focused()
    assert is_of(sounds(part), SONG[10 * RATE : 21 * RATE])


def test_who_chooses_no_part_has_the_whole_song(visit: Callable) -> None:
    page, _ = visit("?workers=1")
    expect_state(page, "ready")
    song = choosing(page, "song.wav", wav(SONG))
    expect_state(page, "ready")
    song.get_by_role("button", name="Cancel song").click()
    song = card(page, "song")
    expect(song.locator(".status")).to_have_text("Cancelled")
    expect(song.locator(".excerpt")).to_be_hidden()
    song.get_by_role("button", name="Only a part of song").click()
    song.get_by_role("button", name="Separate the whole song").click()
    assert is_of(sounds(song), SONG)
    # A file that can't be read says so, once its part is to be chosen.
    page.evaluate(CHOOSE_AT_ONCE)
    drop(page, ("broken.wav", b"no song"))
    expect(card(page, "broken").locator(".status")).to_contain_text("can't be read as audio")


def test_a_part_is_heard_before_it_is_separated(visit: Callable) -> None:
    """Over and over, and alone."""
    page, _ = visit("?workers=1", lambda page: page.add_init_script(RECORD))
    expect_state(page, "ready")
    drop(page, ("done.wav", wav(compose(20, 7))))
    expect_state(page, "done")
    other = card(page, "done")
    song = choosing(page, "song.wav", wav(SONG))
    for name, time in (("From", "0:10"), ("To", "0:12")):
        song.get_by_label(name, exact=True).fill(time)
        song.get_by_label(name, exact=True).press("Enter")
    other.locator(".title").click()
    other.get_by_role("button", name="Play", exact=True).click()
    expect(other.get_by_role("button", name="Pause")).to_be_visible()
    hear = song.get_by_role("button", name="Listen to the part")
    hear.click()
    expect(hear).to_have_attribute("aria-pressed", "true")
    expect(other.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.evaluate("recorded.length = 0")
    page.wait_for_function("recorded.length >= 12", timeout=PATIENCE)  # more than two seconds twice
    hear.click()
    places = blocks_that_are_of(SONG, blocks_of(page))
    assert len(places) >= 4
    assert all(10 * RATE - 1 <= place <= 12 * RATE - BLOCK + 1 for place in places)
    assert min(np.diff(places)) < 0  # it has begun again
    hear.click()
    other.get_by_role("button", name="Play", exact=True).click()
    expect(hear).to_have_attribute("aria-pressed", "false")
    other.get_by_role("button", name="Pause").click()
    hear.click()
    song.locator(".separate").click()
    assert is_of(sounds(card(page, "song 0:10–0:12")), SONG[10 * RATE : 12 * RATE])


def test_an_interrupted_part_is_offered_again_as_one(context: BrowserContext) -> None:
    page = opened(context)
    Hold(TURN)(page)
    song = choosing(page, "song.wav", wav(SONG))
    song.get_by_label("From").fill("5")
    song.get_by_label("From").press("Enter")
    song.locator(".separate").click()
    song = card(page, "song 0:05–0:40")
    expect(song.locator(".status")).to_contain_text("left", timeout=PATIENCE)
    wait_until(page, OWN_FILE, len(wav(SONG)))
    page.close(run_before_unload=False)
    page = opened(context)
    song = card(page, "song 0:05–0:40")
    expect(song.locator(".status")).to_have_text("Interrupted: the page was closed")
    song.get_by_role("button", name="Retry song 0:05–0:40").click()
    assert is_of(sounds(song), SONG[5 * RATE :])
    # Another part of an interrupted song can be chosen, whose file is on the device alone.
    Hold(TURN)(page)
    content = wav(compose(41))
    drop(page, ("other.wav", content))
    wait_until(page, OWN_FILE, len(content))
    page.close(run_before_unload=False)
    page = opened(context)
    page.get_by_role("button", name="Only a part of other").click()
    assert is_of(separate(card(page, "other"), "0:20", "0:30"), compose(41)[20 * RATE : 30 * RATE])
    assert page.evaluate("Object.keys(localStorage).filter(key => key.startsWith('excerpt'))") == []


def test_a_part_of_a_long_song(visit: Callable) -> None:
    """Which is decoded piece by piece."""

    def prepare(page: Page) -> None:
        page.route("**/app/page/files/decode.py", lambda route: route.fulfill(body=LONG))

    page, _ = visit("?workers=1", prepare)
    expect_state(page, "ready")
    song = choosing(page, "song.flac", encoded(SONG, "FLAC", "PCM_16"))
    assert is_of(separate(song, "0:03", "0:24"), SONG[3 * RATE : 24 * RATE])


@pytest.mark.parametrize(
    ("locale", "width"), [("en-US", 320), ("de-DE", 390), ("fr-FR", 320), ("ja-JP", 320)]
)
def test_on_phones(visit: Callable, locale: str, width: int) -> None:
    page, _ = visit(
        "?workers=1",
        locale=locale,
        is_mobile=True,
        has_touch=True,
        viewport={"width": width, "height": 700},
    )
    expect_state(page, "ready")
    with at_work(page):
        drop(page, ("song.wav", wav(SONG)))
        song = page.locator(".card")
        expect(song.locator(".play")).to_be_enabled(timeout=PATIENCE)
        check(page, "at work")
        assert page.evaluate(TOO_SMALL) == []
        is_for_phones_too(page)
        song.locator(".choose").tap()
        expect(song.locator(".excerpt")).to_be_visible()
        expect(page.locator("input:focus")).to_have_count(0)  # no keyboard comes up unasked
        box = song.locator(".excerpt .wave").bounding_box()
        assert box and box["width"] > 0.8 * width
        check(page, "choosing")
        assert page.evaluate(TOO_SMALL) == []
        is_for_phones_too(page)
    song.locator(".cancel").tap()
    choose, retry = (song.locator(name).bounding_box() for name in (".choose", ".retry"))
    assert choose and retry
    assert choose["x"] + choose["width"] < retry["x"]
    assert choose["y"] == pytest.approx(retry["y"], abs=1)
    check(page, "cancelled")
    assert page.evaluate(TOO_SMALL) == []
