"""The best model first: what a visit begins with, what stands in, how long songs wait, what is made again."""

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pages import Hold, at_work, build_site, expect_all_kept, put_stand_in, serving, stems
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from songs import PATIENCE, RATE, card, compose, drop, expect_state, snr, wav

import umx
from scripts import bench
from scripts.build import SERVICE_WORKER, service_worker
from scripts.common.index import write_index
from scripts.serve import server

SONG = compose(8)
QUALITY = {"vocals": 7.21, "drums": 7.15, "bass": 6.02, "other": 4.89}


def add_model(site: Path, name: str, title: str, hidden: int, quality: dict[str, float]) -> Path:
    """A model of random weights, as the site's index and its service worker know it then."""
    folder = site / "weights" / name
    bench.random_model(folder, str(hidden), 4)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {"title": title, "licence": "CC BY-NC-SA 4.0", "quality": quality}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    publish(site)
    return folder


def publish(site: Path) -> None:
    write_index(site / "weights")
    (site / SERVICE_WORKER).write_text(service_worker(site))


def package(model: Path, sound: np.ndarray) -> dict[str, np.ndarray]:
    """The stems of a song, (samples, 2), as the package separates it."""
    mixture, _ = soundfile.read(io.BytesIO(wav(sound)), dtype="float32")
    stems = umx.separate(mixture.T, RATE, model)
    return {("melody" if name == "other" else name): stem.T for name, stem in stems.items()}


def expect_made_with(song: dict[str, bytes], model: Path, other: Path, sound: np.ndarray) -> None:
    """Every stem is the package's with the model, but for how the kernel rounds, and far from what the other gives."""
    right, wrong = package(model, sound), package(other, sound)
    assert song.keys() == right.keys()
    for stem, data in song.items():
        audio, _ = soundfile.read(io.BytesIO(data), dtype="float32")
        close, far = snr(audio, right[stem]), snr(audio, wrong[stem])
        print(f"{stem}: {close:.1f} dB from the model's own, {far:.1f} dB from the other's")
        assert close > 30, stem
        assert far < 15, stem


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


