"""The model menu: what it lists, and an official model made in the page of picked checkpoints."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import umxl
from pages import let_through, put_stand_in, serving, within_a_second
from playwright.sync_api import Browser, Locator, Page, Route, expect
from songs import PATIENCE, card, compose, drop, expect_state, wav

from scripts.common.environment import ROOT
from scripts.serve import server
from tests.checkpoints import pth, random_state
from tests.scripts.server import Server
from umx.models.official import OFFICIAL

# What a drop of files carries, from {name: base64}.
DATA_TRANSFER = """async contents => {
  const transfer = new DataTransfer();
  for (const [name, text] of Object.entries(contents)) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  return transfer;
}"""
# Of the folder with the models on this device, every name and those in it.
KEPT = """async () => {
  const root = await navigator.storage.getDirectory();
  const models = await root.getDirectoryHandle("umx models", { create: true });
  const found = [];
  for await (const [name, folder] of models.entries()) {
    found.push(name);
    for await (const file of folder.keys()) found.push(file);
  }
  return found;
}"""
# The worker's code that converts, which computes for ever once the first file is written.
STUCK = (
    (ROOT / "app" / "worker" / "converting.py").read_text()
    + """
before_write = storage.write


async def write(folder, name, data):
    await before_write(folder, name, data)
    REPORT(0.5)
    while True:
        pass


storage.write = write


async def convert_and_be_stuck(files, report, convert=convert):
    global REPORT
    REPORT = report
    return await convert(files, report)


convert = convert_and_be_stuck
"""
)
TARGETS = tuple(target for c in OFFICIAL["umxl"].checkpoints for target in c.targets)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Random networks of the official shape, but for their width, under names of the visitor's own."""
    folder = tmp_path_factory.mktemp("picked")
    paths = []
    for seed, target in enumerate(TARGETS):
        paths.append(folder / f"{target} (1).pth")
        paths[-1].write_bytes(pth(random_state(16, 2049, 1487, seed)))
    return paths


@pytest.fixture(scope="module")
def archive(checkpoints: list[Path]) -> Iterator[Server]:
    with umxl.archive(checkpoints) as server:
        yield server


@pytest.fixture(autouse=True)
def honest(archive: Server) -> None:
    """No answer is left of another test, which may not have had use for all of its own."""
    archive.answers.clear()


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture(scope="module")
def real_site(
    tmp_path_factory: pytest.TempPathFactory, checkpoints: list[Path], archive: Server
) -> Iterator[str]:
    """A site that may fetch from the archive, in which those networks are UMX-L."""
    folder = umxl.build_site(tmp_path_factory.mktemp("built"), checkpoints, archive.url)
    with serving(server(folder)) as url:
        yield url


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, checkpoints: list[Path], archive: Server
) -> Iterator[str]:
    """The same with the stand-in, which leaves it to the engine to make models."""
    folder = umxl.build_site(tmp_path_factory.mktemp("built"), checkpoints, archive.url)
    put_stand_in(folder)
    with serving(server(folder)) as url:
        yield url


@contextmanager
def opened(browser: Browser, site: str, service_workers: str = "block") -> Iterator[Page]:
    """The page with its menu open. service_workers: whether what is kept for visits without a network is allowed."""
    context = browser.new_context(service_workers=service_workers)
    page = context.new_page()
    page.goto(site + "?workers=1")
    open_menu(page)
    yield page
    context.close()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """The page with its menu open."""
    with opened(browser, site) as page:
        yield page


@pytest.fixture
def real_page(browser: Browser, real_site: str) -> Iterator[Page]:
    """The same with the engine."""
    with opened(browser, real_site) as page:
        yield page


@pytest.fixture
def kept_page(browser: Browser, real_site: str) -> Iterator[Page]:
    """The same with the engine, kept for visits without a network."""
    with opened(browser, real_site, "allow") as page:
        yield page


@pytest.fixture(scope="module")
def lasting(browser: Browser, site: str) -> Iterator[Page]:
    with opened(browser, site) as page:
        yield page


@pytest.fixture
def unchanged(lasting: Page) -> Page:
    """The page with its menu open, shared by the tests that leave it so."""
    lasting.evaluate("document.getElementById('conversion-text').textContent = ''")
    return lasting


def open_menu(page: Page) -> None:
    expect_state(page, "ready")
    page.locator("#model-menu > summary").click()
    expect(choice(page, "umx-mini")).to_be_visible()


