"""Songs that are too long to lie in memory as a whole: decoded piece by piece, or refused beforehand."""

import os
import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import watched
from corpus import FILMS, encoded, films, formats
from pages import at_work
from playwright.sync_api import Browser, Locator, Page, expect
from recordings import RECORD, blocks_that_are_of, listen
from songs import PATIENCE, RATE, SONG, card, drop, expect_state, options, wav
from test_odd_files import check

from scripts.common.environment import ROOT

DECODE = (ROOT / "app" / "page" / "files" / "decode.py").read_text()
LONG = DECODE.replace("\nLONG = 480\n", "\nLONG = 0.1\n")
"""Has the page take what lasts more than a tenth of a second for long."""

FILES = {
    "cd.wav": encoded(SONG, "WAV", "PCM_24"),
    "mono.wav": encoded(SONG[:, :1], "WAV", "FLOAT", 22050),
    "cd.flac": encoded(SONG, "FLAC", "PCM_24"),
    "studio.flac": encoded(SONG, "FLAC", "PCM_24", 48000),
    "cd.mp3": encoded(SONG, "MP3", "MPEG_LAYER_III"),
    "studio.mp3": encoded(SONG, "MP3", "MPEG_LAYER_III", 48000),
    "studio.opus": encoded(SONG, "OGG", "OPUS", 48000),
}

SMALL_AND_OLD = """
delete window.AudioDecoder;
Object.defineProperty(Navigator.prototype, "deviceMemory", { value: 4 });
"""

# How many samples a file has if it is decoded as a whole, how many the stems have, and the signal-to-noise ratio in dB
# of the stems' sum to it.
COMPARE = """async (card, content) => {
  const decode = async url => {
    const data = await (await fetch(url)).arrayBuffer();
    return new OfflineAudioContext(2, 1, 44100).decodeAudioData(data);
  };
  const whole = await decode("data:application/octet-stream;base64," + content);
  const links = ["vocals", "karaoke"].map(stem => card.querySelector(`a[data-stem=${stem}]`).href);
  const stems = await Promise.all(links.map(decode));
  let signal = 0, noise = 0;
  for (const channel of [0, 1]) {
    const expected = whole.getChannelData(channel % whole.numberOfChannels);
    const [one, other] = stems.map(stem => stem.getChannelData(channel));
    for (let i = 0; i < expected.length; i++) {
      signal += expected[i] ** 2;
      noise += (one[i] + other[i] - expected[i]) ** 2;
    }
  }
  return [whole.length, stems[0].length, 10 * Math.log10(signal / noise)];
}"""


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture(scope="module")
def streaming(browser: Browser, address: str) -> Iterator[Page]:
    """A page that decodes all songs piece by piece, and makes their vocals and the rest."""
    context = browser.new_context(service_workers="block")
    context.route("**/app/page/files/decode.py", lambda route: route.fulfill(body=LONG))
    context.add_init_script(RECORD)
    with watched(context, address) as complaints:
        page = context.new_page()
        page.goto(address + "?workers=2")
        expect_state(page, "ready")
        page.locator("summary", has_text="Settings").click()
        page.get_by_label("A soft sound").uncheck()
        for stem in ("drums", "bass", "melody"):
            options(page).locator(f"[value={stem}]").uncheck()
        options(page).locator("#format").select_option("float")
        yield page
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def songs(streaming: Page) -> list[Locator]:
    """The cards of FILES, which are done."""
    assert LONG != DECODE
    drop(streaming, *FILES.items())
    expect_state(streaming, "done")
    assert streaming.locator(".card[data-state=done]").count() == len(FILES)
    return streaming.locator(".card").all()


def test_piece_by_piece_is_as_good_as_whole(songs: list[Locator]) -> None:
    for song, content in zip(songs, FILES.values(), strict=True):
        name = song.locator(".title").inner_text()
        whole, samples, fidelity = song.evaluate(COMPARE, b64encode(content).decode())
        assert samples == whole, name
        assert fidelity > 70, name


