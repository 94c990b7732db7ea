"""Finished songs that stay on the device: over a reload, in words, until they are removed."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pages import ENGINE, TURN, Hold, at_work, let_through, opened, stems, wait_until
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from recordings import BLOCK, place, showing
from songs import (
    COVER,
    PATIENCE,
    RATE,
    card,
    compose,
    download,
    drop,
    expect_state,
    mp3_with_id3,
    read,
    wav,
)

from scripts.common.environment import ROOT

SHORT = compose(3)
LONG = wav(compose(40))
# Every folder and file of the songs, as paths.
PATHS = """async () => {
  const found = [];
  const look = async (folder, path) => {
    for await (const [name, entry] of folder) {
      found.push(path + name);
      if (entry.kind === "directory") await look(entry, path + name + "/");
    }
  };
  const root = await navigator.storage.getDirectory();
  await look(await root.getDirectoryHandle("umx songs", {create: true}), "");
  return found;
}"""


def wait_for_paths(page: Page, condition: str) -> None:
    # A folder that goes away under the eyes of the test is no error.
    wait_until(page, f"() => ({PATHS})().then(found => found.length {condition}, () => false)")


def expect_paths(page: Page, count: int) -> None:
    """Wait until there are so many folders and files of songs."""
    wait_for_paths(page, f"=== {count}")


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture
def context(browser: Browser, url: str) -> Iterator[BrowserContext]:
    """A browser that keeps what pages keep, for one test."""
    context = browser.new_context(
        base_url=url,
        service_workers="block",
        bypass_csp=True,  # the tests look from within
    )
    yield context
    context.close()


def separated(page: Page, title: str = "song", content: bytes = b"") -> dict[str, bytes]:
    drop(page, (f"{title}.wav", content or wav(SHORT)))
    return stems(card(page, title))


def test_a_song_survives_a_reload(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context)
    title = "Ünder a title - 東京"
    said = {"TPE1": "Björk 東京", "TDRC": "1999"}
    before = separated(page, title, mp3_with_id3(compose(20), COVER, **said))
    loudest = card(page, title).locator(".loud").text_content()
    expect(page.locator("#kept")).to_have_text(
        "Kept on this device until you remove it: 1 song, 18 MB."
    )
    page.reload()
    song = card(page, title)
    status = song.locator(".status")
    expect(status).to_have_text("Kept on this device, 18 MB, made with umx-mini", timeout=PATIENCE)
    assert stems(song) == before
    assert song.locator(".loud").text_content() == loudest
    names = [link.get_attribute("download") for link in song.locator("a[download]").all()]
    assert names[0] == f"Björk 東京 - {title} - vocals.wav"
    song.get_by_role("button", name=title, exact=True).click()
    saved = download(page, song.locator("a[download]").first, tmp_path)
    assert saved.read_bytes() == before["vocals"]

    # Its mixer is as it was, but for the original.
    expect(song.locator(".lane h3")).to_have_text(["Vocals", "Drums", "Bass", "Melody"])
    expect(song.get_by_role("button", name="Original")).to_be_hidden()
    drawn = "node => node.getContext('2d').getImageData(0, 0, 1200, 64).data.some(value => value)"
    assert song.locator(".lane canvas").first.evaluate(drawn)
    song.get_by_role("button", name="Karaoke").click()
    # Asked for at once, it waits for the engine.
    mixed = download(page, song.locator(".mix"), tmp_path).read_bytes()
    expect_state(page, "ready")
    with showing(song.locator(".clock"), "0:01"):
        song.get_by_role("button", name="Play").click()
    song.get_by_label(f"Format of {title}").select_option("flac")
    expect(song.locator("a[download$='.flac']")).to_have_count(5, timeout=PATIENCE)
    lossless = download(page, song.locator("a[download]").first, tmp_path).read_bytes()
    assert COVER in lossless
    assert "Björk 東京".encode() in lossless
    assert b"=1999" in lossless
    levels = [
        np.frombuffer(data.partition(b"data")[2][4:], "<i2").astype(int)
        for data in (mixed, before["karaoke"])
    ]
    assert np.abs(levels[0] - levels[1]).max() <= 2


def drag_over(page: Page, wave: Locator, begin: float, end: float) -> None:
    """Drag from one fraction of a waveform's width to another."""
    wave.scroll_into_view_if_needed()
    box = wave.bounding_box()
    assert box
    page.mouse.move(box["x"] + begin * box["width"], box["y"] + 10)
    page.mouse.down()
    for part in (begin + end) / 2, end:
        page.mouse.move(box["x"] + part * box["width"], box["y"] + 10)
    page.mouse.up()


