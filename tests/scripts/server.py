"""A server on this computer that behaves as the worst do."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERROR_PAGE = b"<!doctype html><title>Sign in to the hotel's network</title>"


class Server(ThreadingHTTPServer):
    """Serves files; `answers` says how the next requests are answered, after that honestly."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        handler: Callable[..., BaseHTTPRequestHandler] | None = None,
    ) -> None:
        """files: what is served by name, in whatever folder it is asked for; handler: a Handler, or like one."""
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.answers: list[str] = []
        self.ranges: list[str | None] = []  # the Range header of every request, in order
        self.files = files
        self.may_cut = threading.Event()  # what is cut waits for it, after its first bytes
        self.may_cut.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.answer(self.server.files.get(self.path.rpartition("/")[2]))

    def answer(self, data: bytes | None) -> None:
        """Answer a request for a file, if it is there, in the next of the server's ways."""
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        how = self.server.answers.pop(0) if self.server.answers else "honest"
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if data is None or how == "missing":
            self.send_error(404)
        elif how == "busy":
            self.send_error(503)
        elif how == "too many":
            self.send_error(429)
        elif how == "hang up":
            self.close_connection = True
        elif how == "endless":
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):
                while True:
                    self.wfile.write(bytes(1 << 16))
        elif how == "no length":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)
        elif how == "no ranges":
            self.reply(200, data)
        elif how == "error page":
            self.reply(200, ERROR_PAGE)
        elif how == "wrong bytes":
            self.reply(200, bytes(len(data)))
        elif start >= len(data):
            self.send_error(416)
        elif how == "another range":
            self.reply(206, data[5:], f"bytes 5-{len(data) - 1}/{len(data)}")
        elif how == "false range":
            self.reply(206, data[5:], f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            part = data[start:]
            content_range = f"bytes {start}-{len(data) - 1}/{len(data)}" if asked else None
            encoding = "gzip" if "encoded" in how else None
            self.reply(206 if asked else 200, part, content_range, encoding, cut(how, len(part)))

    def reply(
        self,
        status: int,
        data: bytes,
        content_range: str | None = None,
        encoding: str | None = None,
        cut: int | None = None,
    ) -> None:
        """Send an answer; cut: promise all of it, but close the connection after so many bytes."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if content_range:
            self.send_header("Content-Range", content_range)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(data[:cut])
        if cut is not None:
            self.server.may_cut.wait()

    def log_message(self, *args: object) -> None:
        pass


def cut(how: str, size: int) -> int | None:
    """After how many bytes an answer ends: "cut at -1" is before the last, "cut" is halfway."""
    if "cut" not in how:
        return None
    place = how.partition("cut at ")[2]
    return int(place) % size if place else size // 2
