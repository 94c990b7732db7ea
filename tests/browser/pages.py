"""What several files' tests do with the page beside dropping songs: serving it, taking all of its stems."""

import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from playwright.sync_api import Locator, expect
from songs import PATIENCE


@contextmanager
def serving(http: ThreadingHTTPServer, prefix: str = "/") -> Iterator[str]:
    """The page's address, for as long as the server runs."""
    with http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{http.server_port}{prefix}"
        finally:
            http.shutdown()
            thread.join()


# The content of a link's Blob, as a data URL.
CONTENT = """async link => {
  const blob = await (await fetch(link.href)).blob();
  const reader = new FileReader();
  return new Promise(done => {
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(blob);
  });
}"""


def stems(song: Locator) -> dict[str, bytes]:
    """The WAV files of a card by stem, once they are there."""
    expect(song.locator("a[download]")).to_have_count(5, timeout=PATIENCE)
    return {
        str(link.get_attribute("data-stem")): b64decode(link.evaluate(CONTENT).partition(",")[2])
        for link in song.locator("a[download]").all()
    }