def test_loop_and_mix_are_kept_with_a_song(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context)
    before = separated(page, "song", wav(compose(10)))
    expect(page.locator("#kept")).to_contain_text("1 song")
    song = card(page, "song")
    loop, wave = song.locator(".loop"), song.locator(".lanes .wave").first
    drag_over(page, wave, 0.22, 0.52)
    expect(loop).to_have_text("Loop 0:02–0:05")
    drag_over(page, wave, 0.52, 0.62)  # its end
    expect(loop).to_have_text("Loop 0:02–0:06")
    drag_over(page, wave, 0.22, 0.42)  # its begin
    expect(loop).to_have_text("Loop 0:04–0:06")
    song.get_by_role("button", name="Drumless").first.click()
    song.get_by_label("Volume of bass").fill("0.5")
    song.get_by_label("Pan of vocals").fill("-0.5")
    song.get_by_label("Speed").select_option("0.8")
    song.get_by_label("Key").select_option("-2")
    page.reload()
    song.get_by_role("button", name="song", exact=True).click(timeout=PATIENCE)
    expect(loop).to_have_text("Loop 0:04–0:06")
    expect(song.get_by_label("Volume of bass")).to_have_value("0.5")
    expect(song.get_by_label("Pan of vocals")).to_have_value("-0.5")
    expect(song.get_by_label("Speed")).to_have_value("0.8")
    expect(song.get_by_label("Key")).to_have_value("-2")
    expect(song.get_by_role("button", name="Mute drums")).to_have_attribute("aria-pressed", "true")
    song.get_by_label("Speed").select_option("1")
    song.get_by_label("Key").select_option("0")
    song.get_by_label("Pan of vocals").fill("0")
    saved = download(page, song.get_by_role("button", name="Save the loop"), tmp_path)
    assert saved.name == "song - vocals + bass + melody 0.04-0.06.wav"
    parts = {stem: read(BytesIO(data)) for stem, data in before.items()}
    mix, loop_alone = parts["vocals"] + parts["bass"] / 2 + parts["melody"], read(saved)
    begin = place(loop_alone[:BLOCK], mix)
    # To a pixel: so exactly a waveform is dragged over.
    assert begin == pytest.approx(4.2 * RATE, abs=RATE / 20)
    assert len(loop_alone) == pytest.approx(2 * RATE, abs=RATE / 20)
    assert np.abs(loop_alone - mix[begin : begin + len(loop_alone)]).max() < 2 / 2**15


def test_a_removal_is_taken_back(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context)
    before = separated(page)
    expect(page.locator("#kept")).to_contain_text("1 song")
    song, undo = card(page, "song"), page.get_by_role("button", name="Undo")
    remove = page.get_by_role("button", name="Remove song")
    song.get_by_label("Volume of bass").fill("0.5")
    remove.press("Enter")
    expect(song).to_have_count(0)
    expect(undo).to_be_focused()
    undo.press("Enter")
    expect(undo).to_be_hidden()
    expect(page.get_by_role("button", name="song", exact=True)).to_be_focused()
    assert stems(song) == before
    song.get_by_role("button", name="song", exact=True).click()
    expect(song.get_by_label("Volume of bass")).to_have_value("0.5")
    with showing(song.locator(".clock"), "0:01"):
        song.get_by_role("button", name="Play").click()
    expect_paths(page, 3)
    # Who leaves at once has removed it all the same.
    remove.click()
    expect(undo).to_be_visible()
    page.reload()
    expect_paths(page, 0)
    expect(song).to_have_count(0)


