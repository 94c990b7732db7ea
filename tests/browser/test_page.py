"""The main job in a real browser: a song in, five stems out, and whatever may go wrong on the way."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpus import encoded
from pages import ENGINE, TURN, Hold, at_work, let_through, within_a_second
from playwright.sync_api import Page, Route, expect
from songs import (
    PATIENCE,
    RATE,
    SONG,
    card,
    compose,
    download,
    drop,
    expect_state,
    options,
    read,
    snr,
    wav,
)

import umx
from scripts.soak import COUNT_URLS

STEMS = ["vocals", "drums", "bass", "melody", "karaoke"]


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


def decibels(page: Page) -> float:
    """How close the page's engine must come to numpy: the SIMD kernel rounds activations to 12 bits."""
    details = page.locator("#details").text_content() or ""
    return 50 if "SIMD kernel" in details else 60


@pytest.fixture(scope="module")
def native() -> dict[str, np.ndarray]:
    """The stems of SONG as the package separates it here."""
    mixture, _ = soundfile.read(io.BytesIO(wav(SONG)), dtype="float32")
    stems = umx.separate(mixture.T, RATE)
    return {("melody" if name == "other" else name): stem.T for name, stem in stems.items()}


@pytest.mark.engine
def test_the_files_are_what_the_package_gives(
    page: Page, native: dict[str, np.ndarray], tmp_path: Path
) -> None:
    drop(page, ("Ünder a title - 東京.wav", wav(SONG)))
    expect_state(page, "done")
    assert [lane.inner_text() for lane in page.locator(".lane h3").all()] == [
        stem.capitalize() for stem in STEMS[:4]
    ]
    links = page.locator("a[download]")
    done = "Ready, made with umx-mini"
    expect(page.locator(".status")).to_have_text(done)
    names = [link.get_attribute("download") for link in links.all()]
    assert names == [f"Ünder a title - 東京 - {stem}.wav" for stem in STEMS]
    files = {}
    for stem, link in zip(STEMS, links.all(), strict=True):
        path = download(page, link, tmp_path)
        assert soundfile.info(path).subtype == "PCM_16"
        files[stem] = read(path)
        assert files[stem].shape == SONG.shape
        assert snr(files[stem], native[stem]) >= decibels(page), stem
    total = sum(files[stem] for stem in STEMS[:3]) + files["melody"]
    karaoke = files["drums"] + files["bass"] + files["melody"]
    assert np.abs(files["karaoke"] - karaoke).max() < 3 / 2**15
    assert snr(total, SONG) > 60  # but for what five roundings cost

    archive = zipfile.ZipFile(download(page, page.locator(".zip"), tmp_path))
    assert archive.namelist() == names
    assert archive.read(names[0]) == (tmp_path / str(names[0])).read_bytes()


@pytest.mark.engine
@pytest.mark.parametrize("decibels", [-60, -21, 12])
def test_stems_are_the_same_at_every_level(
    page: Page, native: dict[str, np.ndarray], tmp_path: Path, decibels: float
) -> None:
    factor = np.float32(10 ** (decibels / 20))
    options(page).locator("#format").select_option("float")
    drop(page, ("song.wav", encoded(factor * SONG, "WAV", "FLOAT")))
    options(page).locator("#format").select_option("16")
    expect_state(page, "done")
    files = {}
    for stem in STEMS:
        files[stem] = read(download(page, page.locator(f"a[data-stem={stem}]"), tmp_path)) / factor
        assert snr(files[stem], native[stem]) > 40, stem
    assert snr(sum(files[stem] for stem in STEMS[:4]), SONG) > 80


def test_zips_do_not_add_up(visit: Callable) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script(COUNT_URLS))
    drop(page, ("song.wav", wav(compose(1))))
    expect_state(page, "done")
    counts = []
    for _ in range(3):
        with page.expect_download():
            page.locator(".zip").click()
        counts.append(page.evaluate("blobUrls.size"))
    assert counts == counts[:1] * 3


