"""HTDemucs through the page: one file of its makers becomes a model, whose stems are the package's.

The networks are tiny and their weights random; their files are the site's official ones.
"""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pages import (
    UNLISTED,
    build_site,
    changing_package,
    let_through,
    serving,
    stems,
    within_a_second,
)
from playwright.sync_api import Browser, Locator, Page, Route, expect
from recordings import RECORD, blocks_that_are_of, listen
from songs import PATIENCE, card, compose, download, drop, expect_state, snr, wav

from scripts.common.environment import ROOT
from scripts.serve import server
from tests.checkout import replace_in
from tests.checkpoints import golden_state, pth, safetensors, th
from tests.htdemucs import ARGUMENTS, odd_state, state
from tests.scripts.server import Handler, Server
from umx.format.checkpoint import read
from umx.format.convert import convert
from umx.format.library import Model, load_model
from umx.kernels.reference import Numpy
from umx.models.htdemucs.convert import folded_for
from umx.models.htdemucs.official import HOST
from umx.models.official import OFFICIAL
from umx.separator import Separator

SONG = compose(3) / 4
"""Soft, since networks of random weights make stems louder than the song, and files hold no more than full scale."""
NETWORKS = {"htdemucs": "four", "htdemucs_6s": "six"}
NAMES = {"other": "melody"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Their makers' files of both models, under names of the visitor's own."""
    folder, found = tmp_path_factory.mktemp("picked"), {}
    for name, network in NETWORKS.items():
        found[name] = folder / f"my {network}.th"
        arguments = ARGUMENTS[network] | {"segment": Fraction(3, 2)}
        found[name].write_bytes(th(state(network), arguments))
    return found


class Makers(Handler):
    """The makers' host."""

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()


@pytest.fixture(scope="module")
def makers(files: dict[str, Path]) -> Iterator[Server]:
    names = {OFFICIAL[name].checkpoints[0].file: path for name, path in files.items()}
    http = Server({name: path.read_bytes() for name, path in names.items()}, Makers)
    with serving(http):
        yield http


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path], makers: Server
) -> Iterator[str]:
    """A site for which those files are the official ones, and whose pages may fetch them from their makers."""
    folder = tmp_path_factory.mktemp("built")
    built, origin = build_site(folder / "site"), HOST.removesuffix("/demucs/hybrid_transformer")
    policy = "connect-src 'self'"
    replace_in(built / "index.html", (policy, f"{policy} {makers.url}"), (origin, makers.url))
    with changing_package(built, folder / "wheel") as package:
        official = package / "umx" / "models" / "htdemucs" / "official.py"
        replace_in(official, (origin, makers.url))
        for name, path in files.items():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            replace_in(official, (OFFICIAL[name].checkpoints[0].sha256, digest))
    with serving(server(built)) as url:
        yield url


@contextmanager
def opened(
    browser: Browser,
    site: str,
    worker: str = "",
    workers: int = 1,
    service_workers: str = "block",
    prepare: Callable[[Page], object] = lambda page: None,
) -> Iterator[Page]:
    """The page with its menu open.

    worker: the source of its workers, in place of their own; prepare: called with the page before it goes anywhere.
    """
    context = browser.new_context(service_workers=service_workers)
    page = context.new_page()
    prepare(page)
    if worker:
        page.route("**/app/worker/worker.py", lambda route: route.fulfill(body=worker))
    page.goto(f"{site}?workers={workers}")
    expect_state(page, "ready")
    page.locator("#model-menu > summary").click()
    yield page
    context.close()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    with opened(browser, site) as page:
        yield page


@pytest.fixture
def kept_page(browser: Browser, site: str) -> Iterator[Page]:
    """A page that is kept for visits without a network."""
    with opened(browser, site, service_workers="allow") as page:
        yield page


def choice(page: Page, name: str) -> Locator:
    return page.locator(f"#model-list [data-model='{name}']")


def expect_in_use(page: Page, name: str, title: str) -> None:
    expect(page.locator("#conversion-text")).to_contain_text("on this device", timeout=PATIENCE)
    expect(choice(page, name).locator("input")).to_be_checked()
    expect(page.locator("#model")).to_contain_text(f"Model: {title}.", timeout=PATIENCE)


