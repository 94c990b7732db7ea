import hashlib
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scripts.server import Server
from umx.desktop import download
from umx.desktop.download import DownloadError, fetch

DATA = hashlib.sha256(b"a file").digest() * 30_000
DIGEST = hashlib.sha256(DATA).hexdigest()
SIZE = len(DATA)


@pytest.fixture
def server(pauses: list[float]) -> Iterator[Server]:
    with Server({"file": DATA}) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield http
        http.shutdown()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_arrives_in_a_new_folder(server: Server, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    path = tmp_path / "a" / "b" / "file"
    fetch(server.url + "/file", path, DIGEST, SIZE, report=lambda *r: reports.append(r))
    assert path.read_bytes() == DATA
    assert names(path.parent) == ["file"]
    assert server.ranges == [None]
    assert [have for have, _ in reports] == sorted(have for have, _ in reports)
    assert {total for _, total in reports} == {SIZE}
    assert reports[-1][0] == SIZE


@pytest.mark.parametrize("size", [SIZE, None])
@pytest.mark.parametrize(
    "answers",
    [
        ["busy"],
        ["too many"],
        ["hang up"],
        ["cut"],
        ["cut", "cut", "cut"],
        ["cut", "busy", "hang up"],
        ["cut", "no ranges"],
        ["cut", "another range"],
        ["cut", "false range"],
        ["cut", "error page"],
        ["error page"],
        ["wrong bytes"],
    ],
)
def test_a_bad_answer_is_made_up_for(
    server: Server, tmp_path: Path, answers: list[str], size: int | None
) -> None:
    server.answers = list(answers)
    fetch(server.url + "/file", tmp_path / "file", DIGEST, size)
    assert not server.answers
    assert (tmp_path / "file").read_bytes() == DATA
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("size", [SIZE, None])
def test_an_interrupted_run_is_continued(server: Server, tmp_path: Path, size: int | None) -> None:
    server.answers = ["cut", *["missing"] * 5]
    with pytest.raises(DownloadError, match="404"):
        fetch(server.url + "/file", tmp_path / "file", DIGEST, size)
    assert names(tmp_path) == ["file.part"]
    server.answers.clear()
    fetch(server.url + "/file", tmp_path / "file", DIGEST, size)
    assert server.ranges == [None, *[f"bytes={SIZE // 2}-"] * 2]
    assert (tmp_path / "file").read_bytes() == DATA


def test_an_error_page_does_not_cost_what_is_there(server: Server, tmp_path: Path) -> None:
    server.answers = ["cut", "error page"]
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)
    assert server.ranges == [None, *[f"bytes={SIZE // 2}-"] * 2]


@pytest.mark.parametrize("size", [SIZE, None])
@pytest.mark.parametrize("part", [b"something else", bytes(SIZE), bytes(SIZE + 10), DATA + b"more"])
def test_a_part_of_another_file_is_thrown_away(
    server: Server, tmp_path: Path, part: bytes, size: int | None
) -> None:
    (tmp_path / "file.part").write_bytes(part)
    fetch(server.url + "/file", tmp_path / "file", DIGEST, size)
    assert (tmp_path / "file").read_bytes() == DATA
    assert names(tmp_path) == ["file"]


def test_a_whole_part_of_unknown_size_is_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(DATA)
    fetch(server.url + "/file", tmp_path / "file", DIGEST)
    assert server.ranges == [f"bytes={SIZE}-"]
    assert (tmp_path / "file").read_bytes() == DATA
    assert names(tmp_path) == ["file"]


def test_a_whole_part_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(DATA)
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)
    assert server.ranges == []
    assert (tmp_path / "file").read_bytes() == DATA


def test_pauses_count_from_the_last_that_got_further(server: Server, tmp_path: Path) -> None:
    server.answers = ["cut"] * 8
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE, pauses=(1,))
    assert len(server.ranges) == 9
    assert (tmp_path / "file").read_bytes() == DATA


def test_pauses_grow_while_nothing_comes(
    server: Server, tmp_path: Path, pauses: list[float]
) -> None:
    server.answers = ["busy"] * 20
    with pytest.raises(DownloadError):
        fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)
    assert pauses == [1, 2, 4, 8]


def test_pauses_begin_anew_after_what_got_further(
    server: Server, tmp_path: Path, pauses: list[float]
) -> None:
    server.answers = ["busy", "busy", "cut", "busy", "cut"]
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)
    assert pauses == [1, 2, 1, 2, 1]


