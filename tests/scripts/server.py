"""A server on this computer that behaves as the worst do."""

from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERROR_PAGE = b"<!doctype html><title>Sign in to the hotel's network</title>"


class Server(ThreadingHTTPServer):
    """Serves files; `answers` says how the next requests are answered, after that honestly."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """files: what is served by name, in whatever folder it is asked for."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[str] = []
        self.ranges: list[str | None] = []  # the Range header of every request, in order
        self.files = files

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        how = self.server.answers.pop(0) if self.server.answers else "honest"
        data = self.server.files.get(self.path.rpartition("/")[2])
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if data is None or how == "missing":
            self.send_error(404)
        elif how == "busy":
            self.send_error(503)
        elif how == "hang up":
            self.close_connection = True
        elif how == "endless":
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):
                while True:
                    self.wfile.write(bytes(1 << 16))
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
            self.reply(206 if asked else 200, part, content_range, cut=how == "cut")

    def reply(
        self, status: int, data: bytes, content_range: str | None = None, cut: bool = False
    ) -> None:
        """Send an answer; cut: promise all of it, but close the connection halfway."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)

    def log_message(self, *args: object) -> None:
        pass
