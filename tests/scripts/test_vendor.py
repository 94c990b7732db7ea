"""scripts/vendor.py with tiny lock files: a CDN on this computer, and packages that the clients need no network for."""

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import vendor
from scripts.vendor import VendorError
from tests.scripts.server import Server

FILES = {"core.js": b"export default 1;\n" * 100, "chunks/more.wasm": b"\0asm" * 500}
NOBODY = "http://127.0.0.1:9/"  # the discard port: nobody listens
CUT = b"half of the right archive"
Lock = Callable[..., Path]


@pytest.fixture
def server(pauses: list[float]) -> Iterator[Server]:
    with Server({Path(name).name: data for name, data in FILES.items()}) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield http
        http.shutdown()


@pytest.fixture
def lock(server: Server, tmp_path: Path) -> Lock:
    """Writes a lock file of one package."""

    def write(cdn: str = server.url + "/", client: str = "npm", spec: str = "tiny@1.0") -> Path:
        files = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in FILES.items()
        }
        package = {"client": client, "spec": spec, "folder": "package/dist/"}
        entry = {"name": "tiny", "version": "1.0", "folder": "here/", "cdn": cdn}
        path = tmp_path / "lock.json"
        path.write_text(json.dumps({"packages": [entry | {"package": package, "files": files}]}))
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vendor"


def tgz(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo("package/dist/" + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def wheel(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr("package/dist/" + name, data)
    return file.getvalue()


def client(monkeypatch: pytest.MonkeyPatch, *contents: bytes) -> list[list[str]]:
    """Stand in for pip and npm: put archives where the client is run. Returns the commands that come."""
    commands: list[list[str]] = []

    def run(command: list[str], cwd: str, check: bool, **streams: int) -> None:
        assert check
        commands.append(command)
        for number, content in enumerate(contents):
            suffix = "tgz" if command[0] == "npm" else "whl"
            (Path(cwd) / f"tiny-{number}.{suffix}").write_bytes(content)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def brought(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder / "here").as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_cdn_brings_everything_once(server: Server, lock: Lock, folder: Path) -> None:
    vendor.vendor(lock(), folder)
    assert brought(folder) == FILES
    assert len(server.ranges) == len(FILES)
    vendor.vendor(lock(cdn=NOBODY), folder)
    assert len(server.ranges) == len(FILES)


@pytest.mark.parametrize("damage", [b"", b"other", None])
def test_only_what_is_not_whole_is_fetched(
    server: Server, lock: Lock, folder: Path, damage: bytes | None
) -> None:
    vendor.vendor(lock(), folder)
    path = folder / "here" / "core.js"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    vendor.vendor(lock(), folder)
    assert brought(folder) == FILES
    assert len(server.ranges) == len(FILES) + 1


@pytest.mark.parametrize("answer", ["missing", "error page", "wrong bytes", "cut", "hang up"])
@pytest.mark.parametrize(("name", "pack"), [("npm", tgz), ("pip", wheel)])
def test_a_cdn_that_fails_is_replaced_by_the_package(
    server: Server,
    lock: Lock,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    name: str,
    pack: Callable[[dict[str, bytes]], bytes],
) -> None:
    server.answers = [answer] * 20
    if answer == "cut":
        server.answers = ["cut", "missing"] * 10
    commands = client(monkeypatch, pack(FILES))
    vendor.vendor(lock(client=name), folder)
    (command,) = commands
    assert name in command
    assert command[-1] == "tiny@1.0"
    assert brought(folder) == FILES


def test_a_dead_cdn_is_replaced_by_the_package(
    lock: Lock, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(monkeypatch, tgz(FILES))
    vendor.vendor(lock(cdn=NOBODY), folder)
    assert brought(folder) == FILES


@pytest.mark.parametrize("name", ["npm", "pip"])
@pytest.mark.parametrize(
    ("archives", "message"),
    [
        ([{"core.js": b"changed"}], "core.js in tiny@1.0 is not the file that the lock names"),
        ([{"core.js": FILES["core.js"]}], "tiny@1.0 has no file package/dist/chunks/more.wasm"),
        ([b"no archive"], "tiny@1.0 can't be read"),
        ([b""], "tiny@1.0 can't be read"),
        ([CUT], "tiny@1.0 can't be read"),
        ([], "brought 0 files"),
        ([{}, {}], "brought 2 files"),
    ],
)
def test_a_package_that_fails_is_told_with_the_cdn_s_answer(
    lock: Lock,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    archives: list[Any],
    message: str,
) -> None:
    pack = {"npm": tgz, "pip": wheel}[name]
    whole = pack(FILES)
    content = {CUT: whole[: len(whole) // 2]}
    client(monkeypatch, *[content.get(a, a) if isinstance(a, bytes) else pack(a) for a in archives])
    with pytest.raises(VendorError) as caught:
        vendor.vendor(lock(cdn=NOBODY, client=name), folder)
    text = str(caught.value)
    assert text.startswith("tiny 1.0 could not be had")
    assert "127.0.0.1:9 can't be reached" in text
    assert message in text
    kept = brought(folder)
    assert kept.items() <= FILES.items()


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file", "npm"),
        subprocess.CalledProcessError(1, ["npm", "pack"]),
    ],
)
def test_a_client_that_is_missing_or_fails_is_told(
    lock: Lock, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def run(*command: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(VendorError, match=r"npm: .*npm"):
        vendor.vendor(lock(cdn=NOBODY), folder)


def test_a_link_in_a_package_is_no_file(
    lock: Lock, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/dist/core.js")
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    client(monkeypatch, file.getvalue())
    with pytest.raises(VendorError, match=r"no file package/dist/core\.js"):
        vendor.vendor(lock(cdn=NOBODY), folder)


def test_pip_itself_brings_a_wheel(
    lock: Lock, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(shelf / "tiny-1.0-py3-none-any.whl", "w") as archive:
        for name, data in FILES.items():
            archive.writestr("package/dist/" + name, data)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    vendor.vendor(lock(cdn=NOBODY, client="pip", spec="tiny==1.0"), folder)
    assert brought(folder) == FILES


def test_a_script_ends_with_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise VendorError("tiny could not be had")

    with pytest.raises(SystemExit, match="tiny could not be had"):
        vendor.run(fail)
    vendor.run(lambda: sys.stdout.write("done"))
    assert capsys.readouterr().out == "done"


def test_the_lock_file_is_whole() -> None:
    packages = json.loads(vendor.LOCK.read_text())["packages"]
    places = [package["folder"] + name for package in packages for name in package["files"]]
    assert len(set(places)) == len(places) > 10
    for package in packages:
        assert package["cdn"].startswith("https://")
        assert package["cdn"].endswith("/")
        assert package["package"]["client"] in ("npm", "pip")
        assert re.fullmatch(r".+(@|==)\d.*", package["package"]["spec"])
        for name, entry in package["files"].items():
            assert ".." not in name
            assert entry["size"] > 0
            assert re.fullmatch("[0-9a-f]{64}", entry["sha256"])
