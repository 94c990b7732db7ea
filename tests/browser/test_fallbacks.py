"""Browsers that lack something, or refuse it: the page works all the same, slower if need be, and says so."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import watched
from pages import ENGINE, let_through, stems
from playwright.sync_api import BrowserContext, BrowserType, Page, expect
from songs import DROP_ENTRY, PATIENCE, RATE, Sound, card, compose, drop, expect_state, snr, wav

import umx
from scripts.common.environment import ROOT

SONG = wav(compose(20))
"""Two segments, so that there is a join."""
SHORT = wav(compose(3))
"""For engines that are slow."""

# Has each worker that the page makes run some lines before its own.
IN_WORKERS = """(() => {
  const Native = Worker;
  window.Worker = class extends Native {
    constructor(url, options) {
      const request = new XMLHttpRequest();
      request.open("GET", url, false);
      request.send();
      const script = new Blob([%s, request.responseText], { type: "text/javascript" });
      super(URL.createObjectURL(script), options);
    }
  };
})();"""

REFUSE = 'const refuse = () => { throw new DOMException("refused by a test", "SecurityError"); };'
REFUSE_STORAGE = (
    REFUSE
    + """
for (const name of ["caches", "indexedDB", "localStorage", "sessionStorage"]) {
  if (name in self) Object.defineProperty(self, name, { get: refuse, configurable: true });
}
StorageManager.prototype.getDirectory = async () => refuse();
if (self.ServiceWorkerContainer) ServiceWorkerContainer.prototype.register = async () => refuse();
"""
)
KEEP_SILENT = """
const never = () => new Promise(() => {});
StorageManager.prototype.getDirectory = never;
for (const name of ["open", "match", "keys", "has"]) CacheStorage.prototype[name] = never;
IDBFactory.prototype.open = () => new EventTarget();
if (self.ServiceWorkerContainer) ServiceWorkerContainer.prototype.getRegistration = never;
"""
LACKING = {
    "DecompressionStream": "delete self.DecompressionStream;",
    "hashes": "delete Crypto.prototype.subtle;",
    "private files": "delete StorageManager.prototype.getDirectory;",
    "storage": REFUSE_STORAGE,
    "an answer from storage": KEEP_SILENT,
    "service workers": "delete self.Navigator?.prototype.serviceWorker;",
}


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


def without(page: Page, lines: str) -> None:
    """Have some lines run before those of the page and of its workers."""
    lines = f"{{ {lines} }};\n"
    page.add_init_script(lines + IN_WORKERS % json.dumps(lines))


@cache
def separated(song: bytes) -> dict[str, Sound]:
    """What numpy makes of it."""
    mixture, _ = soundfile.read(io.BytesIO(song), dtype="float32")
    return umx.separate(mixture.T, RATE)


def check(found: dict[str, bytes], song: bytes) -> None:
    """The stems are those that numpy makes."""
    for name, stem in separated(song).items():
        samples, _ = soundfile.read(
            io.BytesIO(found["melody" if name == "other" else name]), dtype="float32"
        )
        assert snr(samples, stem.T) >= 50, name
    assert len(found) == 5


@pytest.mark.engine
@pytest.mark.parametrize("lines", LACKING.values(), ids=LACKING)
def test_works_without(lines: str, visit: Callable) -> None:
    page, complaints = visit("?workers=1", lambda page: without(page, lines))
    expect_state(page, "ready")
    expect(page.locator("#details")).to_contain_text("Engine: WebAssembly SIMD kernel")
    if "getDirectory" in lines:
        expect(page.locator("#kept")).to_contain_text("This browser keeps nothing")
    drop(page, ("song.wav", SONG))
    check(stems(card(page, "song")), SONG)
    # PyScript complains of the database that it may not open.
    if lines == REFUSE_STORAGE:
        complaints[:] = [text for text in complaints if text.startswith("a request")]


@pytest.fixture
def context_of(
    browser_type: BrowserType,
    browser_type_launch_args: dict[str, Any],
    real: str,
    tmp_path: Path,
) -> Callable[..., Any]:
    """A browser of its own, with more arguments or other preferences, and its one context."""

    @contextmanager
    def context_of(
        *arguments: str, preferences: dict[str, Any] | None = None, **options: Any
    ) -> Iterator[tuple[BrowserContext, list[str]]]:
        (tmp_path / "Default").mkdir()
        (tmp_path / "Default" / "Preferences").write_text(json.dumps(preferences or {}))
        launch = browser_type_launch_args | {
            "args": [*browser_type_launch_args["args"], *arguments]
        }
        context = browser_type.launch_persistent_context(tmp_path, **launch, **options)
        try:
            with watched(context, real) as complaints:
                yield context, complaints
        finally:
            context.close()

    return context_of


def test_storage_that_the_visitor_forbids(context_of: Callable[..., Any], real: str) -> None:
    content = {"default_content_setting_values": {"cookies": 2}}
    with context_of(preferences={"profile": content}) as (context, complaints):
        page = context.new_page()
        page.goto(real + "?workers=1")
        expect_state(page, "ready")
        refused = page.evaluate(
            "() => { try { return String(localStorage); } catch (error) { return error.name; } }"
        )
        assert refused == "SecurityError"
        drop(page, ("song.wav", SHORT))
        check(stems(card(page, "song")), SHORT)
        expect(page.locator("#offline")).to_be_hidden()
        # PyScript complains of the database that it may not open.
        complaints[:] = [text for text in complaints if text.startswith("a request")]


WITHOUT_SIMD = "--js-flags=--no-enable-sse4-1"
NO_OPENBLAS = """
from umx.kernels import blas