# Of the first waveform that is drawn: whether the song's second half is drawn too, and what colours there are
# beside the stem's own.
DRAWN = """canvas => new Promise(done => {
  const pen = canvas.getContext("2d", { willReadFrequently: true }), { width, height } = canvas;
  const opaque = (left, right) => {
    const data = pen.getImageData(left, 0, right - left, height).data, found = new Set();
    for (let i = 0; i < data.length; i += 4)
      if (data[i + 3] === 255) found.add([...data.slice(i, i + 3)].join());
    return [...found];
  };
  const look = () => {
    const begin = opaque(0, width / 20);
    if (!begin.length) return requestAnimationFrame(look);
    const end = opaque(width / 2, width);
    done([begin, end]);
  };
  look();
})"""


def test_waveforms_fill_from_the_left_as_segments_finish(page: Page) -> None:
    page.evaluate("performance.clearMarks()")
    with at_work(page):
        drop(page, ("long.wav", wav(np.tile(SONG, (6, 1)))))
        song = card(page, "long")
        expect(song.locator(".play")).to_be_enabled(timeout=PATIENCE)  # its lanes are laid out
        begin, end = song.locator(".lane canvas").nth(1).evaluate(DRAWN)
        marks = page.evaluate("performance.getEntriesByType('mark').map(({ name }) => name)")
    assert begin == ["168,80,10"]  # that of the drums
    assert end == []
    assert [mark for mark in marks if mark.startswith("umx:")] == ["umx:begin", "umx:first-stems"]


def test_reduced_motion(page: Page) -> None:
    moves = "node => getComputedStyle(node).transitionDuration"
    assert page.locator("#drop").evaluate(moves) != "0s"
    page.emulate_media(reduced_motion="reduce")
    assert page.locator("#drop").evaluate(moves) == "0s"
    page.emulate_media(reduced_motion="no-preference")


def test_footer_names_model_and_licence(page: Page) -> None:
    expect(page.locator("#model")).to_contain_text("umx-mini")
    expect(page.locator("#model")).to_contain_text("Licence: CC-BY-SA-4.0.")
    details = page.locator("#details")
    expect(details).to_contain_text(
        re.compile(r"Engine: .*; workers: 2, \d+ MB of memory\. Quality: ")
    )