@pytest.mark.parametrize("size", [SIZE, None])
@pytest.mark.parametrize(
    ("answer", "message", "requests"),
    [
        ("missing", "answered 404", 1),
        ("busy", "answered 503", 3),
        ("too many", "answered 429", 3),
        ("hang up", "the connection broke", 3),
        ("error page", "not the file that is meant", 3),
        ("wrong bytes", "sha256 differs", 3),
    ],
)
def test_what_keeps_failing_is_told(
    server: Server, tmp_path: Path, answer: str, message: str, requests: int, size: int | None
) -> None:
    server.answers = [answer] * 20
    with pytest.raises(DownloadError, match=f"{server.url}/file: .*{message}"):
        fetch(server.url + "/file", tmp_path / "file", DIGEST, size, pauses=(1, 2))
    assert len(server.ranges) == requests
    assert not (tmp_path / "file").exists()


def test_an_endless_answer_is_cut_off(server: Server, tmp_path: Path) -> None:
    server.answers = ["endless"]
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_dead_host_is_asked_once(server: Server, tmp_path: Path, pauses: list[float]) -> None:
    url = "http://127.0.0.1:9/file"  # the discard port: nobody listens
    for _ in range(2):
        with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9 can't be reached"):
            fetch(url, tmp_path / "file", DIGEST, SIZE)
    assert pauses == []
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each of the next requests finds its host; all after them do."""
    finds: list[bool] = []
    urlopen = urllib.request.urlopen

    def ask(request: urllib.request.Request, timeout: float) -> object:
        if finds and not finds.pop(0):
            raise urllib.error.URLError("Temporary failure in name resolution")
        return urlopen(request, timeout=timeout)

    monkeypatch.setattr(urllib.request, "urlopen", ask)
    return finds


def test_a_host_that_is_gone_for_a_while_is_waited_for(
    server: Server, tmp_path: Path, outage: list[bool], pauses: list[float]
) -> None:
    server.answers = ["cut"]
    outage += [True, False, False, True]
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.ranges == [None, f"bytes={SIZE // 2}-"]
    assert pauses == [1, 2, 4]


def test_a_host_that_stays_away_is_told_and_asked_for_the_next_file(
    server: Server, tmp_path: Path, outage: list[bool]
) -> None:
    server.answers = ["cut"]
    outage += [True, False, False]
    with pytest.raises(DownloadError, match=r"can't be reached \(Temporary failure"):
        fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE, pauses=(1, 2))
    assert names(tmp_path) == ["file.part"]
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)


def test_a_disk_that_takes_nothing_is_not_tried_again(
    server: Server, tmp_path: Path, pauses: list[float]
) -> None:
    (tmp_path / "file.part").mkdir()
    with pytest.raises(DownloadError, match=r"file\.part can't be written"):
        fetch(server.url + "/file", tmp_path / "file", DIGEST)
    assert pauses == []


def test_the_beginning_of_a_digest_is_enough(server: Server, tmp_path: Path) -> None:
    fetch(server.url + "/file", tmp_path / "file", DIGEST[:8])
    assert (tmp_path / "file").read_bytes() == DATA
    wrong = ("0" if DIGEST[0] != "0" else "1") + DIGEST[1:8]
    with pytest.raises(DownloadError, match="sha256 differs"):
        fetch(server.url + "/file", tmp_path / "other", wrong)


def test_nothing_is_drawn_but_on_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    download.terminal_report("UMX")(1_000_000, 4_000_000)
    assert capsys.readouterr().err == ""


Drawn = Callable[[int, int, float], str]


@pytest.fixture
def drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Reports megabytes at a time, in seconds; returns what the line on the terminal shows."""
    report = download.terminal_report("UMX")

    def draw(have: int, total: int, time: float) -> str:
        monkeypatch.setattr(download.sys.stderr, "isatty", lambda: True)
        monkeypatch.setattr(download, "monotonic", lambda: time)
        report(have * 1_000_000, total * 1_000_000)
        return capsys.readouterr().err.rpartition("\r")[2].rstrip(" ")

    return draw


def test_time_left_is_that_of_what_came_since(drawn: Drawn) -> None:
    # How long the first 100 MB took, nobody knows any more.
    assert drawn(100, 113, 50) == "UMX: 100 of 113 MB"
    assert drawn(101, 113, 51) == "UMX: 101 of 113 MB, 12 s left"
    assert drawn(113, 113, 63).rstrip(" \n") == "UMX: 113 of 113 MB, 0 s left"


def test_time_left_is_known_after_a_download_began_anew(drawn: Drawn) -> None:
    assert drawn(6, 12, 1) == "UMX: 6 of 12 MB"
    assert drawn(8, 12, 2) == "UMX: 8 of 12 MB, 2 s left"
    assert drawn(2, 12, 3) == "UMX: 2 of 12 MB"
    assert drawn(3, 12, 4) == "UMX: 3 of 12 MB, 9 s left"


def test_an_answer_of_unknown_length_is_not_drawn(server: Server, tmp_path: Path) -> None:
    server.answers = ["no length"]
    reports: list[tuple[int, int]] = []
    fetch(server.url + "/file", tmp_path / "file", DIGEST, report=lambda *r: reports.append(r))
    assert (tmp_path / "file").read_bytes() == DATA
    assert reports == []
