import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import download
import pytest
from download import DownloadError, fetch

from tests.scripts.server import Server

DATA = hashlib.sha256(b"a file").digest() * 30_000
DIGEST = hashlib.sha256(DATA).hexdigest()
SIZE = len(DATA)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "_dead_hosts", set())
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


def test_a_whole_part_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(DATA)
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)
    assert server.ranges == []
    assert (tmp_path / "file").read_bytes() == DATA


def test_tries_count_from_the_last_that_got_further(server: Server, tmp_path: Path) -> None:
    server.answers = ["cut"] * 8
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE, tries=2)
    assert len(server.ranges) == 9
    assert (tmp_path / "file").read_bytes() == DATA


@pytest.mark.parametrize("size", [SIZE, None])
@pytest.mark.parametrize(
    ("answer", "message", "requests"),
    [
        ("missing", "answered 404", 1),
        ("busy", "answered 503", 3),
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
        fetch(server.url + "/file", tmp_path / "file", DIGEST, size, tries=3)
    assert len(server.ranges) == requests
    assert not (tmp_path / "file").exists()


def test_an_endless_answer_is_cut_off(server: Server, tmp_path: Path) -> None:
    server.answers = ["endless"]
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_dead_host_is_asked_once(server: Server, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/file"  # the discard port: nobody listens
    for _ in range(2):
        with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9 can't be reached"):
            fetch(url, tmp_path / "file", DIGEST, SIZE)
    assert download._dead_hosts == {"127.0.0.1:9"}
    fetch(server.url + "/file", tmp_path / "file", DIGEST, SIZE)


def test_the_beginning_of_a_digest_is_enough(server: Server, tmp_path: Path) -> None:
    fetch(server.url + "/file", tmp_path / "file", DIGEST[:8])
    assert (tmp_path / "file").read_bytes() == DATA
    wrong = ("0" if DIGEST[0] != "0" else "1") + DIGEST[1:8]
    with pytest.raises(DownloadError, match="sha256 differs"):
        fetch(server.url + "/file", tmp_path / "other", wrong)


def test_progress_is_drawn_on_terminals_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = download.terminal_report("UMX")
    report(1_000_000, 4_000_000)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(download.sys.stderr, "isatty", lambda: True)
    report(1_000_000, 4_000_000)
    report(4_000_000, 4_000_000)
    out = capsys.readouterr().err
    assert "UMX: 1 of 4 MB" in out
    assert out.endswith("4 of 4 MB, 0 s left \n")