def choice(page: Page, name: str) -> Locator:
    return page.locator(f"#model-list [data-model='{name}']")


def expect_kept(page: Page, count: int) -> None:
    """Wait until there are so many folders and files of models."""
    kept = f"({KEPT})().then(found => found.length === {count}, () => false)"
    page.wait_for_function(kept, timeout=PATIENCE)


def pick(page: Page, paths: list[Path]) -> None:
    page.locator("#file").set_input_files(paths)


def expect_conversion(page: Page, said: str) -> None:
    expect(page.locator("#conversion-text")).to_contain_text(said, timeout=PATIENCE)


def test_the_menu_says_what_there_is_to_know(unchanged: Page) -> None:
    mini = choice(unchanged, "umx-mini")
    expect(mini.locator("input")).to_be_checked()
    expect(mini).to_contain_text(re.compile(r"\w+ · \d\.\d dB · \d\.\d MB · CC-BY-SA-4\.0"))
    expect(mini.get_by_role("button", name="Delete")).to_be_hidden()


def test_where_no_better_model_is_the_page_says_what_one_costs(visit: Callable) -> None:
    page, _ = visit()
    offer = page.locator("#offer")
    expect(offer).to_contain_text("four files to download (452 MB), kept here at 43 MB, licence")
    expect(offer).to_contain_text("CC BY-NC-SA 4.0.")
    page.get_by_role("button", name="How to get it").press("Enter")
    expect(page.get_by_role("button", name="Choose the four files of UMX-L")).to_be_focused()
    expect(page.get_by_role("link", name="Download its four files")).to_be_visible()


@pytest.mark.engine
def test_a_model_for_another_sample_rate_is_refused_in_words(visit: Callable) -> None:
    def change(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"sample_rate": 48000})

    page, _ = visit(prepare=lambda page: page.route("**/umx-mini/manifest.json", change))
    expect_state(page, "error")
    expect(page.locator("#error")).to_contain_text("for 48000 Hz; the page works at 44100 Hz")


def test_umxl_is_made_kept_used_offline_and_deleted(
    kept_page: Page, checkpoints: list[Path]
) -> None:
    page = kept_page
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose the four files of UMX-L").click()
    chooser.value.set_files(checkpoints[::-1])
    # The one by which songs are chosen, and by which phones offer music.
    file = page.locator("input[type=file]")
    expect(file).to_have_count(1)
    expect(file).to_have_attribute("accept", "audio/*,video/*")
    expect_conversion(page, "kept on this device")
    umxl = choice(page, "umxl")
    expect(umxl.locator("input")).to_be_checked()
    expect(umxl).to_contain_text("UMX-L")
    expect(umxl).to_contain_text("very good · 6.3 dB · ")
    expect(umxl).to_contain_text("CC BY-NC-SA 4.0")
    expect(umxl).to_contain_text(", on this device")
    expect(page.locator("#offer")).to_be_hidden()
    expect(page.get_by_role("button", name="Choose the four files of UMX-L")).to_be_hidden()
    expect(page.locator("#model")).to_contain_text("UMX-L", timeout=PATIENCE)
    expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE)

    page.context.set_offline(True)
    page.reload()
    open_menu(page)
    expect(choice(page, "umxl").locator("input")).to_be_checked()
    expect(page.locator("#model")).to_contain_text("UMX-L")
    drop(page, ("song.wav", wav(compose(3))))
    expect_state(page, "running")
    expect_state(page, "done")
    expect(card(page, "song").locator(".files a")).to_have_count(5)
    expect(card(page, "song").locator(".status")).to_contain_text("with UMX-L")

    choice(page, "umxl").get_by_role("button", name="Delete").click()
    expect(choice(page, "umxl")).to_have_count(0)
    expect(choice(page, "umx-mini").locator("input")).to_be_checked()
    expect(page.locator("#model")).to_contain_text("umx-mini", timeout=PATIENCE)


# Has a file of the model on this device be damaged.
DAMAGE = """async () => {
  const root = await navigator.storage.getDirectory();
  const models = await root.getDirectoryHandle("umx models");
  const model = await models.getDirectoryHandle("umxl");
  const file = await model.getFileHandle("vocals.safetensors.gz");
  const stream = await file.createWritable();
  await stream.write("no weights");
  await stream.close();
}"""