# Has the list of a song lack what earlier versions of the page didn't write.
MAKE_OLDER = """async title => {
  const root = await navigator.storage.getDirectory();
  const songs = await root.getDirectoryHandle("umx songs");
  for await (const song of songs.values()) {
    const handle = await song.getFileHandle("song.json");
    const { rate, frames, date, covers, model, ...list } = JSON.parse(await (await handle.getFile()).text());
    if (list.title !== title) continue;
    const stream = await handle.createWritable();
    await stream.write(JSON.stringify(list));
    await stream.close();
  }
}"""


def test_songs_keep_their_own_rate_and_what_is_removed_is_gone(context: BrowserContext) -> None:
    page = opened(context)
    page.locator("summary", has_text="Settings").click()
    page.locator("#keep-rate").check()
    before = separated(page, "one", wav(SHORT, 48000))
    separated(page, "two")
    expect(page.locator("#kept")).to_contain_text("2 songs")
    page.evaluate(MAKE_OLDER, "two")
    page.reload()
    expect(page.locator(".card .title")).to_have_text(["two", "one"], timeout=PATIENCE)
    assert stems(card(page, "one")) == before
    expect(card(page, "one").locator(".status")).to_contain_text("made with")
    expect(card(page, "two").locator(".status")).not_to_contain_text("made with")
    assert int.from_bytes(before["bass"][24:28], "little") == 48000
    page.get_by_role("button", name="Remove one").click()
    expect(page.locator("#kept")).to_contain_text("1 song,")
    expect_paths(page, 3)  # a folder, a piece, a list
    page.get_by_role("button", name="Remove two").click()
    expect_paths(page, 0)
    page.reload()
    expect(page.locator("#kept")).to_have_text(
        "Finished songs are kept on this device until you remove them.", timeout=PATIENCE
    )
    expect(page.locator(".card")).to_have_count(0)


# Has decoders wait, until they are let go.
HOLD_DECODERS = """(() => {
  const go = new Promise(done => window.letDecode = done);
  const decode = BaseAudioContext.prototype.decodeAudioData;
  BaseAudioContext.prototype.decodeAudioData = async function (data) {
    await go;
    return decode.call(this, data);
  };
})();"""


def test_a_song_that_comes_while_others_are_restored_leaves_them_alone(
    context: BrowserContext,
) -> None:
    """At another sample rate, kept songs take a while."""
    page = opened(context)
    page.locator("summary", has_text="Settings").click()
    page.locator("#keep-rate").check()
    before = separated(page, "kept", wav(SHORT, 48000))
    page.add_init_script(HOLD_DECODERS)
    page.reload()
    expect(card(page, "kept")).to_be_visible(timeout=PATIENCE)
    drop(page, ("dropped.wav", wav(SHORT)))
    expect(card(page, "dropped")).to_have_attribute("data-state", "decoding", timeout=PATIENCE)
    expect(card(page, "kept").locator(".zip")).to_be_disabled()
    page.evaluate("letDecode()")
    assert stems(card(page, "kept")) == before
    expect(card(page, "kept").locator(".zip")).to_be_enabled()
    assert len(stems(card(page, "dropped"))) == 5
    page.reload()
    page.evaluate("letDecode()")
    expect(page.locator(".card[data-state=done]")).to_have_count(2, timeout=PATIENCE)


# Of a kept song, says that it is longer than a WAV file can hold.
LENGTHEN = """async () => {
  const root = await navigator.storage.getDirectory();
  const songs = await root.getDirectoryHandle("umx songs");
  for await (const song of songs.values()) {
    const handle = await song.getFileHandle("song.json");
    const list = JSON.parse(await (await handle.getFile()).text());
    if (list.title !== "long") continue;
    const stream = await handle.createWritable();
    await stream.write(JSON.stringify({ ...list, length: 1.1e9, frames: 1.1e9 }));
    await stream.close();
  }
}"""


