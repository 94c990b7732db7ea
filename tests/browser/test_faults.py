"""Faults on the way: workers that die, hang or find no memory; a tab that sleeps; a page that was left."""

import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pages import ENGINE, STAND_IN, UNLISTED, Hold, at_work, stems
from playwright.sync_api import Page, Route, Worker, expect
from songs import PATIENCE, card, compose, drop, expect_state, wav

from scripts.bench import engines
from scripts.common.environment import ROOT

TRIES = 3
"""How often the page has a request made."""
SONG = ("song.wav", wav(compose(40)))
"""Four segments, two a worker."""
LONG = wav(np.tile(compose(20), (3, 1)))
WORKER = (
    (ROOT / "app" / "worker" / "worker.py")
    .read_text()
    .replace("MEASURES = 10_000", "MEASURES = 10")
)

DIE = """
from pyodide.code import run_js


class Killed(BaseException):
    pass


def act(stage):
    run_js(f"setTimeout(() => {{ throw new Error('killed by a test in {stage}') }})")
    raise Killed
"""

HANG = """
def act(stage):
    js.BroadcastChannel.new("hangs").postMessage(stage)
    while True:
        pass
"""

# The same of the stand-in.
DIE_TOO = """
const act = (stage) => {
  setTimeout(() => { throw new Error(`killed by a test in ${stage}`); });
  return new Promise(() => {});
};
"""
HANG_TOO = """
const act = (stage) => {
  new BroadcastChannel("hangs").postMessage(stage);
  for (;;);
};
"""
FAIL_TOO = """
const act = (stage) => { throw new Error("broken by a test in " + stage); };
"""
ACT_TOO = """
const actInTurn = (stage) => {
  const request = new XMLHttpRequest();
  request.open("GET", "turns/" + stage, false);
  request.send();
  return request.responseText === "now" && act(stage);
};
const postPieceOnly = postPiece;
let pieces = 0;
postPiece = async (...given) => {
  if (++pieces === 2 && STAGES.includes("piece")) await actInTurn("piece");
  return postPieceOnly(...given);
};
for (const stage of STAGES.filter((name) => name in REQUESTS)) {
  const before = REQUESTS[stage];
  REQUESTS[stage] = async (content) => {
    await actInTurn(stage);
    return before(content);
  };
}
"""

SHOW_WHAT_HANGS = """new BroadcastChannel("hangs").onmessage = event => {
  document.documentElement.dataset.hangs = event.data;
};"""

COUNT_ANSWERS = """let answers = 0;
globalThis.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => {
      if (data?.kind === "answer") document.documentElement.dataset.answers = ++answers;
    });
  }
};"""

FIND_NO_MEMORY = """
def act(stage):
    raise MemoryError
"""

ASK = """
def act_in_turn(stage):
    request = js.XMLHttpRequest.new()
    request.open("GET", "{turns}" + stage, False)
    request.send()
    if request.responseText == "now":
        act(stage)
"""

# Replaces a function of the worker by one that acts, if it is to, before it works.
ACT_IN = """
before_{name} = {name}


def {name}(*arguments, **named):
    act_in_turn("{name}")
    return before_{name}(*arguments, **named)


REQUESTS["{name}"] = {name}
"""

# The second piece comes from the middle of a batch.
ACT_AT_SECOND_PIECE = """
before_post_piece, pieces = post_piece, []


def post_piece(*arguments, **named):
    pieces.append(1)
    if len(pieces) == 2:
        act_in_turn("piece")
    return before_post_piece(*arguments, **named)
"""

STAGES = {
    "load": ACT_IN.format(name="load"),
    "measure": ACT_IN.format(name="measure"),
    "separate": ACT_IN.format(name="separate"),
    "piece": ACT_AT_SECOND_PIECE,
    "join": ACT_IN.format(name="join"),
    "write": ACT_IN.format(name="write"),
    "mix": ACT_IN.format(name="mix"),
}


def sabotage(page: Page, action: str, *stages: str, times: int = 1) -> None:
    """Have what the page asks of its workers go wrong at some stages, the first so many times each."""

    def fulfill(route: Route) -> None:
        ask = ASK.format(turns=route.request.url.replace("worker.py", "turns/"))
        route.fulfill(body="".join([WORKER, action, ask, *[STAGES[stage] for stage in stages]]))

    page.route("**/app/worker/worker.py", fulfill)
    take_turns(page, stages, times)


def sabotage_stand_in(page: Page, action: str, *stages: str, times: int = 1) -> None:
    """As `sabotage`, of the stand-in for the engine."""
    script = (STAND_IN / "stand-in.js").read_text() + action
    script += ACT_TOO.replace("STAGES", json.dumps(stages))
    page.route(ENGINE, lambda route: route.fulfill(body=script, content_type="text/javascript"))
    take_turns(page, stages, times)


