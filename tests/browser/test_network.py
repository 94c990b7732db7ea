"""A network that goes on the way, or brings something else: the page says so, and goes on when it is back."""

import gzip
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asking import asking, load
from pages import ENGINE, let_through, serving
from playwright.sync_api import Browser, Page, Route, expect
from songs import PATIENCE, compose, drop, expect_state, wav

from scripts.common.environment import ROOT
from scripts.serve import server
from umx.version import WHEEL

VOCALS = (ROOT / "weights" / "umx-mini" / "vocals.safetensors.gz").read_bytes()
DRUMS = (ROOT / "weights" / "umx-mini" / "drums.safetensors.gz").read_bytes()
WRONG = {
    "truncated": VOCALS[:-1000],
    "one bit": VOCALS[:5000] + bytes([VOCALS[5000] ^ 1]) + VOCALS[5001:],
    "another target's": DRUMS,
    "an error page": b"<!doctype html><title>Sorry</title>",
    "unpacked and damaged": gzip.decompress(VOCALS)[:-4] + b"abcd",
    "empty": b"",
}


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


def answer_wrongly(page: Page, body: bytes, count: float) -> None:
    """Give another file for the vocals' weights, the first `count` times."""
    numbers = itertools.count()

    def fulfill(route: Route) -> None:
        if next(numbers) < count:
            route.fulfill(body=body)
        else:
            route.fallback()

    page.route("**/vocals.safetensors.gz", fulfill)


def try_again(page: Page) -> None:
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("html")).not_to_have_attribute("data-state", "error")


@pytest.mark.engine
def test_damaged_weights_are_fetched_again(visit: Callable) -> None:
    page, _ = visit(prepare=lambda page: answer_wrongly(page, WRONG["truncated"], 1))
    expect_state(page, "ready")
    drop(page, ("short.wav", wav(compose(2))))
    expect_state(page, "done")


@pytest.mark.engine
def test_weights_that_stay_damaged_are_told_of(visit: Callable) -> None:
    page, _ = visit(prepare=lambda page: answer_wrongly(page, WRONG["one bit"], 2))
    expect_state(page, "error")
    expect(page.locator("#error")).to_contain_text("vocals.safetensors.gz")
    try_again(page)
    expect_state(page, "ready")
    expect(page.locator("#error")).to_be_hidden()


@pytest.fixture(
    scope="module",
    params=["LARGEST = 32 << 20", "LARGEST = 0"],
    ids=["by the browser", "by Python"],
)
def engine(
    request: pytest.FixtureRequest,
    browser: Browser,
    built: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Page]:
    """A page with a worker to ask, which has files hashed by the browser, or as if they were too large for that."""
    site = shutil.copytree(built, tmp_path_factory.mktemp("hashing") / "site")
    path = site / "app" / "worker" / "unpacking.py"
    code = path.read_text().replace("LARGEST = 32 << 20", request.param)
    assert request.param in code
    path.write_text(code)
    with serving(server(site)) as url, asking(browser, url) as page:
        yield page


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_whatever_comes_in_place_of_weights_is_refused(body: bytes, engine: Page) -> None:
    """And the same worker loads them when they come."""
    answer_wrongly(engine, body, 2)
    refusal, success = load(engine)[-1], load(engine)[-1]
    let_through(engine, "**/vocals.safetensors.gz")
    assert refusal["kind"] == "error"
    assert "vocals.safetensors.gz" in refusal["message"]
    assert refusal["code"].startswith("weights.")
    assert success["kind"] == "answer"