def test_a_kept_song_that_no_wav_file_can_hold_is_there_with_all_others(
    context: BrowserContext,
) -> None:
    page = opened(context)
    separated(page, "long")
    expected = separated(page, "other")
    page.evaluate(LENGTHEN)
    page.reload()
    assert stems(card(page, "other")) == expected
    expect(card(page, "long").locator(".status")).to_contain_text("WAV files end at 4 GiB")
    expect(card(page, "long")).to_have_attribute("data-state", "done")


def test_nothing_is_kept_of_a_song_that_is_cancelled(context: BrowserContext) -> None:
    page = opened(context)
    with at_work(page):
        drop(page, ("long.wav", LONG))
        wait_for_paths(page, "> 1")
        card(page, "long").get_by_role("button", name="Cancel long").click()
        expect_paths(page, 0)
    card(page, "long").get_by_role("button", name="Retry long").click()
    expect(card(page, "long").locator("a[download]")).to_have_count(5, timeout=PATIENCE)
    page.reload()
    expect(card(page, "long")).to_have_attribute("data-state", "done", timeout=PATIENCE)


def test_a_song_at_work_is_left_to_its_page(context: BrowserContext) -> None:
    page = opened(context)
    with at_work(page):
        drop(page, ("long.wav", LONG))
        wait_for_paths(page, "> 1")
        other = opened(context)
        expect(other.locator("#kept")).to_contain_text("Finished songs are kept")
        expect(other.locator(".card")).to_have_count(0)
    before = stems(card(page, "long"))
    other.reload()
    assert stems(card(other, "long")) == before
    # What one page removes, the other has no more.
    other.get_by_role("button", name="Remove long").click()
    expect(page.locator(".card")).to_have_count(0)


# Whether a song's own file lies on the device as a whole. Folders and files may go away while this looks.
OWN_FILE = """async size => {
  const root = await navigator.storage.getDirectory();
  const songs = await root.getDirectoryHandle("umx songs", { create: true });
  for await (const song of songs.values())
    try {
      for await (const entry of song.values())
        if (entry.name.startsWith("own ") && (await entry.getFile()).size === size) return true;
    } catch (error) {
      if (error.name !== "NotFoundError") throw error;
    }
}"""


def test_a_song_whose_page_was_closed_is_offered_again(context: BrowserContext) -> None:
    page, other = opened(context), opened(context)
    for lost in (page, other):
        Hold(TURN)(lost)
        drop(lost, ("lost.wav", LONG))
        wait_until(lost, OWN_FILE, len(LONG))
        lost.close(run_before_unload=False)
        page = opened(context)
        song = card(page, "lost")
        expect(song.locator(".status")).to_have_text("Interrupted: the page was closed")
        if lost is not other:
            song.get_by_role("button", name="Remove lost").click()
            expect_paths(page, 0)
    song.get_by_role("button", name="Retry lost").click()
    made = {stem: read(BytesIO(data)) for stem, data in stems(song).items()}
    assert np.abs(made["vocals"] + made["karaoke"] - read(BytesIO(LONG))).max() < 1e-3
    expect(page.locator("#kept")).to_contain_text("1 song")
    page.reload()
    expect(song.locator(".status")).to_contain_text("Kept on this device", timeout=PATIENCE)
    assert not page.evaluate(OWN_FILE, len(LONG))


