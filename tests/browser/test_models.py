"""The model menu: what it lists, and an official model made in the page of picked checkpoints."""

import hashlib
import threading
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from build import SERVICE_WORKER, build, service_worker
from playwright.sync_api import Browser, Locator, Page, expect
from serve import server
from songs import PATIENCE, card, compose, drop, expect_state, wav

from tests.checkpoints import pth, random_state
from umx.official import OFFICIAL

# What a drop of files carries, from {name: base64}.
DATA_TRANSFER = """async contents => {
  const transfer = new DataTransfer();
  for (const [name, text] of Object.entries(contents)) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  return transfer;
}"""
ZENODO = "https://zenodo.org"
TARGETS = tuple(OFFICIAL["umxl"].checkpoints)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Random networks of the official shape, but for their width, under names of the visitor's own."""
    folder = tmp_path_factory.mktemp("picked")
    paths = []
    for seed, target in enumerate(TARGETS):
        paths.append(folder / f"{target} (1).pth")
        paths[-1].write_bytes(pth(random_state(16, 2049, 1487, seed)))
    return paths


class Archive(BaseHTTPRequestHandler):
    """Where the official files are, with Zenodo's paths and headers."""

    files: ClassVar[dict[str, Path]] = {}

    def do_GET(self) -> None:
        _, api, records, _, files, name, content = self.path.split("/")
        found = (api, records, files, content) == ("api", "records", "files", "content")
        data = self.files[name].read_bytes() if found and name in self.files else b""
        self.send_response(200 if data else 404)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def running(http: ThreadingHTTPServer) -> Iterator[str]:
    """The server's address while it runs."""
    with http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://localhost:{http.server_port}"
        http.shutdown()
        thread.join()


