"""Serve the page from this checkout and open it: `python3 scripts/serve.py`.

At the first start UMX-L comes in the background, 452 MB from its makers, and the page uses it as soon as it is here.
"""

import argparse
import io
import json
import signal
import sys
import webbrowser
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, AnyStr, BinaryIO
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.build import INDEX, SERVICE_WORKER, prepare, service_worker
from scripts.common.coming import Coming
from scripts.common.environment import ROOT
from scripts.vendor import run

if TYPE_CHECKING:
    from _typeshed import SupportsRead, SupportsWrite

PORT = 8000


class Handler(SimpleHTTPRequestHandler):
    """Serves static files with the types that browsers demand, whatever the machine's own table says."""

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
        """Print nothing: requests are of no interest."""

    def copyfile(self, source: "SupportsRead[AnyStr]", outputfile: "SupportsWrite[AnyStr]") -> None:
        """Send a file. A browser may hang up, since its page is closed."""
        with suppress(ConnectionError):
            super().copyfile(source, outputfile)


def server(
    folder: Path, port: int = 0, prefix: str = "/", coming: Coming | None = None
) -> ThreadingHTTPServer:
    """A server of `folder` on this computer alone, on a free port if `port` is taken or 0.

    prefix: the path under which it lies, such as "/some/where/"; everything else is not found.
    coming: a model that the index of models also names, as long as it is on its way.
    """

    class Prefixed(Handler):
        def translate_path(self, path: str) -> str:
            if not path.startswith(prefix):
                return str(folder / "nothing here")
            return super().translate_path("/" + path[len(prefix) :])

        def send_head(self) -> BinaryIO | None:
            address = urlsplit(self.path)
            # A service worker asks with a sha256, for the file itself, without the model that is on its way.
            if address.path == prefix + INDEX and not address.query.startswith("sha256="):
                with suppress(FileNotFoundError):
                    return self.send_now(".json", index(folder, coming))
            # A built site has a service worker. A checkout gets one here, with a list of its files.
            if self.path == prefix + SERVICE_WORKER and not (folder / SERVICE_WORKER).exists():
                return self.send_now(".js", service_worker(folder))
            return super().send_head()

        def send_now(self, suffix: str, text: str) -> BinaryIO:
            """Begin an answer that browsers must not cache."""
            data = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", self.extensions_map[suffix])
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            return io.BytesIO(data)

    handler: Callable[..., Prefixed] = partial(Prefixed, directory=str(folder))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)


def index(folder: Path, coming: Coming | None) -> str:
    """The site's index of models, and in it the model that is on its way. Raises FileNotFoundError."""
    text = (folder / INDEX).read_text("utf-8")
    entry = coming and coming.entry()
    if not entry:
        return text
    models = json.loads(text)
    if all(model["name"] != entry["name"] for model in models):
        models.append(entry)
    return json.dumps(models, ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--no-open", action="store_true", help="don't open a browser")
    parser.add_argument("--without-umxl", action="store_true", help="don't bring UMX-L")
    args = parser.parse_args()
    prepare()
    coming = None if args.without_umxl else Coming("umxl", ROOT / "weights")
    with server(ROOT, args.port, coming=coming) as http:
        url = f"http://localhost:{http.server_port}/"
        print(f"The page is at {url} (stop with Ctrl-C).", flush=True)
        try:
            with coming or nullcontext():
                if not args.no_open:
                    webbrowser.open(url)
                http.serve_forever()
        except KeyboardInterrupt:
            print()


def end_in_order() -> None:
    """Have the process clean up when a signal ends it, or its terminal is closed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores one of them
            signal.signal(number, lambda number, frame: sys.exit(128 + number))


if __name__ == "__main__":
    end_in_order()
    run(main)
