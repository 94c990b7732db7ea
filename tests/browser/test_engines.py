"""The same stems from Firefox and WebKitGTK as from numpy, and no request that leaves the origin.

Playwright drives browsers of its own making only: Firefox is driven over WebDriver BiDi, WebKitGTK over WebDriver.
"""

import base64
import io
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
import soundfile
import websocket
from build import build
from pages import serving
from selenium import webdriver
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service
from serve import server
from songs import RATE, compose, snr, wav

import umx

SONG = compose(20)
"""Two segments, so that there is a join."""
SECONDS = 240

# Waits for a state of the page, and gives the details of its engine.
REACH = """async (state) => {
  const root = document.documentElement;
  await new Promise(done => {
    const look = () => ["error", state].includes(root.dataset.state) && done();
    new MutationObserver(look).observe(root, { attributes: true });
    look();
  });
  const text = name => document.getElementById(name).textContent;
  return [root.dataset.state, text("details") + text("error") + text("announcer")];
}"""

KEPT = """async () => {
  const note = document.getElementById("offline");
  await new Promise(done => {
    const look = () => note.hidden || done();
    new MutationObserver(look).observe(note, { attributes: true });
    look();
  });
  return true;
}"""

# Keeps the song for when there is no server.
DROP = """async (address) => {
  const cache = await caches.open("a test's");
  if (!await cache.match(address)) await cache.add(address);
  const transfer = new DataTransfer();
  transfer.items.add(new File([await (await cache.match(address)).blob()], "song.wav"));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
  return true;
}"""

STEMS = """async () => {
  const found = {};
  for (const link of [...document.querySelectorAll(".card")].at(-1).querySelectorAll("a[download]")) {
    const reader = new FileReader();
    const blob = await (await fetch(link.href)).blob();
    await new Promise(done => { reader.onload = done; reader.readAsDataURL(blob); });
    found[link.dataset.stem] = reader.result.split(",")[1];
  }
  return found;
}"""


# Whether the page says that it keeps songs, and how many it has.
SONGS = """async () => {
  const note = document.getElementById("kept");
  await new Promise(done => {
    const look = () => note.textContent && done();
    new MutationObserver(look).observe(note, { childList: true });
    look();
  });
  return [!note.textContent.includes("keeps nothing"), document.querySelectorAll(".card").length];
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
def firefox(folder: Path) -> Iterator[Browser]:
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if not program:
        pytest.skip("There is no Firefox here.")
    command = [program, "--headless", "--no-remote", "--profile", str(folder)]
    command += ["--remote-debugging-port", "0", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            found = (re.search(r"BiDi listening on (ws://\S+)", line) for line in process.stderr)
            yield Firefox(next(match for match in found if match)[1])
        finally:
            process.terminate()


@contextmanager
def webkit(folder: Path) -> Iterator[Browser]:
    program = shutil.which("WebKitWebDriver")
    browsers = sorted(Path("/usr/lib").glob("*/webkit2gtk-4*/MiniBrowser"))
    if not program or not browsers or not shutil.which("Xvfb"):
        pytest.skip("There is no WebKitGTK driver here, or no Xvfb.")
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
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as process:
        os.close(write)
        try:
            with os.fdopen(read) as number:
                yield ":" + number.readline().strip()
        finally:
            process.terminate()


def separate(browser: Browser, url: str) -> dict[str, bytes]:
    """Open the page and do the whole job: the files by stem."""
    browser.go(url + "?workers=2")
    state, text = browser.call(REACH, "ready")
    assert state == "ready", text
    browser.call(DROP, url + "song.wav")
    assert browser.call(REACH, "done")[0] == "done"
    requests = browser.requests()
    assert requests
    assert all(address.startswith((url, "blob:", "data:")) for address in requests)
    return {name: base64.b64decode(data) for name, data in browser.call(STEMS).items()}


@pytest.mark.parametrize("engine", [firefox, webkit], ids=["firefox", "webkit"])
def test_same_stems_in_other_browsers(engine: Any, tmp_path: Path) -> None:
    """And again without a server; nothing is asked of another, nor could it be."""
    site = build(tmp_path / "site")
    (site / "song.wav").write_bytes(wav(SONG))
    profile = tmp_path / "profile"
    profile.mkdir()
    with engine(profile) as browser:
        with serving(server(site)) as url:
            files = separate(browser, url)
            assert browser.call(KEPT)
            assert browser.call(LEAVE, "http://127.0.0.1:9/").startswith("connect-src")
        assert separate(browser, url) == files
        keeps, count = browser.call(SONGS)
        assert count == (2 if keeps else 1)
    mixture, _ = soundfile.read(io.BytesIO(wav(SONG)), dtype="float32")
    for name, stem in umx.separate(mixture.T, RATE).items():
        found, _ = soundfile.read(io.BytesIO(files["melody" if name == "other" else name]))
        assert snr(found, stem.T) >= 50, name
    assert len(files) == 5