def replace_in(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture(scope="module")
def archive(checkpoints: list[Path]) -> Iterator[str]:
    for path, name in zip(checkpoints, OFFICIAL["umxl"].checkpoints.values(), strict=True):
        digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        Archive.files[f"{name[:-12]}{digits}.pth"] = path
    with running(ThreadingHTTPServer(("127.0.0.1", 0), Archive)) as url:
        yield url


@pytest.fixture(scope="module")
def umxl_site(tmp_path_factory: pytest.TempPathFactory, archive: str) -> Iterator[str]:
    """A site that may fetch from the archive, in which those networks are UMX-L."""
    site = build(tmp_path_factory.mktemp("built") / "site")
    policy = "connect-src 'self'"
    replace_in(site / "index.html", (policy, f"{policy} {archive}"), (ZENODO, archive))
    (wheel,) = (site / "app" / "vendor" / "umx").glob("*.whl")
    unpacked = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(unpacked)
    names = zip(OFFICIAL["umxl"].checkpoints.values(), Archive.files, strict=True)
    replace_in(unpacked / "umx" / "official.py", (ZENODO, archive), *names)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(unpacked.rglob("*")):
            packed.write(path, path.relative_to(unpacked))
    (site / SERVICE_WORKER).write_text(service_worker(site))
    with running(server(site)) as url:
        yield url + "/"


@pytest.fixture
def page(browser: Browser, umxl_site: str) -> Iterator[Page]:
    """The page with its menu open."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(umxl_site + "?workers=1")
    open_menu(page)
    yield page
    context.close()


def open_menu(page: Page) -> None:
    expect_state(page, "ready")
    page.locator("#model-menu > summary").click()
    expect(choice(page, "umx-mini")).to_be_visible()


def choice(page: Page, name: str) -> Locator:
    return page.locator(f"#model-list [data-model='{name}']")


def pick(page: Page, paths: list[Path]) -> None:
    page.locator("#checkpoints").set_input_files(paths)


def expect_conversion(page: Page, said: str) -> None:
    expect(page.locator("#conversion-text")).to_contain_text(said, timeout=PATIENCE)


def test_the_menu_says_what_there_is_to_know(page: Page) -> None:
    mini = choice(page, "umx-mini")
    expect(mini.locator("input")).to_be_checked()
    expect(mini).to_contain_text("MB, CC-BY-SA-4.0, SDR")
    expect(mini.get_by_role("button", name="Delete")).to_be_hidden()


def test_umxl_is_made_kept_used_offline_and_deleted(page: Page, checkpoints: list[Path]) -> None:
    pick(page, checkpoints[::-1])
    expect_conversion(page, "kept on this device")
    umxl = choice(page, "umxl")
    expect(umxl.locator("input")).to_be_checked()
    expect(umxl).to_contain_text("UMX-L")
    expect(umxl).to_contain_text("CC BY-NC-SA 4.0, SDR 6.3 dB, recommended, on this device")
    expect(page.locator("#model")).to_contain_text("UMX-L", timeout=PATIENCE)
    expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE)

    page.context.set_offline(True)
    page.reload()
    open_menu(page)
    expect(choice(page, "umxl").locator("input")).to_be_checked()
    expect(page.locator("#model")).to_contain_text("UMX-L")
    drop(page, ("song.wav", wav(compose(3))))
    expect_state(page, "running")
    expect(choice(page, "umx-mini").locator("input")).to_be_disabled()
    expect_state(page, "done")
    expect(card(page, "song").locator(".files a")).to_have_count(5)

    choice(page, "umxl").get_by_role("button", name="Delete").click()
    expect(choice(page, "umxl")).to_have_count(0)
    expect(choice(page, "umx-mini").locator("input")).to_be_checked()
    expect(page.locator("#model")).to_contain_text("umx-mini", timeout=PATIENCE)


def test_files_that_lack_or_are_others_are_named_and_leave_nothing(
    page: Page, checkpoints: list[Path], tmp_path: Path
) -> None:
    pick(page, checkpoints[:2])
    expect_conversion(page, "UMX-L also needs bass-")
    other = tmp_path / "other.pth"
    other.write_bytes(b"<!doctype html>")
    pick(page, [other])
    expect_conversion(
        page, "No file of UMX-L or UMX-HQ, whole and unchanged, is among these: other.pth"
    )
    expect(page.locator("#model-list li")).to_have_count(1)
    expect(page.locator("#checkpoints")).to_be_enabled()


def test_checkpoints_may_be_dropped_while_a_song_is_at_work(
    page: Page, checkpoints: list[Path]
) -> None:
    """They are converted, and the song goes on with the model that it began with."""
    drop(page, ("long.wav", wav(np.tile(compose(4), (75, 1)))))
    expect_state(page, "running")
    contents = {path.name: b64encode(path.read_bytes()).decode() for path in checkpoints}
    transfer = page.evaluate_handle(DATA_TRANSFER, contents)
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect_conversion(page, "Choose it when your songs are done.")
    expect_state(page, "running")
    expect(choice(page, "umx-mini").locator("input")).to_be_checked()
    expect(page.locator(".card")).to_have_count(1)

    page.get_by_role("button", name="Cancel long").click()
    choice(page, "umxl").locator("input").check()
    expect(page.locator("#model")).to_contain_text("UMX-L", timeout=PATIENCE)


def test_where_the_site_s_policy_allows_it_the_page_fetches_umxl_itself(
    page: Page, archive: str
) -> None:
    page.locator("details:has(#promise) > summary").click()
    expect(page.locator("#promise")).to_contain_text(f"and to {archive} for models")
    page.get_by_role("button", name="Download and use UMX-L").click()
    expect_conversion(page, "kept on this device")
    expect(choice(page, "umxl").locator("input")).to_be_checked()


def test_a_file_that_cant_be_fetched_is_named(
    page: Page, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = list(Archive.files)[1]
    monkeypatch.delitem(Archive.files, name)
    page.get_by_role("button", name="Download and use UMX-L").click()
    url = f"{archive}/api/records/5069601/files/{name}/content"
    expect_conversion(page, f"{url} can't be downloaded: the server answered 404.")
    expect(page.locator("#model-list li")).to_have_count(1)


def test_by_default_the_page_fetches_nothing_from_elsewhere(
    shared: tuple[Page, list[str]],
) -> None:
    page, _ = shared
    open_menu(page)
    expect(page.locator("#own-model a")).to_have_attribute("href", f"{ZENODO}/records/5069601")
    expect(page.locator("#fetch-official")).to_be_hidden()


def test_half_a_model_is_none(page: Page) -> None:
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
    page.route("**/weights/index.json", lambda route: route.fulfill(body="<!doctype html>"))
    page.goto(page.url + "&model=umx-mini")
    expect_state(page, "ready")
    page.locator("#model-menu > summary").click()
    expect(page.locator("#own-model")).to_be_visible()
    expect(page.locator("#model-list li")).to_have_count(0)