def take_turns(page: Page, stages: Sequence[str], times: int) -> None:
    left = dict.fromkeys(stages, times)

    def answer(route: Route) -> None:
        stage = route.request.url.rpartition("/")[2]
        left[stage] -= 1
        route.fulfill(body="now" if left[stage] >= 0 else "not now")

    page.route("**/turns/*", answer)


def sound(file: bytes) -> np.ndarray:
    """(samples, 2)."""
    return soundfile.read(io.BytesIO(file), dtype="float32")[0]


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture(scope="module")
def undisturbed(shared_real: tuple[Page, list[str]]) -> dict:
    page, _ = shared_real
    drop(page, SONG)
    return stems(card(page, "song"))


@pytest.fixture(scope="module")
def undisturbed_stand_in(shared: tuple[Page, list[str]]) -> dict:
    page, _ = shared
    drop(page, SONG)
    return stems(card(page, "song"))


def test_workers_that_die_are_replaced(undisturbed_stand_in: dict, visit: Callable) -> None:
    """At every stage of one job."""
    page, complaints = visit("?workers=2", lambda page: sabotage_stand_in(page, DIE_TOO, *STAGES))
    expect_state(page, "ready")
    drop(page, SONG)
    assert stems(card(page, "song")) == undisturbed_stand_in
    expect(page.locator("#kept")).to_contain_text("1 song")
    assert page.evaluate(UNLISTED) == ["song.json"]
    with page.expect_download(timeout=PATIENCE):
        page.locator(".mix").click()
    assert "".join(complaints).count("killed by a test") == len(STAGES)
    complaints.clear()


@pytest.mark.engine
def test_an_engine_that_dies_is_replaced(undisturbed: dict, visit: Callable) -> None:
    page, complaints = visit("?workers=2", lambda page: sabotage(page, DIE, "separate", "piece"))
    expect_state(page, "ready")
    drop(page, SONG)
    assert stems(card(page, "song")) == undisturbed
    expect(page.locator("#kept")).to_contain_text("1 song")
    assert page.evaluate(UNLISTED) == ["song.json"]
    worker = engines(page)[-1]
    assert 0 < worker.evaluate("performance.getEntriesByType('measure').length") <= 10
    assert "".join(complaints).count("killed by a test") == 2
    complaints.clear()


def test_workers_that_die_again_and_again_are_given_up(visit: Callable) -> None:
    page, complaints = visit(
        "?workers=1", lambda page: sabotage_stand_in(page, DIE_TOO, "separate", times=TRIES)
    )
    expect_state(page, "ready")
    drop(page, SONG)
    song = card(page, "song")
    expect(song.locator(".status")).to_have_text(
        "A worker stopped: Uncaught Error: killed by a test in separate", timeout=PATIENCE
    )
    complaints.clear()
    song.locator(".retry").click()
    expect(song.locator("a[download]")).to_have_count(5, timeout=PATIENCE)


class Hanging:
    """Workers that hang: `visit(query, hanging)`."""

    def __init__(self, sabotage: Callable[[Page], None]):
        self.sabotage = sabotage
        self.made: list[Worker] = []

    def __call__(self, page: Page) -> None:
        page.clock.install()
        page.on("worker", lambda worker: self.made.append(worker))
        page.add_init_script(SHOW_WHAT_HANGS)
        page.add_init_script(COUNT_ANSWERS)
        self.sabotage(page)

    def expect(self, page: Page, stage: str) -> None:
        """Wait until one hangs, and let the time go by after which it is given up."""
        expect(page.locator("html")).to_have_attribute("data-hangs", stage, timeout=PATIENCE)
        count = len(self.made)
        page.clock.fast_forward("10:00:00")
        assert len(self.made) == count
        # As a hidden page counts them.
        for _ in range(15):
            page.clock.fast_forward("01:00")


def test_workers_that_hang_are_replaced(undisturbed_stand_in: dict, visit: Callable) -> None:
    """At every stage, but not for what the computer has slept, which is no part of the time that work has taken."""
    hanging = Hanging(lambda page: sabotage_stand_in(page, HANG_TOO, *STAGES))
    page, _ = visit("?workers=2", hanging)
    # The other one is through: it would be given up for the time that goes by, too.
    expect(page.locator("html")).to_have_attribute("data-answers", "1", timeout=PATIENCE)
    hanging.expect(page, "load")
    expect_state(page, "ready")
    drop(page, SONG)
    for stage in list(STAGES)[1:-1]:
        hanging.expect(page, stage)
    assert stems(card(page, "song")) == undisturbed_stand_in
    # Folded away, so it has no inner text.
    reached = card(page, "song").locator(".speed-reached").text_content() or ""
    spent = re.match(r"Done in (\d+) s", reached)
    assert spent
    assert int(spent[1]) < 7000
    with page.expect_download(timeout=PATIENCE):
        page.locator(".mix").click()
        hanging.expect(page, "mix")