def test_a_first_visit_separates_its_first_song_with_the_best_model(
    context: BrowserContext, tmp_path: Path
) -> None:
    """Of UMX-L's shape, without a click; and the next visit, without a network, does so too."""
    site = build_site(tmp_path / "site")
    best = add_model(site, "umxl", "UMX-L", 1024, QUALITY)
    with serving(server(site)) as url:
        page = context.new_page()
        page.goto(url + "?workers=1")
        drop(page, ("song.wav", wav(SONG)))
        first = stems(card(page, "song"))
        expect(card(page, "song").locator(".status")).to_contain_text("with UMX-L")
        expect_made_with(first, best, site / "weights" / "umx-mini", SONG)
        expect(page.locator("#model")).to_contain_text("UMX-L")
        expect(page.locator("#in-use")).to_have_text("Model: UMX-L · very good · 6.3 dB")
        expect_all_kept(page)
        expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE)
    page.goto(url + "?workers=1")
    expect_state(page, "ready")
    expect(card(page, "song").locator(".status")).to_contain_text("made with UMX-L")
    card(page, "song").locator(".remove").click()
    expect(page.locator("#model")).to_contain_text("UMX-L")
    drop(page, ("again.wav", wav(SONG)))
    assert stems(card(page, "again")) == first


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a small model that is said to be better than the one of every site."""
    site = build_site(tmp_path_factory.mktemp("built") / "site")
    add_model(site, "umxl", "UMX-L", 32, QUALITY)
    return site


@pytest.fixture(scope="module")
def real(site: Path) -> Iterator[str]:
    with serving(server(site)) as url:
        yield url


@pytest.fixture(scope="module")
def address(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    copy = shutil.copytree(site, tmp_path_factory.mktemp("stand-in") / "site")
    put_stand_in(copy)
    with serving(server(copy)) as url:
        yield url


Visit = Callable[..., tuple[Page, list[str]]]


def news(page: Page) -> str:
    return page.locator("#model-news").inner_text()


def expect_news(page: Page, said: str) -> None:
    expect(page.locator("#model-news")).to_contain_text(said, timeout=PATIENCE)


def expect_in_use(page: Page, name: str) -> None:
    expect(page.locator("#in-use")).to_contain_text(f"Model: {name}", timeout=PATIENCE)
    expect(page.locator("#engine")).not_to_contain_text("%", timeout=PATIENCE)


def choice(page: Page, name: str):
    return page.locator(f"#model-list [data-model='{name}']")


def asked_for(page: Page) -> list[str]:
    """What the page and its workers ask for from now on, as paths."""
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    return asked


@pytest.mark.engine
def test_the_small_model_stands_in_and_its_song_is_made_again_better(
    visit: Visit, site: Path
) -> None:
    hold = Hold("**/umxl/*.gz")
    page, _ = visit("?workers=1", hold)
    expect_news(page, "Using the small model until UMX-L is here (")
    drop(page, ("song.wav", wav(SONG)))
    song = page.locator(".card").last
    expect(song.locator(".status")).to_contain_text("Waiting for UMX-L (", timeout=PATIENCE)
    page.get_by_role("button", name="Don't wait: song").click()
    mini, best = (site / "weights" / name for name in ("umx-mini", "umxl"))
    before = stems(song)
    expect(song.locator(".status")).to_contain_text("with umx-mini")
    expect_made_with(before, mini, best, SONG)
    again = page.get_by_role("button", name="Again, better: song")
    expect(again).to_be_hidden()

    hold.release()
    expect_in_use(page, "UMX-L")
    # The stems of before stay until the new ones are there.
    drop(page, ("long.wav", wav(np.tile(compose(20), (30, 1)))))
    again.click()
    expect(page.locator(".card")).to_have_count(3)
    old = page.locator(".card[data-state=done]")
    assert stems(old) == before
    page.get_by_role("button", name="Cancel long").click()
    page.get_by_role("button", name="Remove long").click()
    expect(page.locator(".card")).to_have_count(1, timeout=PATIENCE)
    new = card(page, "song")
    expect(new.locator(".status")).to_contain_text("with UMX-L")
    expect(again).to_be_hidden()
    expect_made_with(stems(new), best, mini, SONG)

    # It is kept with what made it; the source isn't, so it can't be made again.
    choice(page, "umx-mini").locator("input").dispatch_event("click")
    expect_in_use(page, "umx-mini")
    page.reload()
    status = card(page, "song").locator(".status")
    expect(status).to_contain_text("made with UMX-L", timeout=PATIENCE)


def test_a_song_that_goes_on_without_a_better_model_may_still_wait(visit: Visit) -> None:
    """Others that are dropped wait meanwhile. The first one is open."""
    hold = Hold("**/umxl/*.gz")
    page, _ = visit("?workers=1", hold)
    expect_news(page, "Using the small model until UMX-L is here (")
    drop(page, ("one.wav", wav(compose(1))), ("two.wav", wav(compose(1))))
    expect(card(page, "two").locator(".status")).to_contain_text("Waiting for UMX-L")
    expect(page.locator(".title[aria-expanded=true]")).to_have_text("one")
    with at_work(page):  # so that the second is not begun before it is told to wait
        for title in ("one", "two"):
            page.get_by_role("button", name=f"Don't wait: {title}").click()
        page.get_by_role("button", name="Wait for UMX-L: two").click()
    expect(card(page, "one").locator(".status")).to_contain_text("with umx-mini", timeout=PATIENCE)
    expect(card(page, "two").locator(".status")).to_contain_text("Waiting for UMX-L")
    hold.release()
    expect(card(page, "two").locator(".status")).to_contain_text("with UMX-L", timeout=PATIENCE)


def test_a_choice_that_was_made_is_kept(visit: Visit) -> None:
    page, _ = visit("?workers=1")
    expect_in_use(page, "UMX-L")
    page.locator("#model-menu > summary").click()
    choice(page, "umx-mini").locator("input").check()
    expect_in_use(page, "umx-mini")
    expect_news(page, "Songs are separated with umx-mini.")
    asked = asked_for(page)
    page.reload()
    expect_state(page, "ready")
    expect_in_use(page, "umx-mini")
    drop(page, ("song.wav", wav(compose(1))))
    expect(card(page, "song").locator(".status")).to_contain_text("with umx-mini", timeout=PATIENCE)
    assert any("/umx-mini/" in url for url in asked)
    assert not [url for url in asked if "/umxl/" in url]


# What browsers say on a device whose owner wants to save data, or that has little memory.
SAVE_DATA = "Object.defineProperty(navigator, 'connection', { value: { saveData: true } })"
TWO_GIGABYTES = "Object.defineProperty(navigator, 'deviceMemory', { value: 2 })"


@pytest.mark.parametrize("reason", ["data", "memory"])
def test_what_the_device_has_no_room_for_is_offered_only(visit: Visit, reason: str) -> None:
    def enlarge(route: Route) -> None:
        small, large = route.fetch().json()
        route.fulfill(json=[small, {**large, "unpacked": 10**9}])

    def prepare(page: Page) -> None:
        page.add_init_script(SAVE_DATA if reason == "data" else TWO_GIGABYTES)
        if reason == "memory":
            page.route("**/weights/index.json", enlarge)

    page, _ = visit("?workers=1", prepare)
    expect_state(page, "ready")
    expect_news(page, "Songs are separated with umx-mini.")
    page.locator("#model-menu > summary").click()
    choice(page, "umxl").locator("input").check()
    expect_in_use(page, "UMX-L")


class Coming:
    """Has the site's index say that UMX-L is on its way to the computer that serves the page, until it is there."""

    def __init__(self, left: float):
        self.entry = {"name": "umxl", "title": "UMX-L", "size": 45_000_000, "quality": QUALITY}
        self.entry |= {"coming": 0.4, "seconds_left": left}
        self.is_there = False

    def __call__(self, page: Page) -> None:
        page.route("**/weights/index.json", self.answer)

    def answer(self, route: Route) -> None:
        models = route.fetch().json()
        if not self.is_there:
            models = [model for model in models if model["name"] != "umxl"] + [self.entry]
        route.fulfill(json=models)