def package(checkpoint: Path, folder: Path) -> dict[str, np.ndarray]:
    """The stems of SONG, (samples, 2), as the package computes them with weights in floats."""
    fields = dict.fromkeys(("name", "title", "licence", "credit", "source"), "x")
    convert({(): checkpoint}, folder, "web", {}, sample_rate=44100, **fields)
    model = load_model(folder)
    targets, network = model.manifest.targets, model.manifest.network
    floats = {targets: folded_for(read(checkpoint), network)}
    separator = Separator(Model(model.manifest, floats), Numpy())
    mixture, _ = soundfile.read(io.BytesIO(wav(SONG)), dtype="float32")
    estimates = separator.separate(np.ascontiguousarray(mixture.T))
    return {
        NAMES.get(target, target): estimate.T
        for target, estimate in zip(targets, estimates, strict=True)
    }


def sound(data: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(data), dtype="float32")[0]


def expect_stems(found: dict[str, bytes], right: dict[str, np.ndarray]) -> None:
    """Each is the package's; together they are the song, and karaoke is all of it but the vocals."""
    mixture = sound(wav(SONG))
    files = {stem: sound(data) for stem, data in found.items()}
    assert files.keys() == right.keys() | {"karaoke"}
    for stem, audio in right.items():
        ratio = snr(files[stem], audio)
        print(f"{stem}: {ratio:.1f} dB")
        assert ratio > 45, stem
    rounding = len(files) / 2**15
    assert np.abs(sum(files[stem] for stem in right) - mixture).max() < rounding
    assert np.abs(files["vocals"] + files["karaoke"] - mixture).max() < rounding


def test_a_file_that_is_dropped_becomes_the_model_and_stays(
    kept_page: Page, files: dict[str, Path], tmp_path: Path
) -> None:
    page = kept_page
    block = page.locator("#htdemucs-official")
    expect(block).to_contain_text("only for scientific purposes")
    page.locator("#file").set_input_files(files["htdemucs"])
    expect_in_use(page, "htdemucs", "HTDemucs")
    expect(block).to_be_hidden()
    model = choice(page, "htdemucs")
    expect(model).to_contain_text("very good · 8.8 dB · ")
    expect(model).to_contain_text("only for scientific purposes")
    # Measured here, by a segment of noise.
    expect(model).to_contain_text(re.compile(r"4 minutes take an estimated \d+"), timeout=PATIENCE)

    drop(page, ("song.wav", wav(SONG)))
    first = stems(card(page, "song"))
    expect(card(page, "song").locator(".status")).to_contain_text("with HTDemucs")
    expect_stems(first, package(files["htdemucs"], tmp_path))
    expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE)

    page.context.set_offline(True)
    page.reload()
    expect_state(page, "ready")
    kept = card(page, "song")
    expect(kept.locator(".status")).to_contain_text("made with HTDemucs")
    assert stems(kept) == first
    expect(page.locator("#model")).to_contain_text("Model: HTDemucs.", timeout=PATIENCE)
    drop(page, ("again.wav", wav(SONG)))
    assert stems(card(page, "again")) == first


