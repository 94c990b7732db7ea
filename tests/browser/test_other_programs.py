"""Songs that come from other programs, and files that go to them."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pages import at_work, expect_all_kept, stems
from playwright.sync_api import Browser, Page, expect
from songs import card, compose, drop, expect_state, read, wav

from scripts.common.environment import ROOT

SONGS = {"Ünder a title.wav": compose(1), "two.wav": -compose(1)}
MANIFEST = json.loads((ROOT / "app" / "look" / "site.webmanifest").read_text())


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture
def installed(browser: Browser, address: str) -> Iterator[Page]:
    """A page whose service worker keeps the site, as installing asks for."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address + "?workers=1")
    expect_state(page, "ready")
    expect_all_kept(page)
    yield page
    context.close()


FORM = """<form method="{method}" enctype="{enctype}" action="{action}">
<input type="file" name="{field}" multiple><input name="title" value="A song"><button>Share</button></form>"""


def share(page: Page, folder: Path, address: str) -> None:
    """What the system does: a form of the manifest's description is sent, and its answer opened."""
    target = MANIFEST["share_target"]
    (files,) = target["params"]["files"]
    form = {name: target[name] for name in ("method", "enctype")}
    action = address + "app/look/" + target["action"]
    page.goto("about:blank")
    page.set_content(FORM.format(**form, action=action, field=files["name"]))
    for name, sound in SONGS.items():
        (folder / name).write_bytes(wav(sound))
    page.locator("[type=file]").set_input_files([folder / name for name in SONGS])
    page.get_by_role("button", name="Share").click()


def test_shared_songs_land_in_the_queue_once(installed: Page, tmp_path: Path, address: str) -> None:
    share(installed, tmp_path, address)
    expect(installed.locator(".title")).to_have_text([Path(name).stem for name in SONGS])
    expect(installed).to_have_url(address)
    expect_state(installed, "done")
    for name, sound in SONGS.items():
        files = stems(card(installed, Path(name).stem))
        heard = sum(read(io.BytesIO(files[stem])) for stem in ("vocals", "karaoke"))
        assert np.abs(heard - sound).max() < 4 / 2**15
    assert installed.evaluate("caches.keys()").count("umx shared with " + address) == 1
    installed.reload()
    expect(installed.locator(".card[data-state=done]")).to_have_count(
        len(SONGS)
    )  # those that are kept


def test_songs_are_shared_without_a_network(installed: Page, tmp_path: Path, address: str) -> None:
    installed.context.set_offline(True)
    share(installed, tmp_path, address)
    expect(installed.locator(".title")).to_have_text([Path(name).stem for name in SONGS])


LAUNCHED = """
const fileOf = async (name) => {
  if (name === "gone.wav") throw new DOMException("", "NotFoundError");
  return new File([bytes], name);
};
const setConsumer = (consumer) => {
  window.launch = (names) => consumer({ files: names.map((name) => ({ getFile: () => fileOf(name) })) });
};
Object.defineProperty(window, "launchQueue", { value: { setConsumer } });
"""


def test_files_that_are_opened_with_the_page_land_in_the_queue(visit: Callable) -> None:
    content = list(wav(compose(1)))
    script = f"const bytes = new Uint8Array({content});{LAUNCHED}"
    page, _ = visit("?workers=1", lambda page: page.add_init_script(script))
    expect_state(page, "ready")
    with at_work(page):
        page.evaluate("launch(['one.wav', 'gone.wav', 'two.wav'])")
        expect(page.locator(".title")).to_have_text(["one", "two"])
        page.evaluate("launch([])")
    expect_state(page, "done")


def test_the_manifest_names_what_the_page_takes() -> None:
    (handler,) = MANIFEST["file_handlers"]
    taken = (ROOT / "app" / "page" / "files" / "dropped_files.py").read_text()
    for endings in handler["accept"].values():
        assert all(f'"{ending.strip(".")}"' in taken for ending in endings)
    assert handler["action"] == MANIFEST["start_url"]


SHARING = """
Navigator.prototype.canShare = ({ files }) => files.every((file) => file.name.endsWith(".wav"));
Navigator.prototype.share = async ({ files }) => {
  if (window.refusal) throw new DOMException("no", window.refusal);
  const content = await Promise.all(files.map((file) => file.arrayBuffer()));
  window.shared = files.map(({ name, type }, index) => [name, type, content[index].byteLength]);
};
"""
PHONE = {"is_mobile": True, "has_touch": True, "viewport": {"width": 390, "height": 844}}


def test_a_phone_hands_files_to_other_programs(visit: Callable) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script(SHARING), **PHONE)
    drop(page, ("song.wav", wav(compose(1))))
    expect_state(page, "done")
    song = card(page, "song")
    status = str(song.locator(".status").text_content())
    page.evaluate("window.refusal = 'AbortError'")
    song.get_by_role("button", name="Share…").click()
    expect(song.locator(".status")).to_have_text(status)
    page.evaluate("window.refusal = 'NotAllowedError'")
    song.get_by_role("button", name="Share…").click()
    expect(song.locator(".status")).to_contain_text(
        "The files could not be shared: NotAllowedError"
    )
    page.evaluate("window.refusal = ''")
    song.get_by_role("button", name="Share…").click()
    page.wait_for_function("window.shared")
    names = [f"song - {stem}.wav" for stem in ("vocals", "drums", "bass", "melody", "karaoke")]
    size = 44 + 4 * 44100
    assert page.evaluate("shared") == [[name, "audio/wav", size] for name in names]


def test_nothing_is_shared_where_files_are_downloaded_well(visit: Callable) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script(SHARING))
    drop(page, ("song.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(card(page, "song").locator(".mix")).to_be_visible()
    expect(card(page, "song").locator(".share")).to_be_hidden()
