"""Serve the page from this checkout and open it: `python3 scripts/serve.py`."""

import argparse
import io
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, AnyStr, BinaryIO

import required_python  # noqa: F401
from build import ROOT, SERVICE_WORKER, prepare, service_worker
from vendor import run

if TYPE_CHECKING:
    from _typeshed import SupportsRead, SupportsWrite

PORT = 8000


class Handler(SimpleHTTPRequestHandler):
    """Static files with the types that browsers insist on, whatever the machine's own table says."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".gz": "application/gzip",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript",
        ".json": "application/json",
        ".mjs": "text/javascript",
        ".py": "text/x-python; charset=utf-8",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
        ".whl": "application/zip",
    }

    def log_message(self, *args: object) -> None:
        """Keep the terminal for what matters."""

    def copyfile(self, source: "SupportsRead[AnyStr]", outputfile: "SupportsWrite[AnyStr]") -> None:
        """Send a file, to whoever still wants it: browsers hang up when a page is closed."""
        with suppress(ConnectionError):
            super().copyfile(source, outputfile)


def server(folder: Path, port: int = 0, prefix: str = "/") -> ThreadingHTTPServer:
    """A server of `folder` on this computer alone, on a free port if `port` is taken or 0.

    prefix: the path under which it lies, such as "/some/where/"; everything else is not found.
    """

    class Prefixed(Handler):
        def translate_path(self, path: str) -> str:
            if not path.startswith(prefix):
                return str(folder / "nothing here")
            return super().translate_path("/" + path[len(prefix) :])

        def send_head(self) -> BinaryIO | None:
            # A checkout has no service worker until its files are listed; a built site has one.
            if self.path != prefix + SERVICE_WORKER or (folder / SERVICE_WORKER).exists():
                return super().send_head()
            script = service_worker(folder).encode()
            self.send_response(200)
            self.send_header("Content-Type", self.extensions_map[".js"])
            self.send_header("Content-Length", str(len(script)))
            self.end_headers()
            return io.BytesIO(script)

    handler: Callable[..., Prefixed] = partial(Prefixed, directory=str(folder))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--no-open", action="store_true", help="don't open a browser")
    args = parser.parse_args()
    prepare()
    with server(ROOT, args.port) as http:
        url = f"http://localhost:{http.server_port}/"
        print(f"The page is at {url} (stop with Ctrl-C).", flush=True)
        if not args.no_open:
            webbrowser.open(url)
        try:
            http.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    run(main)