def test_guitar_and_piano_are_lanes_and_files_and_can_be_left_out(
    page: Page, files: dict[str, Path], tmp_path: Path
) -> None:
    boxes = page.locator("#options [name=target]")
    guitar, piano = (page.locator(f"#options [value={name}]") for name in ("guitar", "piano"))
    page.locator("#options > summary").click()
    expect(guitar).to_be_hidden()
    page.locator("#file").set_input_files(files["htdemucs_6s"])
    expect_in_use(page, "htdemucs_6s", "HTDemucs, 6 sources")
    for box in (guitar, piano):
        expect(box).to_be_checked()
        expect(box).to_be_visible()
    drop(page, ("song.wav", wav(SONG)))
    every = stems(card(page, "song"), 7)
    expect_stems(every, package(files["htdemucs_6s"], tmp_path))
    lanes = card(page, "song").locator(".lane")
    order = ["vocals", "drums", "bass", "guitar", "piano", "melody"]
    assert [lane.get_attribute("data-stem") for lane in lanes.all()] == order
    assert list(every) == [*order, "karaoke"]

    guitarless = card(page, "song").locator(".files").get_by_role("button", name="Guitarless")
    rest = sum(sound(every[stem]) for stem in order if stem != "guitar")
    saved = download(page, guitarless, tmp_path)
    assert saved.name == "song - guitarless.wav"
    assert np.abs(sound(saved.read_bytes()) - rest).max() < 6 / 2**15

    heard = "lanes => lanes.map(lane => !lane.classList.contains('silent'))"
    for preset, expected in (
        ("Guitarless", [stem != "guitar" for stem in order]),
        ("Piano only", [stem == "piano" for stem in order]),
        ("Karaoke", [stem != "vocals" for stem in order]),
    ):
        card(page, "song").locator(".presets").get_by_text(preset, exact=True).click()
        assert lanes.evaluate_all(heard) == expected

    for box in boxes.all():
        box.set_checked(box.get_attribute("value") in ("vocals", "guitar"))
    drop(page, ("some.wav", wav(SONG)))
    some = stems(card(page, "some"), 4)
    assert list(some) == ["vocals", "guitar", "karaoke", "rest"]
    for stem in ("vocals", "guitar", "karaoke"):
        assert snr(sound(some[stem]), sound(every[stem])) > 80, stem
    total = sum(sound(some[stem]) for stem in ("vocals", "guitar", "rest"))
    assert np.abs(total - sound(wav(SONG))).max() < 3 / 2**15


def test_where_the_site_s_policy_allows_it_the_page_fetches_it_itself(page: Page) -> None:
    page.get_by_role("button", name="Download and use HTDemucs").click()
    expect_in_use(page, "htdemucs", "HTDemucs")


def test_a_file_of_nobody_s_becomes_a_model_of_its_name(page: Page, tmp_path: Path) -> None:
    """A network that the site has never heard of; one that rounds badly is said to."""
    mine = tmp_path / "My own, 2nd try.th"
    arguments = ARGUMENTS["six"] | {"segment": Fraction(3, 4)}
    mine.write_bytes(th({name: 0.9 * part for name, part in state("six").items()}, arguments))
    page.locator("#file").set_input_files(mine)
    expect_in_use(page, "own-My-own-2nd-try", "My own, 2nd try")
    expect(page.locator("#conversion-text")).not_to_contain_text("Rounding")
    expect(choice(page, "own-My-own-2nd-try")).to_contain_text("quality unknown")
    expect(page.locator("#htdemucs-official")).to_be_visible()
    drop(page, ("song.wav", wav(SONG)))
    expect_stems(stems(card(page, "song"), 7), package(mine, tmp_path / "model"))

    odd = tmp_path / "odd.safetensors"
    odd.write_bytes(safetensors(odd_state("four"), ARGUMENTS["four"]))
    page.locator("#file").set_input_files(odd)
    text = page.locator("#conversion-text")
    expect(text).to_contain_text(
        re.compile(r"its stems are exact to [1-3]?\d dB\."), timeout=PATIENCE
    )
    expect(choice(page, "own-odd").locator("input")).to_be_checked()


HOSTILE = {
    "run.th": (b"\x80\x02cos\nsystem\nU\x04trueR.", "run.th: "),
    "cut.th": (th(state("six"), ARGUMENTS["six"])[:-1000], "cut.th: "),
    "deep.safetensors": (b"\x00\x04\0\0\0\0\0\0" + 1024 * b"[", "deep.safetensors: "),
    "page.th": (b"<!doctype html>", "page.th: "),
    "other.th": (
        th(state("six"), ARGUMENTS["six"] | {"growth": 3}),
        "other.th: it is no network that can be used: it was made with another growth",
    ),
    "umx.th": (pth(golden_state("bass")), "umx.th: it doesn't say which stems it estimates."),
}
"""Files, and what is said of them."""


def test_a_hostile_file_of_nobody_s_ends_in_a_sentence(page: Page, tmp_path: Path) -> None:
    for name, (content, said) in HOSTILE.items():
        (tmp_path / name).write_bytes(content)
        page.locator("#file").set_input_files(tmp_path / name)
        text = page.locator("#conversion-text")
        expect(text).to_contain_text(said, timeout=PATIENCE)
        print(text.inner_text())
        expect(page.locator("#htdemucs-official .pick")).to_be_enabled()
    expect(page.locator("#model-list li")).to_have_count(1)