@pytest.mark.parametrize(
    "path",
    [
        "app/vendor/pyscript/core.js",
        "app/vendor/pyscript/core-*.js",
        "app/vendor/micropython/micropython.mjs",
        "app/vendor/micropython/micropython.wasm",
        "app/vendor/client-zip/index.js",
        "app/start/page.json",
        "app/start/main.py",
        "app/page/songs/queue.py",
    ],
)
@pytest.mark.parametrize("how", ["gone", "not there"])
def test_page_that_cannot_start_says_so(path: str, how: str, visit: Callable) -> None:
    def answer(route: Route) -> None:
        if how == "gone":
            route.abort()
        else:
            route.fulfill(status=404)

    def prepare(page: Page) -> None:
        page.route(ENGINE, lambda route: None)  # nothing needs the engine
        page.route(f"**/{path}", answer)

    page, complaints = visit("", prepare)
    expect(page.locator("#no-start")).to_be_visible(timeout=PATIENCE)
    complaints.clear()
    let_through(page, f"**/{path}")
    page.reload()
    expect(page.locator("#demo")).to_be_enabled(timeout=PATIENCE)
    expect(page.locator("#no-start")).to_be_hidden()


def test_a_demo_song_that_can_not_be_fetched_may_be_another_time(visit: Callable) -> None:
    page, complaints = visit(
        "?workers=1",
        lambda page: page.route("**/demo.mp3", lambda route: route.fulfill(status=404)),
    )
    expect_state(page, "ready")
    page.get_by_role("button", name="Try a demo song").click()
    song = page.locator(".card")
    expect(song.locator(".status")).to_have_text(
        "Demo song can't be fetched: the server answered 404.", timeout=PATIENCE
    )
    complaints.clear()
    let_through(page, "**/demo.mp3")
    song.get_by_role("button", name="Retry Demo song").click()
    expect(song.locator(".title")).to_have_text("Hydrogen (excerpt)", timeout=PATIENCE)
    song.locator(".cancel").click()


SILENT = (
    "app/vendor/pyodide/pyodide.asm.wasm",
    "app/vendor/pyodide/python_stdlib.zip",
    "app/worker/worker.py",
)
"""What is waited for without a word, until the page looks for the reason."""
FETCHED = (
    "app/shims/interpreter.mjs",
    "app/offline/snapshot.mjs",
    "app/vendor/pyodide/pyodide.mjs",
    "app/vendor/pyodide/pyodide-lock.json",
    "app/vendor/pyodide/pyodide.asm.js",
    "app/vendor/pyodide/pyodide.asm.wasm",
    "app/vendor/pyodide/python_stdlib.zip",
    "app/worker/worker.py",
    "app/shared/facts.py",
    "app/worker/converting.py",
    "app/worker/fetching.py",
    "app/worker/storage.py",
    "app/worker/unpacking.py",
    f"app/vendor/umx/{WHEEL}",
    "app/vendor/pyodide/numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl",
    "weights/umx-mini/manifest.json",
    "weights/umx-mini/vocals.safetensors.gz",
)
"""What the engine needs."""


@pytest.mark.engine
def test_network_that_goes_on_the_way(visit: Callable) -> None:
    """At any file, and is back at the next try, but for another file."""
    missing = list(FETCHED)
    found = set()

    def answer(route: Route) -> None:
        if missing and route.request.url.endswith(missing[0]):
            route.abort()
            found.add(missing[0])
        else:
            route.fallback()

    def prepare(page: Page) -> None:
        page.clock.install()
        page.route("**/*", answer)

    page, complaints = visit("?workers=1", prepare)
    while missing:
        if missing[0] in SILENT:
            page.clock.fast_forward("00:20")
        expect_state(page, "error")
        expect(page.locator("#error")).to_contain_text("The engine could not start")
        del missing[0]
        try_again(page)
    expect_state(page, "ready")
    expect(page.locator("#error")).to_be_hidden()
    assert found == set(FETCHED)
    complaints.clear()


def test_songs_are_separated_without_the_media_library_too(visit: Callable) -> None:
    """It reads their tags alone, where they are short."""

    def prepare(page: Page) -> None:
        page.route("**/mediabunny.min.mjs", lambda route: route.abort())

    page, complaints = visit("?workers=1", prepare)
    expect_state(page, "ready")
    drop(page, ("short.wav", wav(compose(2))))
    expect_state(page, "done")
    complaints.clear()  # the browser's own
    let_through(page, "**/mediabunny.min.mjs")
    drop(page, ("again.wav", wav(compose(2))))
    expect(page.locator(".card[data-state=done]")).to_have_count(2, timeout=PATIENCE)
