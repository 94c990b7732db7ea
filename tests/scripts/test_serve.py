import json
import re
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts import serve, vendor

Serve = Callable[..., str]
TYPES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
    "icon.png": "image/png",
    "page.json": "application/json",
    "site.webmanifest": "application/manifest+json",
    "core.js": "text/javascript",
    "micropython.mjs": "text/javascript",
    "micropython.wasm": "application/wasm",
    "main.py": "text/x-python; charset=utf-8",
    "umx-1.0-py3-none-any.whl": "application/zip",
    "python_stdlib.zip": "application/zip",
    "bass.safetensors.gz": "application/gzip",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    for name in TYPES:
        (folder / name).write_text(f"content of {name}")
    (tmp_path / "secret.txt").write_text("not of the site")
    return folder


@pytest.fixture
def start(site: Path) -> Iterator[Serve]:
    """Serves the site; returns its URL."""
    with ExitStack() as stack:

        def run(prefix: str = "/", coming: Any = None) -> str:
            http = stack.enter_context(serve.server(site, 0, prefix, coming))
            threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(http.shutdown)
            return f"http://127.0.0.1:{http.server_port}{prefix}"

        yield run


def get(url: str) -> HTTPResponse:
    response: HTTPResponse = urllib.request.urlopen(url)
    return response


@pytest.mark.parametrize("prefix", ["/", "/some/where/"])
def test_every_file_has_the_type_that_browsers_need(start: Serve, prefix: str) -> None:
    url = start(prefix)
    for name, kind in TYPES.items():
        with get(url + name) as response:
            assert response.headers["Content-Type"] == kind
            assert response.headers["Content-Encoding"] is None
            assert response.read().decode() == f"content of {name}"


@pytest.mark.parametrize("prefix", ["/", "/some/where/"])
def test_the_folder_is_the_page(start: Serve, prefix: str) -> None:
    for address in (start(prefix), start(prefix) + "?workers=2"):
        with get(address) as response:
            assert response.read() == b"content of index.html"


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/some/index.html", "/other/where/index.html"]
)
def test_nothing_lies_outside_the_prefix(start: Serve, path: str) -> None:
    url = start("/some/where/").removesuffix("/some/where/")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(url + path)