def test_original_is_heard_across_pieces(streaming: Page, songs: list[Locator]) -> None:
    song = songs[0]
    streaming.get_by_role("button", name="Original", exact=True).click()
    heard = blocks_that_are_of(SONG, listen(song, 3, begin=9))
    assert len(heard) >= 3
    assert heard == sorted(set(heard))


def test_long_films_and_what_is_cut_off(visit: Callable) -> None:
    """With sound and without: stems or a sentence, as of short ones."""

    def prepare(page: Page) -> None:
        page.route("**/app/page/files/decode.py", lambda route: route.fulfill(body=LONG))

    page, _ = visit("?workers=2", prepare)
    expect_state(page, "ready")
    cut = [case for case in formats() if case.name.startswith("first ")]
    check(page, [*films(page.evaluate(FILMS)), *cut])


def test_file_that_goes_away(streaming: Page, tmp_path: Path) -> None:
    path = tmp_path / "gone.wav"
    path.write_bytes(wav(np.tile(SONG, (12, 1))))
    with at_work(streaming):
        streaming.set_input_files("#file", path)
        song = card(streaming, "gone")
        expect(song).to_have_attribute("data-state", "running", timeout=PATIENCE)
        os.truncate(path, 0)  # what is open would still be there if it were removed
    expect(song).to_have_attribute("data-state", "failed", timeout=PATIENCE)
    expect(song.locator(".status")).to_have_text(
        "“gone.wav” is gone, or has changed since it was chosen: choose it again."
    )


COUNT_READERS = """async () => {
  const { Input } = await import(new URL("app/vendor/mediabunny/mediabunny.min.mjs", document.baseURI));
  window.readers = new Set();
  for (const name of ["getPrimaryAudioTrack", "getMetadataTags"]) {
    const before = Input.prototype[name];
    Input.prototype[name] = function () { readers.add(this); return before.call(this); };
  }
  const { dispose } = Input.prototype;
  Input.prototype.dispose = function () { readers.delete(this); return dispose.call(this); };
}"""
"""Has the page keep the readers of files that it has used and not closed."""


def test_readers_of_files_are_closed(streaming: Page) -> None:
    """On every way: of files that are read piece by piece, as a whole, or not at all."""
    streaming.evaluate(COUNT_READERS)
    sound = SONG[:RATE]
    songs = {
        "piecewise.wav": wav(sound),
        "piecewise.opus": encoded(sound, "OGG", "OPUS", 48000),
        "surround.wav": encoded(np.repeat(sound[:, :1], 5, axis=1), "WAV", "PCM_16"),
        "whole.ogg": encoded(sound, "OGG", "VORBIS"),
        "damaged.flac": encoded(sound, "FLAC", "PCM_16")[:100],
        "nothing.wav": wav(sound[:0]),
        "text.wav": b"Never gonna give you up",
    }
    drop(streaming, *songs.items())
    for state in ("waiting", "decoding", "running"):
        card = streaming.locator(f".card[data-state={state}]")
        expect(card).to_have_count(0, timeout=PATIENCE)
    cards = streaming.locator(".card").all()[: len(songs)]  # new songs are on top
    states = [card.get_attribute("data-state") for card in cards]
    assert states == ["done"] * 4 + ["failed"] * 3
    for card in reversed(cards):
        card.locator(".remove").click()
    assert streaming.evaluate("readers.size") == 0


def test_what_has_no_room_is_refused_beforehand(visit: Callable) -> None:
    """An MP3 of three hours, as it says, in a browser that can decode it only as a whole."""
    sound = encoded(SONG, "MP3", "MPEG_LAYER_III")
    place = sound.index(b"Info") if b"Info" in sound[:500] else sound.index(b"Xing")
    frames = struct.pack(">I", 3 * 3600 * 44100 // 1152 + 1)
    lying = sound[: place + 8] + frames + sound[place + 12 :]
    page, _ = visit("?workers=1", lambda page: page.add_init_script(SMALL_AND_OLD))
    drop(page, ("speech.mp3", lying))
    expect(card(page, "speech").locator(".status")).to_have_text(
        "“speech.mp3” lasts 180 minutes, and this browser has room for 60 minutes of a file of its kind: "
        "cut it in parts, or save it as WAV, which may be as long as you like."
    )
