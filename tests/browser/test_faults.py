"""Faults on the way: workers that die, hang or find no memory; a network that goes; files that were damaged."""

import gzip
import itertools
from collections.abc import Callable
from functools import partial

import pytest
from build import ROOT
from pages import stems
from playwright.sync_api import Page, Route, expect
from songs import PATIENCE, card, compose, drop, expect_state, wav

SONG = ("song.wav", wav(compose(40)))
"""Four segments, two a worker."""
WORKER = (ROOT / "app" / "worker.py").read_text()

DIE = """
from pyodide.code import run_js


class Killed(BaseException):
    pass


def act():
    run_js("setTimeout(() => { throw new Error('killed by a test') })")
    raise Killed
"""

HANG = """
def act():
    while True:
        pass
"""

FIND_NO_MEMORY = """
def act():
    raise MemoryError
"""

# Replaces a function of the worker by one that acts before it works.
ACT_IN = """
before_{name} = {name}


def {name}(*arguments, **named):
    act()
    return before_{name}(*arguments, **named)


REQUESTS["{name}"] = {name}
"""

# The second piece comes from the middle of a batch.
ACT_AT_SECOND_PIECE = """
before_post_piece, pieces = post_piece, []


def post_piece(*arguments, **named):
    pieces.append(1)
    if len(pieces) == 2:
        act()
    return before_post_piece(*arguments, **named)
"""


def sabotage(page: Page, addition: str, count: float) -> None:
    """Have the first `count` workers that the page makes be the usual one with an addition."""
    numbers = itertools.count()

    def fulfill(route: Route) -> None:
        route.fulfill(body=WORKER + (addition if next(numbers) < count else ""))

    page.route("**/app/worker.py", fulfill)


@pytest.fixture
def visit(visit: Callable) -> Callable:
    """As everywhere, but without the service worker, whose answers no route of a test sees."""
    return partial(visit, service_workers="block")


@pytest.fixture(scope="module")
def undisturbed(shared: tuple[Page, list[str]]) -> dict:
    page, _ = shared
    drop(page, SONG)
    return stems(card(page, "song"))


@pytest.mark.parametrize(
    ("addition", "count"),
    [
        (DIE + ACT_IN.format(name="load"), 1),
        (DIE + ACT_IN.format(name="plan"), 2),
        (DIE + ACT_IN.format(name="separate"), 2),
        (DIE + ACT_AT_SECOND_PIECE, 1),
        (DIE + ACT_IN.format(name="join"), 2),
    ],
    ids=["load", "plan", "separate", "piece", "join"],
)
def test_workers_that_die_are_replaced(
    addition: str, count: int, undisturbed: dict, visit: Callable
) -> None:
    page, complaints = visit("?workers=2", lambda page: sabotage(page, addition, count))
    expect_state(page, "ready")
    drop(page, SONG)
    assert stems(card(page, "song")) == undisturbed
    assert any("killed by a test" in complaint for complaint in complaints)
    complaints.clear()


def test_workers_that_die_again_and_again_are_given_up(visit: Callable) -> None:
    addition = DIE + ACT_IN.format(name="separate")
    page, complaints = visit("?workers=1", lambda page: sabotage(page, addition, 3))
    expect_state(page, "ready")
    drop(page, SONG)
    song = card(page, "song")
    expect(song.locator(".status")).to_have_text(
        "A worker stopped: Uncaught Error: killed by a test", timeout=PATIENCE
    )
    complaints.clear()
    song.locator(".retry").click()
    expect(song.locator("a[download]")).to_have_count(5, timeout=PATIENCE)