WORKER = (ROOT / "app" / "worker" / "worker.py").read_text()
# Between two layers, late in a segment, after having told so, it computes for ever.
STUCK = (
    WORKER
    + """

def process(chosen, audio, before=process):
    global report
    report = told
    return before(chosen, audio)


def told(fraction):
    post("progress", fraction=fraction)
    while fraction > 0.6:
        pass
"""
)
# There is no memory for this architecture's work.
FULL = (
    WORKER
    + """

def process(chosen, audio, before=process):
    if chosen.manifest.architecture == "htdemucs":
        raise MemoryError
    return before(chosen, audio)
"""
)


def test_work_is_cancelled_in_the_middle_of_a_segment(
    browser: Browser, site: str, files: dict[str, Path]
) -> None:
    """The page hears of layers, and waits for none."""
    with opened(browser, site, STUCK) as page:
        page.locator("#file").set_input_files(files["htdemucs"])
        expect_in_use(page, "htdemucs", "HTDemucs")
        drop(page, ("song.wav", wav(SONG[:30_000])))  # one segment
        song = card(page, "song")
        far = "document.querySelector('.card progress').value"
        page.wait_for_function(f"0.6 < {far} && {far} < 0.9", timeout=PATIENCE)
        let_through(page, "**/app/worker/worker.py")  # for the workers that take over
        with within_a_second(page, "document.querySelector('.card').dataset.state === 'cancelled'"):
            song.locator(".cancel").click()
        song.locator(".retry").click()
        files_of = stems(song)
    total = sum(sound(files_of[stem]) for stem in ("vocals", "drums", "bass", "melody"))
    assert np.abs(total - sound(wav(SONG[:30_000]))).max() < 4 / 2**15


def test_where_memory_is_short_there_are_fewer_workers_and_a_smaller_model(
    browser: Browser, site: str, files: dict[str, Path]
) -> None:
    with opened(browser, site, FULL, workers=2) as page:
        page.locator("#file").set_input_files(files["htdemucs"])
        expect_in_use(page, "htdemucs", "HTDemucs")
        drop(page, ("song.wav", wav(SONG)))
        song = card(page, "song")
        expect(song.locator(".status")).to_contain_text("not enough memory", timeout=PATIENCE)
        expect(page.locator("#workers")).to_have_value("1", timeout=PATIENCE)
        page.get_by_role("button", name="Again with umx-mini: song").click()
        found = stems(song)
        expect(song.locator(".status")).to_contain_text("with umx-mini")
    total = sum(sound(found[stem]) for stem in ("vocals", "drums", "bass", "melody"))
    assert np.abs(total - sound(wav(SONG))).max() < 4 / 2**15


PREVIEW = ROOT / "app" / "page" / "songs" / "preview.py"
# Batches of the model ask before they begin; those of a preview don't.
ASKING = (
    WORKER
    + """

async def asking(*arguments, preview="", before=separate, **named):
    if not preview:
        await js.fetch("ADDRESSturn")
    return await before(*arguments, preview=preview, **named)


REQUESTS["separate"] = asking
"""
)
# There is no memory for a second model.
NARROW = (
    WORKER
    + """

async def brought(*arguments, before=brought):
    if len(arguments) > 4:
        raise MemoryError
    return await before(*arguments)
"""
)
LONG = compose(20) / 4
"""Two segments of the small model's."""
QUANTUM = 128
"""Samples that browsers compute at a time."""