def test_mono_at_another_rate(page: Page, tmp_path: Path) -> None:
    mono = compose(3)[::2, 0]
    drop(page, ("mono.wav", wav(mono, RATE // 2)))
    expect_state(page, "done")
    stems = [read(download(page, link, tmp_path)) for link in page.locator("a[download]").all()[:4]]
    assert stems[0].shape == (3 * RATE, 2)
    total = np.sum(stems, axis=0)
    # Both sides alike, and what the browser made of the file.
    assert snr(total[:, 1:], total[:, :1]) > 40
    assert snr(total[::2, 0], mono) > 10


# Keeps every text that the page shows of the engine, and of songs.
KEEP_TEXTS = """() => {
  window.shown = [];
  const look = () => document.querySelectorAll("#engine, .status").forEach((node) => {
    if (shown.at(-1) !== node.textContent) shown.push(node.textContent);
  });
  const all = { subtree: true, childList: true, characterData: true };
  new MutationObserver(look).observe(document.querySelector("main"), all);
}"""


@pytest.mark.engine
def test_cancel_is_at_once_and_the_next_song_goes_on(page: Page) -> None:
    """Without a word of the engine, which starts anew, and without a percentage that stands still."""
    page.evaluate(KEEP_TEXTS)
    drop(page, ("long.wav", wav(np.tile(SONG, (6, 1)))))
    song = card(page, "long")
    expect(song.locator(".status")).to_contain_text("%", timeout=PATIENCE)
    assert "%" in page.title()
    with within_a_second(page, "document.documentElement.dataset.state === 'ready'"):
        song.get_by_role("button", name="Cancel long").click()
    expect(page.locator("html")).to_have_attribute("data-state", "ready")
    expect(song.locator(".status")).to_have_text("Cancelled")
    expect(song.locator("progress")).to_be_hidden()
    assert "%" not in page.title()
    drop(page, ("next.wav", wav(compose(2))))
    expect_state(page, "done")
    expect(card(page, "next").locator("a[download]")).to_have_count(5)
    shown = page.evaluate("shown")
    assert "Estimating the time left" in shown
    assert not [text for text in shown if re.search(r"engine|\b0%", text)]


@pytest.mark.parametrize("content", [b"this is no song", wav(compose(2))[:44], b""])
def test_a_file_that_is_no_song(page: Page, content: bytes) -> None:
    words = "“odd.wav” can't be read as audio by this browser: convert it to MP3 or WAV."
    drop(page, ("odd.wav", content))
    expect_state(page, "error")
    expect(card(page, "odd").locator(".status")).to_have_text(words)
    expect(page.locator("#announcer")).to_have_text(words)
    drop(page, ("good.wav", wav(compose(1))))
    expect_state(page, "done")


def test_several_songs_one_of_them_broken(page: Page) -> None:
    songs = {"one": wav(compose(2)), "broken": b"no", "two": wav(compose(2))}
    drop(page, *[(f"{title}.wav", content) for title, content in songs.items()])
    card(page, "one").locator(".title").click()
    expect_state(page, "done")
    expect(page.locator(".mixer:visible")).to_have_count(0)  # no other opens in its place
    states = [song.get_attribute("data-state") for song in page.locator(".card").all()]
    assert states == ["done", "failed", "done"]
    expect(page.locator("a[download]")).to_have_count(10)
    broken = card(page, "broken")
    expect(broken.get_by_role("button", name="Retry broken")).to_be_hidden()  # it can't help
    broken.get_by_role("button", name="Remove broken").click()
    expect(page.locator(".card")).to_have_count(2)


def test_order_of_what_waits_can_be_changed(page: Page) -> None:
    with at_work(page) as work:
        drop(page, *[(f"{title}.wav", wav(compose(1))) for title in ("first", "a", "b", "c")])
        expect(page.get_by_role("button", name="Do earlier: a")).to_be_hidden()
        page.get_by_role("button", name="Do earlier: c").click()
        page.get_by_role("button", name="Do earlier: c").press("Enter")
        assert page.locator(".card .title").all_inner_texts() == ["first", "c", "a", "b"]
        expect(page.get_by_role("button", name="Do earlier: c")).to_be_hidden()
        for title in ("first", "c"):
            work.let_one_go(page)
            expect(card(page, title)).to_have_attribute("data-state", "done", timeout=PATIENCE)
        assert card(page, "a").get_attribute("data-state") != "done"
        assert card(page, "b").get_attribute("data-state") == "waiting"
        work.release()
        expect_state(page, "done")


def test_new_songs_are_on_top_and_in_sight_of_a_phone(visit: Callable) -> None:
    """Behind those that are still to be done; what was focused stays so."""
    page, _ = visit("?workers=1", viewport={"width": 390, "height": 844})
    expect_state(page, "ready")
    titles = page.locator(".card .title")
    for title in ("one", "two", "three", "four"):
        drop(page, (f"{title}.wav", wav(compose(0.2))))
        expect(card(page, title)).to_have_attribute("data-state", "done", timeout=PATIENCE)
    expect(titles).to_have_text(["four", "three", "two", "one"])
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator("#help-button").focus()
    Hold(TURN)(page)
    drop(page, ("long.wav", wav(SONG)), ("last.wav", wav(compose(0.2))))
    expect(titles).to_have_text(["long", "last", "four", "three", "two", "one"])
    expect(card(page, "long").locator(".head")).to_be_in_viewport(ratio=1)
    expect(page.locator("#help-button")).to_be_focused()
    page.evaluate("scrollTo(0, 0)")
    drop(page, ("behind.wav", wav(compose(0.2))))
    expect(titles.nth(2)).to_have_text("behind")
    expect(card(page, "behind").locator(".head")).to_be_in_viewport(ratio=1)


def test_double_click_removes_nothing_by_accident(page: Page) -> None:
    with at_work(page):
        drop(page, *[(f"{title}.wav", wav(compose(2))) for title in ("one", "two", "three")])
        page.get_by_role("button", name="Cancel one").dblclick()
        expect(card(page, "one").locator(".status")).to_have_text("Cancelled")
        page.get_by_role("button", name="Cancel two").click()
        page.get_by_role("button", name="Cancel three").click()
        page.get_by_role("button", name="Remove one").dblclick()
        expect(page.locator(".card .title")).to_have_text(["two", "three"])


def test_cancel_at_the_last_moment_removes_nothing(page: Page) -> None:
    """A click just as the song ends hits what is there then."""
    with at_work(page):
        drop(page, ("song.wav", wav(compose(3))))
        page.evaluate(
            """() => {
              const card = document.querySelector(".card"), cancel = card.querySelector(".cancel");
              const { left, top } = cancel.getBoundingClientRect();
              window.hit = new Promise((done) => new MutationObserver(() => {
                if (cancel.hidden) done(document.elementFromPoint(left + 5, top + 5).className);
              }).observe(card, { subtree: true, attributes: true }));
            }"""
        )
    expect_state(page, "done")
    assert page.evaluate("hit") != "remove"
    page.get_by_role("button", name="Remove song").click()
    expect(page.locator(".card")).to_have_count(0)


def test_cancelled_song_can_be_tried_again(page: Page) -> None:
    with at_work(page):
        drop(page, ("first.wav", wav(compose(2))), ("second.wav", wav(compose(2))))
        second = card(page, "second")
        second.get_by_role("button", name="Cancel second").click()
        expect(second.locator(".status")).to_have_text("Cancelled")
    expect(card(page, "first").locator("a[download]")).to_have_count(5, timeout=PATIENCE)
    second.get_by_role("button", name="Retry second").click()
    expect(second.locator("a[download]")).to_have_count(5, timeout=PATIENCE)


def test_song_chosen_before_the_page_can_listen(visit: Callable) -> None:
    hold = Hold("**/micropython.mjs")
    page, _ = visit("?workers=1", hold)
    drop(page, ("first.wav", wav(compose(1))))
    expect(page.get_by_role("button", name="Try a demo song")).to_be_disabled()
    hold.release()
    expect_state(page, "done")
    expect(card(page, "first")).to_have_count(1)


def drag(page: Page, path: Path) -> None:
    """Drop a file as a visitor does, by the browser's own means."""
    box = page.locator("#drop").bounding_box()
    assert box
    place = {"x": box["x"] + 20, "y": box["y"] + box["height"] / 2}
    files = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": files})


def test_song_dropped_before_the_page_can_listen(visit: Callable, tmp_path: Path) -> None:
    held: list[Route] = []

    def prepare(page: Page) -> None:
        page.route("**/micropython.mjs", lambda route: held.append(route))

    page, _ = visit("?workers=1", prepare)
    for name in ("first", "second"):
        (tmp_path / f"{name}.wav").write_bytes(wav(compose(1)))
    drag(page, tmp_path / "first.wav")
    expect(page.locator("#file")).not_to_have_js_property("value", "")
    while not held:
        page.evaluate("new Promise(requestAnimationFrame)")
    held[0].continue_()
    expect_state(page, "done")
    drag(page, tmp_path / "second.wav")
    expect(page.locator(".card[data-state=done] .title")).to_have_text(["second", "first"])


def test_song_dropped_before_the_engine_is_ready(visit: Callable) -> None:
    hold = Hold("**/manifest.json")
    page, _ = visit("?workers=nonsense", hold)
    # The script that listens is MicroPython's; the engine behind it takes longer.
    expect(page.locator("#workers")).not_to_have_value("", timeout=PATIENCE)
    assert int(page.locator("#workers").input_value()) >= 1
    expect(page.locator("html")).to_have_attribute("data-state", "loading")
    drop(page, ("early.wav", wav(compose(2))))
    expect(card(page, "early").locator(".status")).to_have_text("Waiting for the engine…")
    hold.release()
    expect_state(page, "done")
    expect(page.locator("a[download]")).to_have_count(5)


def test_engine_that_can_not_start_says_why_and_starts_again(visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.route("**/manifest.json", lambda route: route.fulfill(status=404))

    page, complaints = visit("?workers=1", prepare)
    expect_state(page, "error")
    expect(page.locator("#error")).to_contain_text("manifest.json can't be fetched")
    drop(page, ("song.wav", wav(compose(1))))
    expect(card(page, "song").locator(".status")).to_contain_text("The engine could not start")
    complaints.clear()  # of the file that isn't there
    let_through(page, "**/manifest.json")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Retry song").click()
    expect_state(page, "done")
    expect(page.locator("#error")).to_be_hidden()


def test_bug_report_names_no_song(page: Page) -> None:
    drop(page, ("secret.wav", b"no song"))
    expect_state(page, "error")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("summary", has_text="Settings").click()
    page.get_by_role("button", name="Copy for a bug report").click()
    expect(page.locator("#reported")).to_have_text("Copied.")
    page.locator("summary", has_text="Settings").click()
    report = page.evaluate("navigator.clipboard.readText()")
    assert f"Version: {umx.__version__}" in report
    assert "Model: umx-mini" in report
    assert "can't be read as audio" in report
    assert "secret" not in report


def test_first_paint_does_not_wait_for_python(visit: Callable) -> None:
    def hold(page: Page) -> None:
        page.route("**/*.mjs", lambda route: None)
        page.route("**/*.py", lambda route: None)

    page, _ = visit("?workers=1", hold)
    kinds = page.locator("script").evaluate_all("all => all.map(({ type }) => type)")
    assert set(kinds) <= {"module", "mpy"}  # which no paint waits for
    page.evaluate(
        """new Promise((done) => new PerformanceObserver(done).observe({ type: "paint", buffered: true }))"""
    )
    expect(page.get_by_text("Drop a song here")).to_be_visible()
    expect(page.get_by_text("Your song never leaves your device.")).to_be_visible()


def test_what_is_chosen_before_the_page_has_started_sticks(visit: Callable) -> None:
    hold = Hold("**/micropython.mjs")
    page, _ = visit("?workers=1", hold)
    options(page).get_by_label("Melody").uncheck()
    options(page).get_by_label("File format").select_option("flac")
    hold.release()
    expect(page.locator("#demo")).to_be_enabled(timeout=PATIENCE)
    expect(page.locator("#options-note")).to_contain_text("one stem more")
    page.reload()
    expect(page.locator("#options-note")).to_contain_text("one stem more", timeout=PATIENCE)
    expect(page.locator("#options [value=melody]")).not_to_be_checked()
    expect(page.locator("#format")).to_have_value("flac")


def test_first_view_of_a_phone(visit: Callable) -> None:
    """What it is for, the place for songs, and the demo, whole and in this order."""
    page, _ = visit("", viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    whole = [page.locator(name) for name in ("h1", "#drop", "#demo", "#options", "#model-menu")]
    tops = []
    for part in whole:
        expect(part).to_be_in_viewport(ratio=1)
        tops.append((part.bounding_box() or {})["y"])
    assert tops == sorted(tops)
    expect(page.locator("h1")).to_contain_text("Karaoke, drumless and practice")
    expect(page.get_by_text("Choose a song")).to_be_visible()
    expect(page.get_by_text("Drop a song here")).to_be_hidden()
    expect(page.locator("#format")).to_be_hidden()


def test_a_file_over_the_page_is_seen(page: Page) -> None:
    """Also where it passes from one element of the page to another."""
    drop_zone, frame = (
        page.locator("#drop"),
        "getComputedStyle(document.documentElement, '::before')",
    )
    calm = drop_zone.evaluate("node => getComputedStyle(node).backgroundColor")
    page.locator("header").dispatch_event("dragover")
    expect(drop_zone).not_to_have_css("background-color", calm)
    assert page.evaluate(f"{frame}.position") == "fixed"
    page.evaluate(
        """() => {
          const [from, relatedTarget] = ["header", "main"].map((name) => document.querySelector(name));
          from.dispatchEvent(new DragEvent("dragleave", { relatedTarget, bubbles: true }));
        }"""
    )
    expect(drop_zone).not_to_have_css("background-color", calm)
    page.locator("header").dispatch_event("dragleave")
    expect(drop_zone).to_have_css("background-color", calm)


SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const { value, sources } of list.getEntries()) {
    shifts.push([value, ...sources.map(({ node }) => node?.outerHTML ?? node?.textContent)]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""
"""Has the page keep how far anything that was seen has moved, and what it was."""


@pytest.mark.parametrize(
    ("width", "locale"),
    [(1280, "en-US"), (1280, "ja-JP")]
    + [(320, f"{language}-XX") for language in ("en", "de", "es", "fr", "ja", "pt")],
)
def test_nothing_that_is_seen_moves(width: int, locale: str, visit: Callable) -> None:
    page, _ = visit(
        "?workers=1",
        lambda page: page.add_init_script(SHIFTS),
        viewport={"width": width, "height": 800},
        locale=locale,
    )
    expect_state(page, "ready")
    if not locale.startswith("en"):
        page.evaluate("shifts.length = 0")  # the page came in English
    titles = (
        "A song whose title is long enough for two lines",
        "too loud, as is its karaoke",
        "last",
    )
    loud = np.sign(SONG[: 5 * RATE])
    with at_work(page):
        drop(
            page,
            *[
                (f"{title}.wav", wav(sound))
                for title, sound in zip(titles, (SONG, loud, loud), strict=True)
            ],
        )
        expect(page.locator(".status").first).to_contain_text("%", timeout=PATIENCE)
    expect_state(page, "done")
    expect(page.locator(".loud").nth(1)).not_to_have_text("")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert page.evaluate("shifts") == []


@pytest.mark.parametrize(
    ("locale", "language", "invitation"),
    [
        ("es-MX", "es", "Suelta aquí una canción"),
        ("fr-FR", "fr", "Déposez une chanson ici"),
        ("ja-JP", "ja", "ここに曲をドロップ"),
        ("pt-BR", "pt", "Solte uma canção aqui"),
        ("sv-SE", "en", "Drop a song here"),
    ],
)
def test_page_speaks_the_browsers_language(
    locale: str, language: str, invitation: str, visit: Callable
) -> None:
    def prepare(page: Page) -> None:
        page.route(ENGINE, lambda route: None)  # it says all of it without the engine

    page, _ = visit("", prepare, locale=locale, viewport={"width": 320, "height": 800})
    expect(page.get_by_text(invitation)).to_be_visible(timeout=PATIENCE)
    expect(page.locator("html")).to_have_attribute("lang", language)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_job_in_another_language(visit: Callable) -> None:
    page, _ = visit("?workers=1", locale="de-AT", viewport={"width": 320, "height": 800})
    expect_state(page, "ready")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator("#model")).to_contain_text("Vom umx-Projekt trainiert")
    expect(page.locator("#details")).to_contain_text("auf aufgenommenen Liedern")
    assert page.title() == "umx: ein Lied in Spuren zerlegen"
    drop(page, ("Lied.wav", wav(compose(2))))
    expect_state(page, "done")
    expect(page.locator(".status")).to_have_text("Fertig, gemacht mit umx-mini")
    expect(page.get_by_role("button", name="Schlagzeug solo")).to_be_visible()
    expect(page.get_by_role("button", name="Abspielen", exact=True)).to_be_visible()
    names = page.locator("a[download]").evaluate_all("all => all.map((link) => link.download)")
    assert names == [f"Lied - {stem}.wav" for stem in STEMS]  # as programs expect them
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_no_request_may_leave_the_origin(page: Page, shared: tuple[Page, list[str]]) -> None:
    page.route("https://example.org/", reach)
    reached = page.evaluate(
        "fetch('https://example.org/').then(() => true, error => error.constructor.name)"
    )
    assert reached == "TypeError"
    assert "connect-src" in shared[1].pop(0)
    shared[1].clear()


def reach(route: Route) -> None:
    route.fulfill(status=200, headers={"Access-Control-Allow-Origin": "*"}, body="reached")
