"""The same stems from Firefox and WebKitGTK as from numpy, and what else they might do in their own way.

Playwright drives browsers of its own making only: Firefox is driven over WebDriver BiDi, WebKitGTK over WebDriver.
"""

import base64
import io
import itertools
import json
import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pytest
import soundfile
import websocket
from corpus import encoded
from pages import build_site, require, serving
from selenium import webdriver
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service
from songs import RATE, compose, snr, wav

import umx
from scripts.serve import server


def in_the_centre() -> dict[str, bytes]:
    """Sound in the centre alone, in each codec's own order, and where this browser's own reader makes noise of it."""
    found = {}
    for name, container, subtype, count, place in (
        ("centre.ogg", "OGG", "VORBIS", 6, 1),
        ("centre.opus", "OGG", "OPUS", 6, 1),
        ("centre.flac", "FLAC", "PCM_16", 6, 2),
        ("centre.wav", "WAV", "PCM_16", 5, 2),
    ):
        rate = 48000 if subtype == "OPUS" else RATE
        found[name] = encoded(np.eye(count)[place] * compose(1)[:, :1], container, subtype, rate)
    return found


SONG = compose(20)
"""Two segments, so that there is a join."""
FILES = {
    "song.wav": wav(SONG),
    "short.wav": wav(compose(1)),
    "broken.wav": b"this is no song",
    **in_the_centre(),
    # More than eight minutes, which is decoded piece by piece.
    "long.wav": wav(np.tile(SONG[::4, 0], 30), RATE // 4),
}
SECONDS = 240
"""In which any of it must be done, on a busy machine too."""

# Waits until an expression is true of the page, and gives its value.
UNTIL = """async () => {
  const page = document.documentElement.dataset;
  const text = id => document.getElementById(id).textContent;
  const card = title => [...document.querySelectorAll(".card")].find(
    card => card.querySelector(".title").textContent === title
  );
  const status = title => card(title)?.querySelector(".status").textContent ?? "";
  const files = title => [...card(title)?.querySelectorAll("a[download]") ?? []];
  let value;
  await new Promise(done => {
    const look = () => (value = EXPRESSION) && done();
    const everything = { subtree: true, childList: true, attributes: true, characterData: true };
    new MutationObserver(look).observe(document, everything);
    look();
  });
  return value;
}"""

# Keeps the song for when there is no server.
DROP = """async (address, name) => {
  const cache = await caches.open("a test's");
  if (!await cache.match(address)) await cache.add(address);
  const transfer = new DataTransfer();
  transfer.items.add(new File([await (await cache.match(address)).blob()], name));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
  return true;
}"""

# The hash of the engine's snapshot, once there is one.
SNAPSHOT = """async () => {
  await new Promise((done) => {
    const look = () => performance.getEntriesByName("umx:kept").length && done();
    new PerformanceObserver(look).observe({ type: "mark", buffered: true });
    look();
  });
  const name = (await caches.keys()).find((name) => name.startsWith("umx snapshot of "));
  const cache = await caches.open(name);
  return (await cache.match((await cache.keys())[0])).headers.get("sha256");
}"""

# The files of the newest song, which is the first, by stem.
STEMS = """async () => {
  const found = {};
  for (const link of document.querySelector(".card").querySelectorAll("a[download]")) {
    const reader = new FileReader();
    const blob = await (await fetch(link.href)).blob();
    await new Promise(done => { reader.onload = done; reader.readAsDataURL(blob); });
    found[link.dataset.stem] = reader.result.split(",")[1];
  }
  return found;
}"""

CHOOSE = """async (form) => {
  const menu = document.querySelector(".card").querySelector(".format");
  menu.value = form;
  menu.dispatchEvent(new Event("change", { bubbles: true }));
  return menu.value;
}"""

CLICK = """async (selector) => {
  document.querySelector(selector).click();
  return true;
}"""

# Have a pointer drag the first waveform's loop, or what is there of its edges, between two fractions of its width.
DRAG = """async (selector, begin, end) => {
  const wave = document.querySelector(".card .lanes .wave"), target = document.querySelector(selector);
  const { left, width, top } = wave.getBoundingClientRect();
  target.setPointerCapture = () => {};  // there is no pointer
  for (const [type, fraction] of [["pointerdown", begin], ["pointermove", end], ["pointerup", end]]) {
    const place = { clientX: left + fraction * width, clientY: top + 5, pointerId: 1, bubbles: true };
    target.dispatchEvent(new PointerEvent(type, place));
  }
  return true;
}"""

LEAVE = """async (address) => {
  const refused = new Promise(done => document.addEventListener("securitypolicyviolation", done));
  fetch(address).catch(() => undefined);
  return (await refused).violatedDirective;
}"""


class Browser(Protocol):
    def go(self, url: str) -> None: ...

    def call(self, function: str, *arguments: object) -> Any:
        """What an async function of JavaScript gives in the page."""

    def requests(self) -> list[str]:
        """The addresses that were asked for, as far as the browser tells."""


class Firefox:
    """https://w3c.github.io/webdriver-bidi/"""

    def __init__(self, address: str):
        self.socket = websocket.create_connection(
            address + "/session", timeout=SECONDS, suppress_origin=True
        )
        self.numbers = itertools.count()
        self.events: list[dict[str, Any]] = []
        self.send("session.new", capabilities={})
        events = ["network.beforeRequestSent", "log.entryAdded"]
        self.send("session.subscribe", events=events)
        self.context = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method: str, **parameters: object) -> Any:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                assert message["type"] == "success", message
                return message["result"]
            self.events.append(message)

    def go(self, url: str) -> None:
        self.send("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def call(self, function: str, *arguments: object) -> Any:
        texts = [{"type": "string", "value": json.dumps(argument)} for argument in arguments]
        answer = self.send(
            "script.callFunction",
            functionDeclaration="async (...texts) => JSON.stringify("
            f"await ({function})(...texts.map(text => JSON.parse(text))))",
            arguments=texts,
            target={"context": self.context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def requests(self) -> list[str]:
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "network.beforeRequestSent"
        ]


class WebKit:
    def __init__(self, driver: webdriver.WebKitGTK):
        self.driver = driver
        driver.set_script_timeout(SECONDS)
        driver.set_page_load_timeout(SECONDS)

    def go(self, url: str) -> None:
        self.driver.get(url)

    def call(self, function: str, *arguments: object) -> Any:
        script = (
            f"const done = arguments[arguments.length - 1]; ({function})(...arguments).then(done)"
        )
        return self.driver.execute_async_script(script, *arguments)

    def requests(self) -> list[str]:
        return self.call(
            "async () => performance.getEntriesByType('resource').map(entry => entry.name)"
        )


@contextmanager
def running(command: list[str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A program, which is killed at the end if it doesn't leave when it is asked to."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def firefox(folder: Path, options: Sequence[str] = ()) -> Iterator[Browser]:
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    require(program, "this browser", "firefox-esr")
    command = [program, "--headless", "--no-remote", "--profile", str(folder), *options]
    command += ["--remote-debugging-port", "0", "about:blank"]
    with running(command, stderr=subprocess.PIPE) as process:
        addresses: queue.Queue[str] = queue.Queue()

        def read(errors: IO[str]) -> None:
            """To the end: nobody else empties the pipe."""
            with suppress(ValueError):  # closed when all is over
                for line in errors:
                    if found := re.search(r"BiDi listening on (ws://\S+)", line):
                        addresses.put(found[1])
            addresses.put("")

        threading.Thread(target=read, args=[process.stderr], daemon=True).start()
        address = addresses.get(timeout=SECONDS)
        assert address, "Firefox has ended."
        yield Firefox(address)


@contextmanager
def webkit(folder: Path) -> Iterator[Browser]:
    program = shutil.which("WebKitWebDriver")
    browsers = sorted(Path("/usr/lib").glob("*/webkit2gtk-4*/MiniBrowser"))
    is_there = program and browsers and shutil.which("Xvfb")
    require(is_there, "this browser", "webkit2gtk-driver", "xvfb")
    with display() as name:
        options = Options()
        options.binary_location = str(browsers[-1])
        options.add_argument("--automation")
        surroundings = {
            **os.environ,
            "DISPLAY": name,
            "HOME": str(folder),
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",  # it would not start as root
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
        }
        service = Service(program, env=surroundings)
        driver = webdriver.WebKitGTK(options=options, service=service)
        try:
            yield WebKit(driver)
        finally:
            driver.quit()


@contextmanager
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    with running(command, pass_fds=[write], stderr=subprocess.DEVNULL):
        os.close(write)
        with os.fdopen(read) as number:
            yield ":" + number.readline().strip()


class Visit:
    """A browser that is at the page, from a server that can be stopped."""

    def __init__(self, browser: Browser, url: str, stop: Callable[[], object]):
        self.browser, self.url, self.stop = browser, url, stop

    def open(self) -> None:
        self.browser.go(self.url + "?workers=1")
        state, text = self.until(
            "['ready', 'error'].includes(page.state) && [page.state, text('details') + text('error')]"
        )
        assert state == "ready", text

    def drop(self, name: str, title: str) -> None:
        """Give the page one of FILES, under a title that it has no song of yet."""
        self.browser.call(DROP, self.url + name, title + ".wav")

    def until(self, expression: str) -> Any:
        return self.browser.call(UNTIL.replace("EXPRESSION", expression))

    def separate(self, name: str, title: str) -> dict[str, bytes]:
        """Do the whole job: the files by stem."""
        self.drop(name, title)
        self.until(f"files('{title}').length === 5")
        return self.stems()

    def requests_elsewhere(self) -> list[str]:
        requests = self.browser.requests()
        assert requests
        return [url for url in requests if not url.startswith((self.url, "blob:", "data:"))]

    def stems(self) -> dict[str, bytes]:
        return {name: base64.b64decode(data) for name, data in self.browser.call(STEMS).items()}


@contextmanager
def visit(engine: Callable[[Path], Any], folder: Path) -> Iterator[Visit]:
    site = build_site(folder / "site")
    for name, content in FILES.items():
        (site / name).write_bytes(content)
    profile = folder / "profile"
    profile.mkdir()
    with engine(profile) as browser, ExitStack() as served:
        url = served.enter_context(serving(server(site)))
        visit = Visit(browser, url, served.close)
        visit.open()
        yield visit


@pytest.fixture(scope="module", params=[firefox, webkit], ids=["firefox", "webkit"])
def visited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visit]:
    with visit(request.param, tmp_path_factory.mktemp("engine")) as visited:
        yield visited


@pytest.fixture(scope="module")
def files(visited: Visit) -> dict[str, bytes]:
    """The stems of SONG."""
    return visited.separate("song.wav", "song")


def test_same_stems_and_no_request_elsewhere(visited: Visit, files: dict[str, bytes]) -> None:
    mixture, _ = soundfile.read(io.BytesIO(FILES["song.wav"]), dtype="float32")
    for name, stem in umx.separate(mixture.T, RATE).items():
        found, _ = soundfile.read(io.BytesIO(files["melody" if name == "other" else name]))
        assert snr(found, stem.T) >= 50, name
    assert len(files) == 5
    assert visited.requests_elsewhere() == []
    assert visited.browser.call(LEAVE, "http://127.0.0.1:9/").startswith("connect-src")


def test_the_same_as_flac(visited: Visit) -> None:
    before = visited.separate("short.wav", "short")
    assert visited.browser.call(CHOOSE, "flac") == "flac"
    visited.until("files('short').filter(file => file.download.endsWith('.flac')).length === 5")
    after = visited.stems()
    assert after.keys() == before.keys()
    for stem, content in after.items():
        assert content.startswith(b"fLaC")
        levels, expected = (
            soundfile.read(io.BytesIO(data), dtype="int16")[0] for data in (content, before[stem])
        )
        assert np.array_equal(levels, expected), stem


def test_a_song_as_mp3_looped_removed_and_taken_back(visited: Visit) -> None:
    before = visited.separate("short.wav", "back")
    for selector, begin, end in (
        (".card .lanes .wave", 0.1, 0.7),
        (".card .lanes .edge[data-edge='1']", 0.7, 0.9),
    ):
        assert visited.browser.call(DRAG, selector, begin, end)
        loop = "card('back').querySelector('.lanes').style.getPropertyValue('--loop-end')"
        visited.until(f"Math.abs(parseFloat({loop}) - {100 * end}) < 1")
    assert visited.browser.call(CHOOSE, "mp3") == "mp3"
    visited.until("files('back').filter(file => file.download.endsWith('.mp3')).length === 5")
    compressed = visited.stems()
    whole, _ = soundfile.read(io.BytesIO(before["karaoke"]))
    sound, _ = soundfile.read(io.BytesIO(compressed["karaoke"]))
    # Encoder and decoder together delay it; some decoders skip their own part.
    delayed = [sound[delay : delay + len(whole)] for delay in (576, 1105)]
    assert max(snr(some, whole[: len(some)]) for some in delayed) > 18
    assert visited.browser.call(CLICK, ".card .remove")
    visited.until("!card('back') && !document.getElementById('removed').hidden")
    assert visited.browser.call(CLICK, "#undo")
    visited.until("files('back').length === 5 && document.getElementById('removed').hidden")
    assert visited.stems() == compressed


def test_a_broken_file_is_told_in_words(visited: Visit) -> None:
    visited.drop("broken.wav", "broken")
    words = visited.until("card('broken')?.dataset.state === 'failed' && status('broken')")
    assert words == "“broken.wav” can't be read as audio by this browser: convert it to MP3 or WAV."


@pytest.mark.parametrize("name", in_the_centre())
def test_sound_in_the_centre_is_alike_on_both_sides(visited: Visit, name: str) -> None:
    sounds = visited.separate(name, name)
    left, right = sum(
        soundfile.read(io.BytesIO(sounds[stem]))[0].T for stem in ("vocals", "karaoke")
    )
    assert np.linalg.norm(left) > 0.6 * np.linalg.norm(compose(1)[:, 0])
    assert snr(left, right) > 20


def test_a_long_file_is_begun_piece_by_piece_and_can_be_cancelled(visited: Visit) -> None:
    visited.drop("long.wav", "long")
    visited.until("status('long').includes('%')")
    assert visited.browser.call(CLICK, ".card .cancel")
    visited.until("status('long') === 'Cancelled' && page.state === 'ready'")
    assert len(visited.separate("short.wav", "next")) == 5


def test_again_without_a_server(visited: Visit, files: dict[str, bytes]) -> None:
    visited.until("!document.getElementById('offline').hidden")
    snapshot = visited.browser.call(SNAPSHOT)
    assert snapshot
    kept = visited.until("text('kept')")
    visited.stop()
    visited.open()
    assert visited.until("text('kept')") == kept
    assert visited.browser.call(SNAPSHOT) == snapshot  # what can't be used is made anew
    assert visited.separate("song.wav", "again") == files
    assert visited.requests_elsewhere() == []


def test_a_private_window_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    with visit(partial(firefox, options=["--private-window"]), tmp_path) as visited:
        assert "keeps nothing" in visited.until("text('kept')")
        assert len(visited.separate("short.wav", "short")) == 5