def test_songs_that_waited_when_the_page_was_closed_are_offered_again(
    context: BrowserContext,
) -> None:
    """In their order, but for one that was cancelled; each is read from the device when its turn comes."""
    context.route(ENGINE, lambda route: None)  # no engine is ready
    page = context.new_page()
    page.goto("?workers=1")
    songs = {f"{number}.wav": wav(compose(number)) for number in (1, 2, 3, 4)}
    drop(page, *songs.items())
    for content in songs.values():
        wait_until(page, OWN_FILE, len(content))
    page.get_by_role("button", name="Cancel 2").click()
    page.get_by_role("button", name="Remove 2").click()
    expect_paths(page, 6)  # folders, files
    page.close(run_before_unload=False)
    let_through(context, ENGINE)
    page = opened(context)
    expect(page.locator(".card .title")).to_have_text(["1", "3", "4"], timeout=PATIENCE)
    expect(page.locator(".status")).to_have_text(3 * ["Interrupted: the page was closed"])
    for title in ("4", "3"):
        page.get_by_role("button", name=f"Retry {title}").click()
    for title in ("4", "3"):
        made = {stem: read(BytesIO(data)) for stem, data in stems(card(page, title)).items()}
        whole = made["vocals"] + made["karaoke"]
        assert np.abs(whole - read(BytesIO(songs[f"{title}.wav"]))).max() < 1e-3
    expect(page.locator("#kept")).to_contain_text("2 songs")
    page.reload()
    expect(page.locator(".card[data-state=done]")).to_have_count(2, timeout=PATIENCE)
    expect(card(page, "1").locator(".status")).to_have_text("Interrupted: the page was closed")
    page.get_by_role("button", name="Remove 1").click()
    expect_paths(page, 6)  # folders, pieces, lists


def test_an_interrupted_song_that_is_cancelled_can_still_be_retried(
    context: BrowserContext,
) -> None:
    """Its file is on the device alone, and not read yet, since another song is at work."""
    page, content = opened(context), wav(SHORT)
    Hold(TURN)(page)
    drop(page, ("song.wav", content))
    wait_until(page, OWN_FILE, len(content))
    page.close(run_before_unload=False)
    page, hold = opened(context), Hold(TURN)
    hold(page)
    drop(page, ("other.wav", wav(compose(1))))
    song = card(page, "song")
    song.get_by_role("button", name="Retry song").click()
    expect(song).to_have_attribute("data-state", "waiting")
    song.get_by_role("button", name="Cancel song").click()
    wait_until(page, f"async size => !(await ({OWN_FILE})(size))", len(content))
    song.get_by_role("button", name="Retry song").click()
    hold.release()
    made = {stem: read(BytesIO(data)) for stem, data in stems(song).items()}
    assert np.abs(made["vocals"] + made["karaoke"] - read(BytesIO(content))).max() < 1e-3


def test_what_is_offered_again_in_two_pages_is_gone_where_it_is_not_begun(
    context: BrowserContext,
) -> None:
    context.route(ENGINE, lambda route: None)
    page = context.new_page()
    page.goto("?workers=1")
    content = wav(SHORT)
    drop(page, ("song.wav", content))
    wait_until(page, OWN_FILE, len(content))
    page.close(run_before_unload=False)
    let_through(context, ENGINE)
    page, other = opened(context), opened(context)
    expect(card(other, "song").locator(".status")).to_contain_text("Interrupted")
    page.get_by_role("button", name="Retry song").click()
    expect(other.locator(".card")).to_have_count(0)
    assert len(stems(card(page, "song"))) == 5


def test_a_song_of_which_a_piece_is_lost_is_no_more(context: BrowserContext) -> None:
    page = opened(context)
    separated(page)
    page.evaluate(
        """async () => {
          const root = await navigator.storage.getDirectory();
          const songs = await root.getDirectoryHandle("umx songs");
          for await (const song of songs.values())
            for await (const name of song.keys())
              if (name !== "song.json") await song.removeEntry(name);
        }"""
    )
    page.reload()
    expect(page.locator("#kept")).to_contain_text("Finished songs are kept", timeout=PATIENCE)
    expect(page.locator(".card")).to_have_count(0)


# Gives the lists of all songs another format.
SET_FORMAT = """async format => {
  const root = await navigator.storage.getDirectory();
  const songs = await root.getDirectoryHandle("umx songs");
  for await (const song of songs.values()) {
    const handle = await song.getFileHandle("song.json");
    const list = JSON.parse(await (await handle.getFile()).text());
    const stream = await handle.createWritable();
    await stream.write(JSON.stringify({ ...list, format }));
    await stream.close();
  }
}"""
COUNT_PERSIST = """StorageManager.prototype.persist = async () => {
  const { dataset } = document.documentElement;
  dataset.asked = Number(dataset.asked ?? 0) + 1;
};"""