def refuse(self):
    raise OSError


blas.OpenBlas.__init__ = refuse
"""


def test_openblas_without_simd(context_of: Callable[..., Any], real: str) -> None:
    with context_of(WITHOUT_SIMD, service_workers="block") as (context, _):
        page = context.new_page()
        page.goto(real + "?workers=1")
        expect_state(page, "ready")
        expect(page.locator("#details")).to_contain_text(
            "Engine: OpenBLAS (slower: this browser's SIMD can't be used)"
        )
        drop(page, ("song.wav", SONG))
        check(stems(card(page, "song")), SONG)


def test_numpy_without_simd_and_openblas(context_of: Callable[..., Any], real: str) -> None:
    worker = (ROOT / "app" / "worker" / "worker.py").read_text() + NO_OPENBLAS
    with context_of(WITHOUT_SIMD, service_workers="block") as (context, _):
        context.route("**/app/worker/worker.py", lambda route: route.fulfill(body=worker))
        page = context.new_page()
        page.goto(real + "?workers=1")
        expect_state(page, "ready")
        expect(page.locator("#details")).to_contain_text(
            "Engine: plain numpy (very slow: neither SIMD nor OpenBLAS can be used here)"
        )
        drop(page, ("song.wav", SHORT))
        check(stems(card(page, "song")), SHORT)


def test_openblas_that_is_not_there_is_told_of(context_of: Callable[..., Any], real: str) -> None:
    """As when the network goes: plain numpy would take hours where a second try takes seconds."""
    with context_of(WITHOUT_SIMD, service_workers="block") as (context, complaints):
        context.route("**/openblas-*.zip", lambda route: route.fulfill(status=404))
        page = context.new_page()
        page.goto(real + "?workers=1")
        expect_state(page, "error")
        expect(page.locator("#error")).to_contain_text("OpenBLAS can't be fetched")
        complaints.clear()
        let_through(context, "**/openblas-*.zip")
        page.get_by_role("button", name="Try again").click()
        expect_state(page, "ready")


def test_memory_that_really_ends(context_of: Callable[..., Any], real: str) -> None:
    """A worker gets 94 MB, enough for a segment that is short."""
    limit = "--js-flags=--wasm-max-mem-pages=1500"
    with context_of(limit, service_workers="block") as (context, _):
        page = context.new_page()
        page.goto(real + "?workers=1")
        expect_state(page, "ready")
        drop(page, ("long.wav", SONG), ("short.wav", wav(compose(1))))
        expect(card(page, "long").locator(".status")).to_contain_text(
            "There is not enough memory.", timeout=PATIENCE
        )
        assert len(stems(card(page, "short"))) == 5


MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) "
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) "
CHROMIUM = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 "
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) "
AGENTS = {
    MAC + WEBKIT + "Version/18.5 Safari/605.1.15": True,  # of an iPad, too
    MAC + WEBKIT + "CriOS/143 Version/11.1.1 Safari/605.1.15": True,
    "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) " + WEBKIT + "Mobile/15E148": True,
    IPHONE + WEBKIT + "FxiOS/143.0 Mobile/15E148 Safari/605.1.15": True,
    "Mozilla/5.0 (X11; Linux x86_64) " + WEBKIT + "Version/18.0 Safari/605.1.15": True,
    MAC + CHROMIUM + "Safari/537.36": False,
    MAC + CHROMIUM + "Safari/537.36 Edg/143.0.0.0": False,
    "Mozilla/5.0 (Linux; Android 10; K) " + CHROMIUM + "Mobile Safari/537.36": False,
    "Mozilla/5.0 (X11; Linux x86_64) " + CHROMIUM.replace("Chrome", "HeadlessChrome"): False,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:143.0) Gecko/20100101 Firefox/143.0": False,
}
"""What browsers call themselves, and whether they are WebKit."""
PRETEND = """for (const Kind of [self.Navigator, self.WorkerNavigator]) {
  if (!Kind) continue;
  Object.defineProperty(Kind.prototype, "userAgent", { get: () => AGENT });
  Object.defineProperty(Kind.prototype, "platform", { get: () => "MacIntel" });
}"""
SHOW_PROBE = """
js.probed = bool(pyodide_js._module._PyEM_CountArgsPtr)
"""
"""What Pyodide calls through where its probe was made, and has worked."""


@pytest.mark.engine
@pytest.mark.parametrize("agent", [next(iter(AGENTS)), list(AGENTS)[5]], ids=["iPad", "Chromium"])
def test_webkit_is_spared_the_probe_that_crashes_ipads(agent: str, visit: Callable) -> None:
    def prepare(page: Page) -> None:
        without(page, PRETEND.replace("AGENT", json.dumps(agent)))
        worker = (ROOT / "app" / "worker" / "worker.py").read_text() + SHOW_PROBE
        page.route("**/app/worker/worker.py", lambda route: route.fulfill(body=worker))

    page, _ = visit("?workers=1", prepare)
    expect_state(page, "ready")
    assert page.workers[0].evaluate("[probed, navigator.userAgent]") == [not AGENTS[agent], agent]
    drop(page, ("song.wav", SHORT))
    check(stems(card(page, "song")), SHORT)


def test_every_webkit_is_known(visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.route(ENGINE, lambda route: None)

    page, _ = visit("?workers=1", prepare)
    for number, (agent, is_webkit) in enumerate(AGENTS.items()):
        page.evaluate(
            f"Object.defineProperty(navigator, 'userAgent', {{ value: {agent!r}, configurable: true }})"
        )
        found = page.evaluate(
            f"import(new URL('app/shims/gc_probe.mjs?{number}', document.baseURI))"
        )
        assert found["isSkipped"] == is_webkit, agent
        platform = page.evaluate("navigator.platform")
        assert (platform == "iPad") == is_webkit, agent
        page.evaluate("delete navigator.platform")


@pytest.mark.parametrize(
    ("cores", "gigabytes", "workers"),
    [
        ("8", "8", 8),
        ("8", "2", 2),
        ("8", "0.5", 1),
        ("8", None, 4),
        (None, "8", 2),
        (None, None, 2),
        ("64", "64", 8),
    ],
)
def test_workers_for_a_device(
    cores: str | None, gigabytes: str | None, workers: int, visit: Callable
) -> None:
    """As many as there are cores, but only as have room in memory; both may be unknown."""

    def prepare(page: Page) -> None:
        for name, value in (("hardwareConcurrency", cores), ("deviceMemory", gigabytes)):
            page.add_init_script(
                f"Object.defineProperty(navigator, '{name}', {{ value: {value} }});"
                if value
                else f"delete Navigator.prototype.{name};"
            )
        page.route(ENGINE, lambda route: None)  # it is enough to see the number

    page, _ = visit("", prepare)
    expect(page.locator("#workers")).to_have_value(str(workers), timeout=PATIENCE)


@pytest.mark.engine
def test_as_many_workers_as_are_wanted(visit: Callable) -> None:
    """From the next song on, if one is at work, and at the next visit too."""
    page, _ = visit("")
    expect_state(page, "ready")
    page.locator("footer summary", has_text="Technical").click()
    number = page.locator("#workers")
    number.fill("2")
    number.press("Enter")
    drop(page, ("long.wav", wav(np.tile(compose(20), (3, 1)))))
    expect(page.locator(".status")).to_contain_text("%", timeout=PATIENCE)
    number.fill("1")
    number.press("Enter")
    assert len(page.workers) == 2
    drop(page, ("short.wav", SHORT))
    expect(page.locator(".card[data-state=done]")).to_have_count(2, timeout=PATIENCE)
    assert len(page.workers) == 1
    page.reload()
    expect(number).to_have_value("1", timeout=PATIENCE)


def test_bug_report_from_a_device_that_tells_nothing(visit: Callable) -> None:
    lines = "delete Navigator.prototype.hardwareConcurrency;"
    page, _ = visit(
        "?workers=1",
        lambda page: page.add_init_script(lines),
        permissions=["clipboard-read", "clipboard-write"],
    )
    expect_state(page, "ready")
    page.locator("summary", has_text="Settings").click()
    page.locator("#report").click()
    expect(page.locator("#reported")).to_have_text("Copied.")
    assert "Cores: unknown" in page.evaluate("navigator.clipboard.readText()")


def test_folder_without_songs(page: Page) -> None:
    """But one without a type, by its name, may be one."""
    page.evaluate(DROP_ENTRY)
    page.evaluate(
        """() => {
          window.folderOf = (...names) => {
            const entries = names.map(name => (
              { name, isFile: true, file: done => done(new File(["no sound"], name)) }));
            const readEntries = done => done(entries.splice(0));
            return { name: "album", isDirectory: true, createReader: () => ({ readEntries }) };
          };
          dropEntry(folderOf("cover.nfo", ".DS_Store"));
        }"""
    )
    expect(page.locator("#error")).to_have_text("No songs are in what was dropped.")
    page.evaluate("dropEntry(folderOf('song.OPUS', 'cover.nfo'))")
    expect(card(page, "song")).to_have_attribute("data-state", "failed", timeout=PATIENCE)
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator(".card")).to_have_count(1)


def test_folder_that_cannot_be_read(page: Page) -> None:
    page.evaluate(DROP_ENTRY)
    page.evaluate(
        """() => {
          const readEntries = (done, failed) => failed(new DOMException("gone", "NotFoundError"));
          const folder = { name: "album", isDirectory: true, createReader: () => ({ readEntries }) };
          dropEntry(folder);
        }"""
    )
    expect(page.locator("#error")).to_have_text(
        "What was dropped can't be read: NotFoundError: gone"
    )