@pytest.mark.engine
def test_an_engine_that_hangs_is_replaced(visit: Callable) -> None:
    hanging = Hanging(lambda page: sabotage(page, HANG, "separate"))
    page, _ = visit("?workers=1", hanging)
    expect_state(page, "ready")
    drop(page, SONG)
    hanging.expect(page, "separate")
    files = stems(card(page, "song"))
    made, song = (sound(files[stem]) for stem in ("vocals", "karaoke")), sound(SONG[1])
    assert np.abs(sum(made) - song).max() < 3 / 2**15


def test_a_mix_that_fails_is_told_of_and_costs_no_song_at_work(visit: Callable) -> None:
    page, _ = visit("?workers=2", lambda page: sabotage_stand_in(page, FAIL_TOO, "mix"))
    expect_state(page, "ready")
    drop(page, ("short.wav", wav(compose(2))))
    short, long = card(page, "short"), card(page, "song")
    expect(short).to_have_attribute("data-state", "done", timeout=PATIENCE)
    with at_work(page) as work:
        drop(page, SONG)
        expect(long.locator(".status")).to_contain_text("%", timeout=PATIENCE)
        short.locator(".title").click()
        short.locator(".mix").click()
        # One worker is left for it.
        work.let_one_go(page)
        expect(short.locator(".status")).to_have_text(
            "The file could not be written: broken by a test in mix", timeout=PATIENCE
        )
        with page.expect_download(timeout=PATIENCE):
            short.locator(".mix").click()
            work.let_one_go(page)
    expect(long.locator(".status")).to_contain_text("Ready", timeout=PATIENCE)


@pytest.mark.engine
def test_what_is_cancelled_and_wanted_again_at_once_is_done_again(page: Page) -> None:
    """And it says how the work has ended, although another was cancelled meanwhile."""
    drop(page, ("long.wav", LONG), ("other.wav", wav(compose(2))))
    song = card(page, "long")
    expect(song.locator(".status")).to_contain_text("%", timeout=PATIENCE)
    song.evaluate(
        "card => { for (const name of ['.cancel', '.retry']) card.querySelector(name).click(); }"
    )
    expect(song.locator(".status")).to_contain_text("%", timeout=PATIENCE)
    card(page, "other").locator(".cancel").click()
    expect(song.locator("a[download]")).to_have_count(5, timeout=PATIENCE)
    expect_state(page, "done")


def run_in_page(page: Page, code: str) -> None:
    """Python, by the page's own interpreter."""
    page.evaluate(
        """code => document.body.append(Object.assign(
          document.createElement("script"), { type: "mpy", textContent: code }))""",
        code + "\nimport js\njs.document.documentElement.dataset.broken = " + repr(code[:20]),
    )
    expect(page.locator("html")).to_have_attribute("data-broken", code[:20])


BREAK_A_JOB = """
from page.songs import job

run = job.Job.run


async def fail(self, pool):
    job.Job.run = run
    raise ValueError("broken by a test")


job.Job.run = fail
"""
BREAK_THE_END = """
from page.workers.pool import Pool

renew = Pool.renew


def fail(self):
    Pool.renew = renew
    raise ValueError("broken by a test")


Pool.renew = fail
"""


def test_songs_have_their_turn_after_a_fault_in_the_page(visit: Callable) -> None:
    """Where a song's work breaks, and where what comes after it does."""
    page, _ = visit("?workers=1")
    expect_state(page, "ready")
    run_in_page(page, BREAK_A_JOB)
    drop(page, ("one.wav", wav(compose(1))), ("two.wav", wav(compose(1))))
    expect(card(page, "one").locator(".status")).to_have_text("broken by a test")
    assert len(stems(card(page, "two"))) == 5
    run_in_page(page, BREAK_THE_END)
    drop(page, ("three.wav", wav(compose(1))), ("four.wav", wav(compose(1))))
    for name in ("three", "four"):
        assert len(stems(card(page, name))) == 5
    expect(page.locator("#error")).to_have_text("broken by a test")


def test_file_that_is_gone_or_has_changed_is_told_of(visit: Callable, tmp_path: Path) -> None:
    hold = Hold(ENGINE)
    page, _ = visit("?workers=1", hold)
    names = ("first", "gone", "changed", "fine")
    for name in names:
        (tmp_path / f"{name}.wav").write_bytes(wav(compose(1)))
    page.locator("#file").set_input_files([tmp_path / f"{name}.wav" for name in names])
    expect(card(page, "first").locator(".status")).to_have_text("Waiting for the engine…")
    (tmp_path / "gone.wav").unlink()
    (tmp_path / "changed.wav").write_bytes(wav(compose(2)))
    hold.release()
    for name in ("gone", "changed"):
        expect(card(page, name).locator(".status")).to_have_text(
            f"“{name}.wav” is gone, or has changed since it was chosen: choose it again.",
            timeout=PATIENCE,
        )
    assert len(stems(card(page, "fine"))) == 5