class Turns:
    """Every song has a preview, and batches of the model begin when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Route] = []
        self.may_go = True

    def __call__(self, page: Page) -> None:
        text = PREVIEW.read_text()
        for fact, other in (("LONG = 30", "LONG = 0"), ("SHARE = 0.1", "SHARE = 1e9")):
            assert fact in text
            text = text.replace(fact, other)
        page.route(f"**/{PREVIEW.name}", lambda route: route.fulfill(body=text))
        page.route("**/turn", self.ask)
        page.add_init_script(RECORD)

    def ask(self, route: Route) -> None:
        if self.may_go:
            route.fulfill()
        else:
            self.waiting.append(route)

    def wait_for(self, page: Page, count: int) -> None:
        """Wait until so many batches ask."""
        while len(self.waiting) < count:
            page.evaluate("new Promise(requestAnimationFrame)")

    def let_one_go(self, page: Page, but: int = 0) -> None:
        """Let a batch begin, but those that have asked first."""
        self.wait_for(page, 1 + but)
        self.waiting.pop(but).fulfill()

    def let_all_go(self) -> None:
        self.may_go = True
        while self.waiting:
            self.waiting.pop().fulfill()


def test_a_preview_becomes_the_real_thing_stretch_by_stretch(
    browser: Browser, site: str, files: dict[str, Path]
) -> None:
    turns = Turns()
    with opened(browser, site, ASKING.replace("ADDRESS", site), 2, prepare=turns) as page:
        drop(page, ("small.wav", wav(LONG)))
        small = sound(stems(card(page, "small"))["vocals"])
        page.locator("#file").set_input_files(files["htdemucs"])
        expect_in_use(page, "htdemucs", "HTDemucs")
        card(page, "small").locator(".remove").click()
        turns.may_go = False
        drop(page, ("song.wav", wav(LONG)))
        song = card(page, "song")
        kind = song.locator(".kind")
        expect(kind).to_have_text("Preview: better stems follow.", timeout=PATIENCE)
        song.get_by_role("button", name="Acapella", exact=True).click()
        assert len(blocks_that_are_of(small, listen(song, 2))) >= 2
        expect(song.locator("a[download]")).to_have_count(0)
        expect(song.locator(".zip")).to_be_hidden()
        expect(song.get_by_role("button", name="Save this mix")).to_be_disabled()

        # Two batches are done, the third is held back, and then come three more.
        turns.let_one_go(page)
        turns.let_one_go(page)
        for _ in range(3):
            turns.let_one_go(page, but=1)
        turns.wait_for(page, 2)
        for second, said in (("1", "Final stems."), ("3.3", "Preview"), ("5", "Final stems.")):
            song.locator(".seek").fill(second)
            expect(kind).to_contain_text(said, timeout=PATIENCE)
        blocks = listen(song, 5, begin=1)
        turns.let_all_go()
        final = sound(stems(song)["vocals"])
        expect(kind).to_have_text("")
        expect(song.locator(".status")).to_contain_text("Ready, made with HTDemucs")
        # Nothing of the preview is kept.
        assert page.evaluate(UNLISTED) == ["song.json"]
        page.reload()
        assert np.array_equal(sound(stems(card(page, "song"))["vocals"]), final)
    assert snr(final, small) < 10
    of_preview, of_final = (blocks_that_are_of(vocals, blocks) for vocals in (small, final))
    print(of_preview, of_final)
    assert of_preview
    before = [place for place in of_final if place < of_preview[0]]
    after = of_final[len(before) :]
    assert before
    assert after
    heard = [*before, *of_preview, *after]
    assert heard == sorted(set(heard))
    # In step, but for what a busy machine doesn't record.
    assert not (np.diff(heard) % QUANTUM).any()


def test_guitar_and_piano_come_with_the_final_stems_and_a_preview_may_fail(
    browser: Browser, site: str, files: dict[str, Path], tmp_path: Path
) -> None:
    turns = Turns()
    with opened(browser, site, ASKING.replace("ADDRESS", site), 2, prepare=turns) as page:
        page.locator("#file").set_input_files(files["htdemucs_6s"])
        expect_in_use(page, "htdemucs_6s", "HTDemucs, 6 sources")
        turns.may_go = False
        drop(page, ("song.wav", wav(LONG)))
        song = card(page, "song")
        within = "Preview: better stems follow; guitar + piano still within melody."
        expect(song.locator(".kind")).to_have_text(within, timeout=PATIENCE)
        expect(song.locator(".lane")).to_have_count(6)
        assert len(blocks_that_are_of(sound(wav(LONG)), listen(song, 2))) >= 2

        # The workers that take over have no memory for two models.
        page.route("**/app/worker/worker.py", lambda route: route.fulfill(body=NARROW))
        with within_a_second(page, "document.querySelector('.card').dataset.state === 'cancelled'"):
            song.locator(".cancel").click()
        drop(page, ("short.wav", wav(SONG)))
        short = card(page, "short")
        expect_stems(stems(short, 7), package(files["htdemucs_6s"], tmp_path))
        expect(page.locator("#workers")).to_have_value("2")
