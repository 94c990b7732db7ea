"""Files that others read, or write too, at any time."""

import os
from pathlib import Path

import pytest

from scripts.common import atomic_write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    atomic_write.write(path, b"before")
    return path


def test_what_has_changed_is_replaced(path: Path) -> None:
    atomic_write.write(path, b"after")
    assert path.read_bytes() == b"after"
    assert list(path.parent.iterdir()) == [path]


def test_what_has_not_changed_is_left_alone(path: Path) -> None:
    os.utime(path, (1e9, 1e9))
    atomic_write.write(path, b"before")
    assert path.stat().st_mtime == 1e9


def test_what_can_not_be_written_leaves_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def full(part: Path, data: bytes) -> int:
        write_bytes(part, data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write.write(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


def test_another_process_may_write_meanwhile(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def meanwhile(part: Path, place: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        with monkeypatch.context() as another:
            another.setattr(os, "getpid", lambda: -1)
            atomic_write.write(place, b"another's, and longer")
        return part.replace(place)

    monkeypatch.setattr(Path, "replace", meanwhile)
    atomic_write.write(path, b"after")
    assert path.read_bytes() == b"after"
    assert list(path.parent.iterdir()) == [path]