def test_worker_that_hangs_is_replaced(undisturbed: dict, visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.clock.install()
        sabotage(page, HANG + ACT_IN.format(name="separate"), 1)

    page, _ = visit("?workers=2", prepare)
    expect_state(page, "ready")
    drop(page, SONG)
    expect(card(page, "song").locator(".status")).to_contain_text("%", timeout=PATIENCE)
    page.clock.run_for("16:00")
    assert stems(card(page, "song")) == undisturbed


@pytest.mark.parametrize(
    "addition",
    [
        # for one worker too many
        FIND_NO_MEMORY + ACT_IN.format(name="separate"),
        # for several segments in lockstep
        """
before_only = Separator.process


def process_few(self, mixture, progress=None):
    if len(mixture) > 1:
        raise MemoryError
    yield from before_only(self, mixture, progress)


Separator.process = process_few
""",
    ],
    ids=["worker", "segments"],
)
def test_less_memory_than_hoped_for(addition: str, undisturbed: dict, visit: Callable) -> None:
    page, _ = visit("?workers=2", lambda page: sabotage(page, addition, 1))
    expect_state(page, "ready")
    drop(page, SONG)
    assert stems(card(page, "song")) == undisturbed


def test_no_memory_at_all_is_said(visit: Callable) -> None:
    addition = FIND_NO_MEMORY + ACT_IN.format(name="separate")
    page, _ = visit("?workers=2", lambda page: sabotage(page, addition, float("inf")))
    expect_state(page, "ready")
    drop(page, SONG)
    expect(card(page, "song").locator(".status")).to_contain_text(
        "not enough memory", timeout=PATIENCE
    )


def test_tab_that_is_frozen_goes_on_later(undisturbed: dict, visit: Callable) -> None:
    page, _ = visit("?workers=2")
    expect_state(page, "ready")
    drop(page, SONG)
    expect(card(page, "song").locator(".status")).to_contain_text("%", timeout=PATIENCE)
    session = page.context.new_cdp_session(page)
    for state in ("frozen", "active"):
        session.send("Page.setWebLifecycleState", {"state": state})
    assert stems(card(page, "song")) == undisturbed


# What comes over the network

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


def answer_wrongly(page: Page, body: bytes, count: float) -> None:
    """Give another file for the vocals' weights, the first `count` times."""
    numbers = itertools.count()

    def fulfill(route: Route) -> None:
        if next(numbers) < count:
            route.fulfill(body=body)
        else:
            route.fallback()

    page.route("**/vocals.safetensors.gz", fulfill)


def test_damaged_weights_are_fetched_again(visit: Callable) -> None:
    page, _ = visit(prepare=lambda page: answer_wrongly(page, WRONG["truncated"], 1))
    expect_state(page, "ready")
    drop(page, ("short.wav", wav(compose(2))))
    expect_state(page, "done")


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_weights_that_stay_damaged_are_told_of(body: bytes, visit: Callable) -> None:
    page, _ = visit(prepare=lambda page: answer_wrongly(page, body, 2))
    expect_state(page, "error")
    expect(page.locator("#error")).to_contain_text("vocals.safetensors.gz")
    page.get_by_role("button", name="Try again").click()
    expect_state(page, "ready")
    expect(page.locator("#error")).to_be_hidden()


@pytest.mark.parametrize(
    "path",
    [
        "weights/umx-mini/manifest.json",
        "weights/umx-mini/vocals.safetensors.gz",
        "app/worker.py",
        "app/device.py",
        "app/opfs.py",
        "app/unpacking.py",
        "app/vendor/umx/umx-0.1.0-py3-none-any.whl",
        "app/vendor/pyodide/pyodide.mjs",
        "app/vendor/pyodide/pyodide.asm.js",
        "app/vendor/pyodide/pyodide.asm.wasm",
        "app/vendor/pyodide/python_stdlib.zip",
        "app/vendor/pyodide/numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl",
    ],
)
def test_network_that_goes_on_the_way(path: str, visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.route(f"**/{path}", lambda route: route.abort())

    page, complaints = visit("?workers=1", prepare)
    expect_state(page, "error")
    expect(page.locator("#error")).to_contain_text("The engine could not start")
    complaints.clear()
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect_state(page, "ready")
    expect(page.locator("#error")).to_be_hidden()