@pytest.mark.parametrize("path", ["../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "none"])
@pytest.mark.parametrize("prefix", ["/", "/some/where/"])
def test_nothing_but_the_site_is_served(start: Serve, prefix: str, path: str) -> None:
    host = start(prefix).removeprefix("http://").partition("/")[0]
    connection = HTTPConnection(host)  # as it is: urllib would tidy the path up
    connection.request("GET", prefix + path)
    assert connection.getresponse().status == 404
    connection.close()


def test_a_visitor_who_hangs_up_is_no_news(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (site / "large.bin").write_bytes(bytes(50_000_000))  # more than the connection holds
    with serve.server(site) as http:
        http.daemon_threads = False  # so that leaving the block waits for the one that answers
        visitor = socket.create_connection(("127.0.0.1", http.server_port))
        visitor.sendall(b"GET /large.bin HTTP/1.0\r\n\r\n")
        http.handle_request()
        visitor.recv(1000)
        visitor.close()
    assert capfd.readouterr().err == ""


def test_a_port_in_use_is_replaced(site: Path) -> None:
    with serve.server(site) as first, serve.server(site, first.server_port) as second:
        assert second.server_port != first.server_port


def test_only_this_computer_is_served(site: Path) -> None:
    with serve.server(site) as http:
        assert http.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("prefix", ["/", "/some/where/"])
def test_a_site_s_own_service_worker_is_served(start: Serve, site: Path, prefix: str) -> None:
    (site / "service-worker.js").write_text("the site's own")
    with get(start(prefix) + "service-worker.js") as response:
        assert response.headers["Content-Type"] == "text/javascript"
        assert response.read() == b"the site's own"


@pytest.mark.parametrize("prefix", ["/", "/some/where/"])
def test_a_checkout_s_service_worker_lists_its_files(start: Serve, site: Path, prefix: str) -> None:
    for folder in ("app", "weights"):
        (site / folder).mkdir()
    (site / "app" / "main.py").write_text("print()")
    with get(start(prefix) + "service-worker.js") as response:
        assert response.headers["Content-Type"] == "text/javascript"
        script = response.read().decode()
    assert script.startswith("const FILES = {")
    assert '"app/main.py"' in script


@pytest.mark.parametrize("prefix", ["/", "/some/where/"])
def test_the_index_names_a_model_that_is_on_its_way(start: Serve, site: Path, prefix: str) -> None:
    (site / "weights").mkdir()
    file = site / "weights" / "index.json"
    file.write_text('[{"name": "small"}]')
    fractions = iter([0.25, 0.5])
    coming = SimpleNamespace(entry=lambda: {"name": "large", "coming": next(fractions)})
    url = start(prefix, coming) + "weights/index.json"
    for address, fraction in ((url, 0.25), (url + "?now", 0.5)):
        with get(address) as response:
            assert response.headers["Content-Type"] == "application/json"
            assert response.headers["Cache-Control"] == "no-cache"
            small, large = json.load(response)
        assert (small, large) == ({"name": "small"}, {"name": "large", "coming": fraction})
    # Who asks by the hash wants the file.
    with get(url + "?sha256=0") as response:
        assert response.read() == file.read_bytes()

    # Whole before anyone has noticed that nothing is on its way any more.
    file.write_text('[{"name": "large"}]')
    coming.entry = lambda: {"name": "large", "coming": 1}
    with get(url) as response:
        assert json.load(response) == [{"name": "large"}]
    # At last nothing is: within the same second, which is all that Last-Modified can tell.
    coming.entry = lambda: None
    with get(url) as response:
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["Last-Modified"] is None
        assert response.read() == file.read_bytes()


@pytest.fixture
def main(site: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Runs the script with nothing to prepare, until Ctrl-C; returns the pages that it opened."""

    def interrupted(http: ThreadingHTTPServer) -> None:
        raise KeyboardInterrupt

    def run(*words: str) -> list[str]:
        opened: list[str] = []
        monkeypatch.setattr(sys, "argv", ["serve.py", "--without-umxl", *words])
        monkeypatch.setattr(serve.webbrowser, "open", opened.append)
        serve.main()
        return opened

    monkeypatch.setattr(serve, "prepare", lambda: None)
    monkeypatch.setattr(serve, "ROOT", site)
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", interrupted)
    return run


def test_the_page_is_opened_at_the_address_that_is_told(
    main: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (url,) = main("--port", "0")
    assert re.fullmatch(r"http://localhost:\d+/", url)
    assert f"The page is at {url} " in capsys.readouterr().out


def test_no_browser_is_opened_where_none_is_wanted(
    main: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("--port", "0", "--no-open") == []
    assert "The page is at http://localhost:" in capsys.readouterr().out


def test_the_address_names_the_port_that_is_used(
    main: Callable[..., list[str]], site: Path
) -> None:
    with serve.server(site) as http:
        taken = http.server_port
        (url,) = main("--port", str(taken))
    assert not url.endswith(f":{taken}/")


def test_what_is_served_by_main_is_the_checkout(
    site: Path, monkeypatch: pytest.MonkeyPatch, main: Callable[..., list[str]]
) -> None:
    def visited(http: ThreadingHTTPServer) -> None:
        visitor = threading.Thread(target=http.handle_request)
        visitor.start()
        with get(f"http://127.0.0.1:{http.server_port}/index.html") as response:
            assert response.read() == b"content of index.html"
        visitor.join()

    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", visited)
    assert len(main("--port", "0")) == 1


def test_a_runtime_that_can_not_be_had_ends_it_in_a_sentence(
    main: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline() -> None:
        raise vendor.VendorError("pyodide could not be had")

    monkeypatch.setattr(serve, "prepare", offline)
    with pytest.raises(SystemExit, match="pyodide could not be had"):
        serve.run(lambda: main("--port", "0"))