def test_an_open_page_learns_of_a_model_that_comes_to_its_site(visit: Visit) -> None:
    coming = Coming(5)
    page, _ = visit("?workers=1", coming)
    asked = asked_for(page)
    expect_news(page, "UMX-L is on its way: 40%, ")
    expect(choice(page, "umxl").locator("input")).to_be_disabled()
    expect_state(page, "ready")
    assert not [url for url in asked if "/umxl/" in url]
    coming.is_there = True
    expect_in_use(page, "UMX-L")
    expect(choice(page, "umxl").locator("input")).to_be_checked()
    expect_news(page, "Songs are separated with UMX-L.")


def test_a_song_doesnt_wait_for_what_takes_longer_than_itself(visit: Visit) -> None:
    coming = Coming(100)
    page, _ = visit("?workers=1", coming)
    expect_news(page, "UMX-L is on its way: 40%, 1 min ")
    drop(page, ("one.wav", wav(compose(60))), ("two.wav", wav(compose(1))))
    page.get_by_role("button", name="Wait for UMX-L: two").click()
    expect(card(page, "two").locator(".status")).to_contain_text("Waiting for UMX-L (1 min ")
    expect(card(page, "one").locator(".status")).to_contain_text("with umx-mini", timeout=PATIENCE)
    expect(card(page, "two").locator(".status")).to_contain_text("Waiting for UMX-L (1 min ")
    coming.is_there = True
    expect(card(page, "two").locator(".status")).to_contain_text("with UMX-L", timeout=PATIENCE)
    expect(page.get_by_role("button", name="Again, better: one")).to_be_visible()


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_a_better_model_that_is_of_no_use_is_done_without(visit: Visit, fault: str) -> None:
    def answer(route: Route) -> None:
        if fault == "missing":
            route.fulfill(status=404)
        else:
            route.fulfill(body="no weights")

    page, complaints = visit("?workers=1", lambda page: page.route("**/umxl/bass.*", answer))
    drop(page, ("song.wav", wav(compose(1))))
    expect(card(page, "song").locator(".status")).to_contain_text("with umx-mini", timeout=PATIENCE)
    expect_news(page, "umxl can't be used: ")
    expect(page.locator("#error")).to_be_hidden()
    complaints.clear()  # of the file that isn't there


def test_times_are_those_of_this_device(visit: Visit) -> None:
    page, _ = visit("?workers=1")
    expect_in_use(page, "UMX-L")
    page.locator("#model-menu > summary").click()
    facts = choice(page, "umxl").locator(".facts")
    estimate = re.compile(
        r"^very good · 6\.3 dB · [\d.]+ MB · CC BY-NC-SA 4\.0 · 4 minutes take an estimated "
    )
    expect(facts).to_have_text(estimate, timeout=PATIENCE)
    drop(page, ("song.wav", wav(compose(20))))
    expect_state(page, "done")
    expect(facts).to_contain_text(re.compile(r"4 minutes take [\d min]+ s here$"))
    expect(choice(page, "umx-mini").locator(".facts")).to_contain_text("take an estimated ")
    expect_news(page, "Songs are separated with UMX-L. 4 minutes take ")
