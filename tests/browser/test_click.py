"""The click on a song's beats: what is heard of it, in step with the stems, before them and before loops; in files."""

import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pages import opened
from playwright.sync_api import Browser, Locator, Page, expect
from recordings import RECORD, blocks_of, blocks_that_are_of, listen
from songs import PATIENCE, RATE, SONG, Sound, card, download, drop, expect_state, read, wav

from page.listen.click import LENGTH, sound

BEAT = RATE // 2
"""Samples from beat to beat of what the stand-in finds in every song: 120 a minute, a bar at the first."""


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture(scope="module")
def recording(browser: Browser, address: str) -> Iterator[Locator]:
    """The card of SONG, separated and analysed, on a page that keeps what it plays."""
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.add_init_script(RECORD)
    page.goto(address + "?workers=2")
    expect_state(page, "ready")
    page.locator("summary", has_text="Settings").click()
    page.get_by_label("A soft sound").uncheck()
    drop(page, ("song.wav", wav(SONG)))
    expect_state(page, "done")
    song = card(page, "song")
    expect(song.locator(".click")).to_have_count(0)
    song.get_by_role("button", name="Analyse").click()
    expect(song.locator(".click")).to_be_visible()
    yield song
    context.close()


def clicks(length: int, first: int = 0, step: float = BEAT, one: int = 0) -> Sound:
    """Clicks from the beat numbered `first` on, (length, 2); a bar begins at the one numbered `one`."""
    track = np.zeros((length + LENGTH, 2), np.float32)
    for number in range(math.ceil(length / step)):
        some, place = sound((first + number - one) % 4 == 0), int(number * step + 0.5)
        track[place : place + LENGTH] += np.array(some, np.float32)[:, np.newaxis]
    return track[:length]


def press(song: Locator, name: str) -> None:
    song.get_by_role("button", name=name, exact=True).click()


@pytest.fixture
def heard(recording: Locator) -> Iterator[None]:
    press(recording, "Hear click")
    yield
    press(recording, "Hear click")


@pytest.fixture
def counting(recording: Locator) -> Iterator[None]:
    press(recording, "Count-in")
    yield
    press(recording, "Count-in")


def test_clicks_are_heard_in_step_with_the_stems(recording: Locator, heard: None) -> None:
    blocks = listen(recording, 3)
    assert len(blocks_that_are_of(SONG + clicks(len(SONG)), blocks)) >= 3
    volume = recording.get_by_label("Volume of click")
    volume.fill("0.5")
    blocks = listen(recording, 3)
    volume.fill("1")
    assert len(blocks_that_are_of(SONG + clicks(len(SONG)) / 2, blocks)) >= 3


def test_a_bar_is_counted_in_and_no_click_is_heard_after_it(
    recording: Locator, counting: None
) -> None:
    begin = 4 * RATE
    expected = np.concatenate([clicks(4 * BEAT), SONG[begin:]])
    assert len(blocks_that_are_of(expected, listen(recording, 2, begin=4))) >= 6


def test_a_bar_is_counted_in_where_the_loop_begins_again(
    recording: Locator, counting: None, heard: None
) -> None:
    """From the second beat of a bar: the accent comes last."""
    loop = recording.locator(".loop")
    for second in ("2.5", "4"):
        recording.locator(".seek").fill(second)
        loop.click()
    begin, end = int(2.5 * RATE), 4 * RATE
    counted, played = clicks(4 * BEAT, 1), SONG[begin:end] + clicks(end - begin, 5)
    page = recording.page
    page.evaluate("recorded.length = times.length = 0")
    recording.locator(".seek").fill("2.5")
    press(recording, "Play")
    page.wait_for_function("recorded.length > 24", timeout=PATIENCE)
    press(recording, "Pause")
    loop.click()
    blocks = blocks_of(page)
    expected = np.concatenate([counted, played, counted, played, counted, played])
    # Two turns take 19 blocks; a busy machine leaves some out.
    places = blocks_that_are_of(expected, blocks)
    assert len(places) >= 10