# Where there is no memory for several segments in lockstep.
FIND_LITTLE_MEMORY = """
only = Separator.process


def process_few(self, mixture, progress=None):
    if len(mixture) > 1:
        raise MemoryError
    yield from only(self, mixture, progress)


def act(stage):
    Separator.process = process_few
"""


FIND_NO_BUFFER = """
def act(stage):
    js.ArrayBuffer.new(1 << 50)
"""


@pytest.mark.engine
@pytest.mark.parametrize(
    ("action", "stage"),
    [
        (FIND_NO_MEMORY, "load"),
        (FIND_NO_MEMORY, "separate"),
        (FIND_NO_BUFFER, "separate"),
        (FIND_LITTLE_MEMORY, "separate"),
    ],
    ids=["model", "worker", "browser", "segments"],
)
def test_less_memory_than_hoped_for(
    action: str, stage: str, undisturbed: dict, visit: Callable
) -> None:
    """For one worker too many, or for several segments at once."""
    page, _ = visit("?workers=2", lambda page: sabotage(page, action, stage))
    expect_state(page, "ready")
    drop(page, SONG)
    assert stems(card(page, "song")) == undisturbed


@pytest.mark.engine
def test_no_memory_at_all_is_said(visit: Callable) -> None:
    page, _ = visit("?workers=1", lambda page: sabotage(page, FIND_NO_MEMORY, "separate", times=10))
    expect_state(page, "ready")
    drop(page, SONG)
    expect(card(page, "song").locator(".status")).to_contain_text(
        "not enough memory", timeout=PATIENCE
    )


# Counts the locks that keep the screen on, and keeps the last.
COUNT_LOCKS = """
const request = WakeLock.prototype.request;
WakeLock.prototype.request = async function (kind) {
  window.lock = await request.call(this, kind);
  const { dataset } = document.documentElement;
  dataset.locks = Number(dataset.locks ?? 0) + 1;
  return lock;
};
"""


@pytest.mark.engine
def test_tab_that_is_frozen_goes_on_later(undisturbed: dict, visit: Callable) -> None:
    page, _ = visit("?workers=2", lambda page: page.add_init_script(COUNT_LOCKS))
    expect_state(page, "ready")
    drop(page, SONG)
    expect(card(page, "song").locator(".status")).to_contain_text("%", timeout=PATIENCE)
    expect(page.locator("html")).to_have_attribute("data-locks", "1")
    page.evaluate("lock.release()")  # as browsers do when a page is hidden
    session = page.context.new_cdp_session(page)
    for state in ("frozen", "active"):
        session.send("Page.setWebLifecycleState", {"state": state})
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("html")).to_have_attribute("data-locks", "2")
    assert stems(card(page, "song")) == undisturbed


# What is called back where an object is gone, for the page around it.
SHOW_CALLBACKS = """if (parent !== self) {
  const Registry = FinalizationRegistry;
  self.FinalizationRegistry = class extends Registry {
    constructor(callback) { super(callback); parent.callbacks.push(callback); }
  };
}"""
FRAME = "<!doctype html><script>callbacks = []</script><iframe src='.?workers=1'></iframe>"
CALL_BACK = """() => {
  const known = frames[0].proxy_js_map.size;
  for (const callback of left) {
    for (let held = 0; held < 200; held++) {
      try { callback(held); } catch {}  // of those that hold something else
    }
  }
  return known - frames[0].proxy_js_map.size;
}"""
"""Gives how many of the objects that MicroPython knows the new page by were forgotten."""


def test_page_that_was_left_does_not_disturb_the_next(visit: Callable) -> None:
    """Its collector runs on for a while."""

    def prepare(page: Page) -> None:
        page.add_init_script(SHOW_CALLBACKS)
        page.route(
            "**/frame.html", lambda route: route.fulfill(body=FRAME, content_type="text/html")
        )

    page, _ = visit("frame.html", prepare)
    frame = page.frames[1]
    ready = frame.locator("html[data-state=ready]")
    ready.wait_for(timeout=PATIENCE)
    page.evaluate("() => { left = callbacks; callbacks = []; }")
    frame.goto(frame.url)
    ready.wait_for(timeout=PATIENCE)
    assert page.evaluate(CALL_BACK) == 0
    frame.locator("#file").set_input_files(
        {"name": "song.wav", "mimeType": "audio/wav", "buffer": wav(compose(2))}
    )
    expect(frame.locator(".card")).to_have_attribute("data-state", "done", timeout=PATIENCE)
