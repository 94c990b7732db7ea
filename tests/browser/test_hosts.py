"""Models on static hosts as they are: with and without ranges, packing on the way, breaking off, wrong."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from asking import asking, load
from pages import build_site, expect_all_kept, serving
from playwright.sync_api import Browser, Page, expect
from songs import PATIENCE, expect_state

from scripts.build import SERVICE_WORKER, service_worker
from scripts.serve import Handler
from tests.scripts import server
from tests.scripts.server import ERROR_PAGE, Server

FILE = "vocals.safetensors.gz"

# Waits until the service worker has read so many bytes of the answer for a file, for so many milliseconds.
WATCH = """([file, bytes, patience]) => {
  const { fetch } = self;
  self.reached = new Promise((done, fail) => {
    setTimeout(fail, patience, "so many bytes were not read");
    self.fetch = async (url, ...options) => {
      const response = await fetch(url, ...options);
      if ((url.url ?? url).endsWith(file)) {
        const { body } = response;
        body.getReader = () => {
          const reader = ReadableStream.prototype.getReader.call(body);
          const read = reader.read.bind(reader);
          reader.read = async () => {
            const step = await read();
            bytes -= step.value?.length ?? 0;
            if (bytes <= 0) done();
            return step;
          };
          return reader;
        };
      }
      return response;
    };
  });
}"""

# Begins to load the model with the worker that a test asks.
BEGIN = """() => {
  const url = new URL("weights/umx-mini/", document.baseURI).href;
  window.loading = ask("load", { url, files: null }).then((messages) => messages.at(-1).kind);
}"""


class Host(server.Handler, Handler):
    """Answers honestly but for the vocals' weights."""

    def do_GET(self) -> None:  # noqa: N802 (http.server's name)
        if self.path.endswith("/" + FILE):
            self.answer(Path(self.translate_path(self.path)).read_bytes())
        else:
            Handler.do_GET(self)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a second model, which is the first one again."""
    site = build_site(tmp_path_factory.mktemp("built") / "site")
    shutil.copytree(site / "weights" / "umx-mini", site / "weights" / "other")
    (site / SERVICE_WORKER).write_text(service_worker(site))
    return site


@pytest.fixture
def host(site: Path) -> Iterator[Server]:
    http = Server({}, partial(Host, directory=str(site)))
    with serving(http):
        yield http


@pytest.fixture
def visit(browser: Browser, host: Server) -> Iterator[Callable[..., Page]]:
    contexts = []

    def visit(query: str = "", service_workers: str = "block", error_page: str = "") -> Page:
        """error_page: the pattern of what an error page comes in place of."""
        contexts.append(browser.new_context(service_workers=service_workers))
        page = contexts[-1].new_page()
        if error_page:
            page.route(error_page, lambda route: route.fulfill(body=ERROR_PAGE))
        page.goto(f"http://localhost:{host.server_port}/?workers=1{query}")
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def half(site: Path) -> int:
    return (site / "weights" / "umx-mini" / FILE).stat().st_size // 2


def expect_resumed(host: Server, half: int) -> None:
    """The second request was for what the first had not brought."""
    assert host.ranges[0] is None
    begin = int(str(host.ranges[1]).removeprefix("bytes=").removesuffix("-"))
    # What the browser has taken in but not given yet is lost with the connection.
    assert 0.9 * half < begin <= half


@pytest.mark.parametrize("answer", ["cut", "encoded cut"])
def test_weights_come_though_the_connection_breaks(
    visit: Callable[..., Page], host: Server, half: int, answer: str
) -> None:
    host.answers = [answer]
    host.may_cut.clear()
    page = visit()
    # All but an eighth of the model, which is the last three tenths of getting ready; what is unpacked on its way
    # counts as all of it early.
    said = "96%" if answer == "cut" else "100%"
    expect(page.locator("#engine")).to_contain_text(said, timeout=PATIENCE)
    host.may_cut.set()
    expect_state(page, "ready")
    if answer == "cut":
        expect_resumed(host, half)
    else:
        assert host.ranges[:2] == [None, None]
    assert not host.answers


@pytest.fixture(scope="module")
def worker(browser: Browser, site: Path) -> Iterator[tuple[Page, Server]]:
    """A page with a worker to ask, and its host."""
    http = Server({}, partial(Host, directory=str(site)))
    with (
        serving(http),
        asking(browser, f"http://localhost:{http.server_port}/") as page,
    ):
        yield page, http


@pytest.mark.parametrize("answer", ["no ranges", "another range", "false range"])
def test_weights_come_whatever_answers_the_rest(
    worker: tuple[Page, Server], half: int, answer: str
) -> None:
    page, host = worker
    host.answers, host.ranges = ["cut", answer], []
    host.may_cut.clear()
    page.evaluate(BEGIN)
    page.wait_for_function("messages.at(-1)?.fraction > 0.96", timeout=PATIENCE)
    host.may_cut.set()
    assert page.evaluate("loading") == "answer"
    expect_resumed(host, half)
    assert not host.answers


@pytest.mark.parametrize("place", [0, 1, -1])
def test_weights_come_wherever_the_connection_breaks(
    worker: tuple[Page, Server], place: int
) -> None:
    page, host = worker
    host.answers, host.ranges = [f"cut at {place}"], []
    assert load(page)[-1]["kind"] == "answer"
    assert not host.answers
    assert len(host.ranges) == 2


def test_weights_come_packed_on_their_way(worker: tuple[Page, Server]) -> None:
    page, host = worker
    host.answers, host.ranges = ["encoded"], []
    assert load(page)[-1]["kind"] == "answer"
    assert host.ranges == [None]


def test_a_service_worker_goes_on_too(visit: Callable[..., Page], host: Server, half: int) -> None:
    page = visit(service_workers="allow")
    expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE)
    (worker,) = page.context.service_workers
    # The page's own request passes through as it is.
    host.answers, host.ranges = ["honest", "cut"], []
    host.may_cut.clear()
    worker.evaluate(WATCH, [FILE, half, PATIENCE])
    page.goto(f"{page.url}&model=other")
    worker.evaluate("self.reached")
    host.may_cut.set()
    expect_all_kept(page)
    assert host.ranges == [None, None, f"bytes={half}-"]


@pytest.mark.parametrize("name", ["manifest.json", FILE])
def test_an_error_page_with_status_200_is_told_of_by_the_files_name(
    visit: Callable[..., Page], name: str
) -> None:
    page = visit("&model=umx-mini", error_page=f"**/{name}")
    expect_state(page, "error")
    expect(page.locator("#error")).to_contain_text(f"{name} is not there: a web page came instead")