@pytest.mark.parametrize("speed", [1, 0.8])
def test_the_click_of_a_mix_is_exact(
    recording: Locator, heard: None, tmp_path: Path, speed: float
) -> None:
    recording.get_by_label("Speed").select_option(str(speed))
    recording.get_by_label("Volume of click").fill("0.3")
    save = recording.get_by_role("button", name="Save this mix")
    with_click = read(download(recording.page, save, tmp_path))
    press(recording, "Hear click")
    without = read(download(recording.page, save, tmp_path))
    press(recording, "Hear click")
    recording.get_by_label("Speed").select_option("1")
    recording.get_by_label("Volume of click").fill("1")
    assert len(with_click) == len(SONG) / speed
    expected = without + 0.3 * clicks(len(with_click), step=BEAT / speed)
    assert np.abs(expected).max() < 1
    assert np.abs(with_click - expected).max() < 3 / 2**15


def test_the_click_is_a_stem_of_its_own(recording: Locator, heard: None, tmp_path: Path) -> None:
    page, files = recording.page, recording.locator(".files")
    path = download(page, files.get_by_role("button", name="Click"), tmp_path)
    assert path.name == "song - click.wav"
    assert np.abs(read(path) - clicks(len(SONG))).max() <= 0.5 / 2**15 + 1e-7
    both = download(page, recording.get_by_role("button", name="All stems (zip)"), tmp_path)
    with zipfile.ZipFile(both) as packed:
        assert "song - click.wav" in packed.namelist()
        assert packed.read("song - click.wav") == path.read_bytes()
        assert len(packed.namelist()) == 6


def test_beats_and_bars_are_corrected_by_keyboard_and_kept(
    browser: Browser, url: str, tmp_path: Path
) -> None:
    context = browser.new_context(base_url=url, service_workers="block")
    page = opened(context)
    drop(page, ("song.wav", wav(SONG)))
    expect_state(page, "done")
    song = card(page, "song")
    press(song, "Analyse")
    expect(song.locator(".click")).to_be_visible()
    page.locator("h1").click()
    page.keyboard.press("c")
    hear = song.get_by_role("button", name="Hear click")
    expect(hear).to_have_attribute("aria-pressed", "true")
    song.locator(".seek").fill("1")
    page.keyboard.press("f")
    expect(page.locator("#announcer")).to_have_text("A bar begins at 0:01.")
    one = song.get_by_role("button", name="One", exact=True)
    one.press("Enter")
    expect(one).to_be_focused()
    press(song, "Count-in")

    def saved() -> Sound:
        file = song.locator(".files").get_by_role("button", name="Click")
        return read(download(page, file, tmp_path))

    moved = clicks(len(SONG), one=2)
    assert np.abs(saved() - moved).max() < 1 / 2**15
    page.reload()
    press(card(page, "song"), "song")
    expect(hear).to_have_attribute("aria-pressed", "true")
    expect(song.get_by_role("button", name="Count-in")).to_have_attribute("aria-pressed", "true")
    assert np.abs(saved() - moved).max() < 1 / 2**15
    press(song, "Count-in")
    song.locator(".seek").fill("0")
    page.keyboard.press("Space")
    expect(song.locator(".clock")).to_have_text("0:01", timeout=PATIENCE)
    page.evaluate(TAPS, 0.6)
    expect(song.locator(".found")).to_contain_text("100 BPM")
    context.close()


TAPS = """apart => {
  const { prototype } = BaseAudioContext, clock = Object.getOwnPropertyDescriptor(prototype, "currentTime");
  let begun, taps = 0;
  const get = function () {
    return (begun ??= clock.get.call(this)) + taps * apart;
  };
  Object.defineProperty(prototype, "currentTime", { ...clock, get });
  for (; taps < 5; taps++) document.querySelector(".tap").click();
  Object.defineProperty(prototype, "currentTime", clock);
}"""
"""Taps five times so many seconds apart, by a clock of its own: a busy machine's taps would be anywhere."""


def test_there_is_no_click_without_beats(visit: Callable[..., tuple[Page, list[str]]]) -> None:
    page, _ = visit()
    drop(page, ("song.wav", wav(SONG[: 2 * RATE])))
    expect_state(page, "done")
    song = card(page, "song")
    page.keyboard.press("c")
    expect(song.locator(".click")).to_have_count(0)
    expect(song.locator(".files [data-part=click]")).to_have_count(0)
