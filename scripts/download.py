"""Download a file whose sha256 is known: resumed where it stopped, checked before it gets its name."""

import hashlib
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

CONNECT_SECONDS = 10
CHUNK = 1 << 18

Report = Callable[[int, int], None]
"""Called with the bytes there are and the bytes there will be."""

_dead_hosts: set[str] = set()


class DownloadError(RuntimeError):
    """A file that could not be downloaded; says which, from where and why."""


class _OtherFile(Exception):  # noqa: N818 (it ends as a DownloadError)
    """An answer of another size than the file has; what is there already may still be right."""


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matches(digest: str, expected: str) -> bool:
    """Whether a digest is the expected one, of which only the beginning may be known."""
    return digest.startswith(expected)


def fetch(
    url: str,
    path: Path,
    expected: str,
    size: int | None = None,
    tries: int = 5,
    report: Report | None = None,
) -> None:
    """Download `url` to `path`; a `.part` file beside it keeps what an interrupted run has got.

    expected: the sha256 in hex, or the beginning of it; size: the right number of bytes, where known; tries: how often
    to ask again without getting further.
    Raises DownloadError. A host that can't be reached at all is not tried again in this process.
    """
    host = urlsplit(url).netloc
    if host in _dead_hosts:
        raise DownloadError(f"{host} can't be reached")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    problem, furthest, left = "", 0, tries
    while left:
        left -= 1
        try:
            _continue(url, part, size, report)
        except urllib.error.HTTPError as error:
            problem = f"the server answered {error.code} {error.reason}"
            if error.code == 416:  # what we hold is no beginning of the file
                part.unlink(missing_ok=True)
            elif error.code < 500:
                break
            continue
        except urllib.error.URLError as error:
            _dead_hosts.add(host)
            raise DownloadError(f"{host} can't be reached ({error.reason})") from error
        except (OSError, HTTPException) as error:
            problem = f"the connection broke ({error or type(error).__name__})"
            if _size(part) > furthest:
                furthest, left = _size(part), tries
            continue
        except _OtherFile as error:
            problem = f"what came is not the file that is meant: {error}"
            continue
        if size is not None and _size(part) < size:
            problem = "the connection ended early"
            continue
        if matches(sha256(part), expected):
            part.replace(path)
            return
        problem = "what came is not the file that is meant: its sha256 differs"
        part.unlink()
    raise DownloadError(f"{url}: {problem}")


def _continue(url: str, part: Path, size: int | None, report: Report | None) -> None:
    """Append to `part` what is missing, or begin anew where the server gives no ranges."""
    have = _size(part)
    if have and have == size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as response:
        if not _continues(response, have):
            have = 0
        total = have + int(response.headers.get("Content-Length", 0))
        if size is not None and total not in (have, size):
            raise _OtherFile(f"it has {total} bytes instead of {size}")
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                if report:
                    report(have, total)
                if size is not None and have > size:
                    return  # not our file; the hash will say so
        if have < total:
            raise OSError(f"{total - have} bytes are missing")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _continues(response: HTTPResponse, have: int) -> bool:
    """Whether the answer begins where our part ends; a server may send all of it, or another range."""
    content = response.headers.get("Content-Range", "")
    return response.status == 206 and content.startswith(f"bytes {have}-")


def terminal_report(title: str) -> Report:
    """Draws progress and time left over itself, on a terminal."""
    begun = time.monotonic()

    def report(have: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        left = (time.monotonic() - begun) * (total - have) / max(have, 1)
        line = f"\r{title}: {have / 1e6:.0f} of {total / 1e6:.0f} MB, {left:.0f} s left "
        print(line, end="\n" if have >= total else "", file=sys.stderr, flush=True)

    return report