def test_a_kept_model_that_is_damaged_is_done_without(
    real_page: Page, checkpoints: list[Path]
) -> None:
    page = real_page
    pick(page, checkpoints)
    expect_conversion(page, "kept on this device")
    expect(page.locator("#model")).to_contain_text("UMX-L", timeout=PATIENCE)
    page.evaluate(DAMAGE)
    page.reload()
    expect(page.locator("#model")).to_contain_text("umx-mini", timeout=PATIENCE)
    expect_state(page, "ready")
    expect_conversion(page, "The model on this device can't be used: ")
    expect(choice(page, "umx-mini").locator("input")).to_be_checked()


def test_files_that_lack_or_are_others_are_named_and_leave_nothing(
    unchanged: Page, checkpoints: list[Path], tmp_path: Path
) -> None:
    pick(unchanged, checkpoints[:2])
    expect_conversion(unchanged, "UMX-L also needs bass-")
    other = tmp_path / "other.pth"
    other.write_bytes(b"<!doctype html>")
    pick(unchanged, [other])
    expect_conversion(
        unchanged,
        "No whole, unchanged file of UMX-L, UMX-HQ, HTDemucs is among these: other.pth",
    )
    expect(unchanged.locator("#model-list li")).to_have_count(1)
    expect(unchanged.locator("#umxl-official .pick")).to_be_enabled()


def test_checkpoints_may_be_dropped_while_a_song_is_at_work(
    real_page: Page, checkpoints: list[Path]
) -> None:
    """They are converted, and the song goes on with the model that it began with; the next one takes the new one."""
    page = real_page
    drop(page, ("long.wav", wav(np.tile(compose(4), (75, 1)))))
    expect_state(page, "running")
    contents = {path.name: b64encode(path.read_bytes()).decode() for path in checkpoints}
    transfer = page.evaluate_handle(DATA_TRANSFER, contents)
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect_conversion(page, "kept on this device")
    expect_state(page, "running")
    expect(page.locator("#model")).to_contain_text("umx-mini")
    expect(page.locator(".card")).to_have_count(1)

    page.get_by_role("button", name="Cancel long").click()
    expect(page.locator("#model")).to_contain_text("UMX-L", timeout=PATIENCE)
    expect(choice(page, "umxl").locator("input")).to_be_checked()


def test_where_the_site_s_policy_allows_it_the_page_fetches_umxl_itself(
    page: Page, archive: Server
) -> None:
    page.locator("details:has(#promise) > summary").click()
    expect(page.locator("#promise")).to_contain_text(f"and to {archive.url} for models")
    page.get_by_role("button", name="Download and use UMX-L").click()
    expect_conversion(page, "kept on this device")
    expect(choice(page, "umxl").locator("input")).to_be_checked()


def test_a_download_goes_on_where_the_connection_broke(page: Page, archive: Server) -> None:
    archive.answers[:], archive.ranges[:] = ["honest", "cut"], []
    archive.may_cut.clear()
    page.get_by_role("button", name="Download and use UMX-L").click()
    size = len(list(archive.files.values())[1])
    half = size // 2
    bar = page.locator("#conversion")
    expect(bar).to_have_js_property("value", 0.8 * (1 + half / size) / 4, timeout=PATIENCE)
    archive.may_cut.set()
    expect_conversion(page, "kept on this device")
    assert archive.ranges == [None, None, f"bytes={half}-", None, None]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("missing", "can't be fetched: the server answered 404."),
        ("hang up", "can't be fetched: the network is gone, or the server."),
    ],
)
def test_a_file_that_cant_be_fetched_is_named(
    unchanged: Page, archive: Server, answer: str, reason: str
) -> None:
    archive.answers[:] = ["honest", answer, answer]
    unchanged.get_by_role("button", name="Download and use UMX-L").click()
    name = list(archive.files)[1]
    expect_conversion(unchanged, f"{archive.url}/api/records/5069601/files/{name}/content {reason}")
    expect(unchanged.locator("#model-list li")).to_have_count(1)
    assert unchanged.evaluate(KEPT) == []


@pytest.mark.parametrize("answer", ["error page", "wrong bytes"])
def test_a_download_of_something_else_leaves_nothing(
    unchanged: Page, archive: Server, answer: str
) -> None:
    archive.answers[:] = ["honest", answer]
    unchanged.get_by_role("button", name="Download and use UMX-L").click()
    expect_conversion(unchanged, f"UMX-L also needs {list(archive.files)[1]}, whole and unchanged.")
    assert unchanged.evaluate(KEPT) == []