def test_songs_of_another_version_of_the_page_are_left_for_it(context: BrowserContext) -> None:
    context.add_init_script(COUNT_PERSIST)
    page = opened(context)
    before = separated(page, "one")
    separated(page, "two")
    # The browser is asked not to delete them, once.
    expect(page.locator("html")).to_have_attribute("data-asked", "1")
    page.evaluate(SET_FORMAT, 99)
    page.reload()
    expect(page.locator("#kept")).to_contain_text("Finished songs are kept", timeout=PATIENCE)
    expect(page.locator(".card")).to_have_count(0)
    page.evaluate(SET_FORMAT, 1)
    page.reload()
    assert stems(card(page, "one")) == before


def test_what_to_hear_may_be_chosen_before_there_is_something_to_hear(
    context: BrowserContext,
) -> None:
    page = context.new_page()
    page.goto("?workers=1")
    with at_work(page):
        drop(page, ("song.wav", wav(SHORT)))
        song = card(page, "song")
        karaoke = song.get_by_role("button", name="Karaoke", exact=True)
        karaoke.click(timeout=PATIENCE)
    expect(song).to_have_attribute("data-state", "done", timeout=PATIENCE)
    expect(karaoke).to_have_attribute("aria-pressed", "true")


def test_keep_nothing(context: BrowserContext) -> None:
    page = opened(context)
    page.locator("summary", has_text="Settings").click()
    page.locator("#keep").uncheck()
    expect(page.locator("#kept")).to_have_text(
        "New songs are not kept: download their stems before you close the page."
    )
    assert len(separated(page)["bass"]) == 44 + 4 * len(SHORT)
    assert page.evaluate(PATHS) == []
    page.reload()
    expect(page.locator("#kept")).to_contain_text("New songs are not kept", timeout=PATIENCE)
    expect(page.locator("#keep")).not_to_be_checked()
    expect(page.locator(".card")).to_have_count(0)


@pytest.mark.engine
def test_a_disk_that_fills_up_costs_no_song(context: BrowserContext) -> None:
    page = opened(context)
    expected = separated(page, "enough", wav(compose(40)))
    page.get_by_role("button", name="Remove enough").click()
    expect_paths(page, 0)
    used = page.evaluate("navigator.storage.estimate().then(estimate => estimate.usage)")
    session = context.new_cdp_session(page)
    origin = page.evaluate("location.origin")
    # Enough for the first pieces, not for all.
    session.send(
        "Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": used + 20_000_000}
    )
    assert separated(page, "full", wav(compose(40))) == expected
    expect(card(page, "full").locator(".status")).to_contain_text("no room to keep it")
    assert any("/" in path for path in page.evaluate(PATHS))
    page.reload()
    expect(page.locator("#kept")).to_contain_text("Finished songs are kept", timeout=PATIENCE)
    expect(page.locator(".card")).to_have_count(0)
    expect_paths(page, 0)


# Added to a worker's code: no file can be made any more, and the error has no stack, as Chromium's own has none.
NO_ROOM = """
js.eval('''
  class QuotaExceededError extends DOMException {
    constructor() { super("", "QuotaExceededError"); delete this.stack; }
  }
  FileSystemDirectoryHandle.prototype.getFileHandle = () => Promise.reject(new QuotaExceededError());
''')
"""


@pytest.mark.engine
def test_a_disk_without_room_for_another_name_costs_no_song(visit: Callable) -> None:
    storage = (ROOT / "app" / "worker" / "storage.py").read_text() + NO_ROOM

    def prepare(page: Page) -> None:
        page.route("**/app/worker/storage.py", lambda route: route.fulfill(body=storage))

    page, _ = visit("?workers=1", prepare)
    expect_state(page, "ready")
    assert set(separated(page)) == {"vocals", "drums", "bass", "melody", "karaoke"}
    expect(card(page, "song").locator(".status")).to_contain_text("no room to keep it")
