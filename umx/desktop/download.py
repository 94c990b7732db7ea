"""Download a file whose sha256 is known: resumed where it stopped, checked before it gets its name."""

import hashlib
import math
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from ..resuming import PAUSES, Attempts, continues, headers

CONNECT_SECONDS = 10
CHUNK = 1 << 18

Report = Callable[[int, int], None]
"""Called with the bytes so far, and the bytes in all, where the server says so."""

_live_hosts: set[str] = set()
_dead_hosts: set[str] = set()


class DownloadError(RuntimeError):
    """A file that could not be downloaded; says which, from where and why."""


class _Problem(Exception):  # noqa: N818 (it ends as a DownloadError)
    """A failure that the next attempt may not meet."""


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
    pauses: tuple[float, ...] = PAUSES,
    report: Report | None = None,
) -> None:
    """Download `url` to `path`; a `.part` file beside it keeps what an interrupted run has got.

    expected: the sha256 in hex, or the beginning of it; size: the right number of bytes, where known; pauses: as
    `Attempts` takes them.
    Raises DownloadError. A host that could never be reached is not tried again in this process.
    """
    part = path.with_name(path.name + ".part")
    attempts = Attempts(pauses)
    while True:
        try:
            _attempt(url, part, expected, size, report)
            part.replace(path)
            return
        except _Problem as problem:
            pause = attempts.pause(_size(part))
            if pause is None:
                raise DownloadError(f"{url}: {problem}") from problem
        except OSError as error:
            raise DownloadError(f"{part} can't be written: {error.strerror}") from error
        sleep(pause)


def _attempt(url: str, part: Path, expected: str, size: int | None, report: Report | None) -> None:
    """Complete `part`. Raises _Problem, or DownloadError where no further attempt would help."""
    host = urlsplit(url).netloc
    if host in _dead_hosts:
        raise DownloadError(f"{host} can't be reached")
    try:
        _continue(url, part, size, report)
    except urllib.error.HTTPError as error:
        _live_hosts.add(host)
        answer = f"the server answered {error.code} {error.reason}"
        if error.code >= 500 or error.code == 429:  # too many requests
            raise _Problem(answer) from error
        if error.code != 416 or not part.exists():
            raise DownloadError(f"{url}: {answer}") from error
        # Nothing comes after what we hold: it is the whole file, or none of it.
    except urllib.error.URLError as error:
        unreachable = f"{host} can't be reached ({error.reason})"
        if host in _live_hosts:
            raise _Problem(unreachable) from error
        _dead_hosts.add(host)
        raise DownloadError(unreachable) from error
    if not matches(sha256(part), expected):
        part.unlink()
        raise _Problem("what came is not the file that is meant: its sha256 differs")


def _continue(url: str, part: Path, size: int | None, report: Report | None) -> None:
    """Append to `part` what is missing, or begin anew where the server gives no ranges."""
    have = _size(part)
    if have and have == size:
        return
    request = urllib.request.Request(url, headers=headers(have))
    with _connection():
        response = urllib.request.urlopen(request, timeout=CONNECT_SECONDS)
    _live_hosts.add(urlsplit(url).netloc)
    with response:
        if not continues(response.status, response.headers.get("Content-Range"), have):
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else size
        if size is not None and total != size:
            # The part that is here may still be right, so it stays.
            raise _Problem(
                f"what came is not the file that is meant: it has {total} bytes instead of {size}"
            )
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab" if have else "wb") as file:
            while chunk := _read(response):
                file.write(chunk)
                have += len(chunk)
                if report and total is not None:
                    report(have, total)
                if size is not None and have > size:
                    return  # not our file; the hash will say so
    if total is not None and have < total:
        raise _Problem(f"the connection broke ({total - have} bytes are missing)")


@contextmanager
def _connection() -> Iterator[None]:
    """Turn errors of a broken connection into _Problem; those of the disk, and hosts out of reach, are told apart."""
    try:
        yield
    except urllib.error.URLError:
        raise
    except (OSError, HTTPException) as error:
        raise _Problem(f"the connection broke ({str(error) or type(error).__name__})") from error


def _read(response: HTTPResponse) -> bytes:
    with _connection():
        return response.read(CHUNK)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def terminal_report(title: str) -> Report:
    """Draws progress and time left over itself, on a terminal."""
    first, begun = math.inf, 0.0

    def report(have: int, total: int) -> None:
        nonlocal first, begun
        if not sys.stderr.isatty():
            return
        if have <= first:  # the first report, or the download has begun anew
            first, begun = have, monotonic()
        line = f"{title}: {have / 1e6:.0f} of {total / 1e6:.0f} MB"
        if have > first:
            line += f", {(monotonic() - begun) * (total - have) / (have - first):.0f} s left"
        print(f"\r{line:60}", end="\n" if have >= total else "", file=sys.stderr, flush=True)

    return report