def test_a_conversion_can_be_cancelled_and_leaves_nothing(
    browser: Browser, site: str, checkpoints: list[Path]
) -> None:
    context = browser.new_context(service_workers="block")  # it would answer with the kept file
    page = context.new_page()
    page.goto(site + "?workers=1")
    open_menu(page)
    cancel, bar = page.locator("#cancel-conversion"), page.locator("#conversion")
    expect(cancel).to_be_hidden()
    page.route("**/app/worker/converting.py", lambda route: route.fulfill(body=STUCK))
    pick(page, checkpoints)
    expect(bar).to_have_js_property("value", 0.5, timeout=PATIENCE)
    assert page.evaluate(KEPT) == ["umxl.unfinished", "vocals.safetensors.gz"]
    said = "document.getElementById('conversion-text').textContent"
    with within_a_second(page, f"{said} === 'Cancelled.'"):
        cancel.click()
    expect(page.locator("#conversion-text")).to_have_text("Cancelled.")
    expect(cancel).to_be_hidden()
    expect(bar).to_be_hidden()
    expect_kept(page, 0)

    let_through(page, "**/app/worker/converting.py")
    pick(page, checkpoints)
    expect_conversion(page, "kept on this device")
    context.close()


def test_what_a_page_has_left_half_made_is_thrown_away_by_another(
    browser: Browser, site: str, checkpoints: list[Path]
) -> None:
    context = browser.new_context(service_workers="block")
    page, other = context.new_page(), context.new_page()
    page.route("**/app/worker/converting.py", lambda route: route.fulfill(body=STUCK))
    page.goto(site + "?workers=1")
    open_menu(page)
    pick(page, checkpoints)
    bar = page.locator("#conversion")
    expect(bar).to_have_js_property("value", 0.5, timeout=PATIENCE)
    other.goto(site + "?workers=1")
    expect_state(other, "ready")
    # Not as long as the page may be at work on it.
    assert other.evaluate(KEPT) == ["umxl.unfinished", "vocals.safetensors.gz"]
    page.close()
    expect_kept(other, 0)
    context.close()


def test_a_full_disk_costs_no_model_that_is_there(page: Page, checkpoints: list[Path]) -> None:
    pick(page, checkpoints)
    expect_conversion(page, "kept on this device")
    kept = page.evaluate(KEPT)
    assert len(kept) == 1 + len(checkpoints) + 1
    used = page.evaluate("navigator.storage.estimate().then(estimate => estimate.usage)")
    session = page.context.new_cdp_session(page)
    quota = {"origin": page.evaluate("origin"), "quotaSize": used + 100_000}
    session.send("Storage.overrideQuotaForOrigin", quota)
    pick(page, checkpoints)
    expect_conversion(page, "This device has no room for UMX-L: free some, and try again.")
    assert page.evaluate(KEPT) == kept
    session.send("Storage.overrideQuotaForOrigin", {"origin": quota["origin"]})
    pick(page, checkpoints)
    expect_conversion(page, "kept on this device")
    assert page.evaluate(KEPT) == kept


def test_by_default_the_page_fetches_nothing_from_elsewhere(
    shared: tuple[Page, list[str]],
) -> None:
    page, _ = shared
    open_menu(page)
    expect(page.locator("#umxl-official a")).to_have_attribute(
        "href", f"{umxl.ZENODO}/records/5069601"
    )
    expect(page.locator("#umxl-official .fetch")).to_be_hidden()


def test_half_a_model_is_none(visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.route("**/weights/index.json", lambda route: route.fulfill(body="<!doctype html>"))

    page, _ = visit("?workers=1", prepare)
    expect_state(page, "ready")
    page.evaluate(
        """async () => {
          const root = await navigator.storage.getDirectory();
          const models = await root.getDirectoryHandle("umx models", { create: true });
          const folder = await models.getDirectoryHandle("umxl", { create: true });
          const file = await folder.getFileHandle("manifest.json", { create: true });
          const stream = await file.createWritable();
          await stream.write("{ half");
          await stream.close();
          localStorage.setItem("model", "umxl");
        }"""
    )
    page.goto(page.url + "&model=umx-mini")
    expect_state(page, "ready")
    page.locator("#model-menu > summary").click()
    expect(page.locator("#own-model")).to_be_visible()
    expect(page.locator("#model-list li")).to_have_count(0)
