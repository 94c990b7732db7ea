import base64
import hashlib
import os
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import umx
from scripts.common import wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel.build_wheel(tmp_path_factory.mktemp("wheel"))


def test_named_by_the_version(built: Path) -> None:
    assert built.name == f"umx-{umx.__version__}-py3-none-any.whl"


def test_the_page_finds_it_by_the_version_beside_it(built: Path) -> None:
    beside = runpy.run_path(str(built.with_name("version.py")))
    assert beside["VERSION"] == umx.__version__
    assert beside["WHEEL"] == built.name


def test_another_version_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "checkout"
    (copy / "umx" / "signal").mkdir(parents=True)
    for name in wheel.FOR_THE_PAGE:
        (copy / "umx" / name).write_bytes((wheel.ROOT / "umx" / name).read_bytes())
    source = (wheel.ROOT / "umx" / "version.py").read_text()
    monkeypatch.setattr(wheel, "ROOT", copy)
    for version in (umx.__version__, "7.8.9"):
        changed = source.replace(umx.__version__, version)
        (copy / "umx" / "version.py").write_text(changed)
        wheel.build_wheel(tmp_path / "vendor")
    names = {path.name for path in (tmp_path / "vendor").iterdir()}
    assert names == {"umx-7.8.9-py3-none-any.whl", *(Path(n).parts[0] for n in wheel.FOR_THE_PAGE)}
    with zipfile.ZipFile(tmp_path / "vendor" / "umx-7.8.9-py3-none-any.whl") as archive:
        assert "umx-7.8.9.dist-info/METADATA" in archive.namelist()


def test_same_sources_give_the_same_bytes(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "elsewhere"
    for path in (wheel.ROOT / "umx").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            place = copy / path.relative_to(wheel.ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
            place.chmod(0o600)
            os.utime(place, (1e9, 1e9))
    monkeypatch.setattr(wheel, "ROOT", copy)
    assert wheel.build_wheel(tmp_path).read_bytes() == built.read_bytes()


def test_a_wheel_that_is_there_is_not_written_again(built: Path) -> None:
    files = {built, *(built.parent / name for name in wheel.FOR_THE_PAGE)}
    for path in files:
        os.utime(path, (1e9, 1e9))
    assert wheel.build_wheel(built.parent) == built
    assert {path for path in built.parent.rglob("*") if path.is_file()} == files
    assert {path.stat().st_mtime for path in files} == {1e9}


def test_holds_the_engine_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
    sources = {
        path.relative_to(wheel.ROOT).as_posix()
        for path in (wheel.ROOT / "umx").rglob("*")
        if path.suffix in (".py", ".wasm")
    }
    assert {"umx/__init__.py", "umx/kernels/reference.py"} < sources
    info = f"umx-{umx.__version__}.dist-info"
    assert names == sources | {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD")}


def test_record_has_every_file_s_hash(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        (record,) = [name for name in archive.namelist() if name.endswith("/RECORD")]
        lines = archive.read(record).decode().splitlines()
        assert len(lines) == len(archive.namelist())
        for line in lines:
            name, digest, size = line.split(",")
            if name != record:
                data = archive.read(name)
                sha256 = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
                assert (digest, size) == (f"sha256={sha256.rstrip('=')}", str(len(data)))


def test_what_pip_installs_runs(built: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", tmp_path, built], check=True)
    program = (
        "import numpy, umx.kernels, umx.segments\n"
        "assert umx.kernels.choose().name\n"
        f"assert umx.__file__.startswith({str(tmp_path)!r})\n"
        "print(umx.__version__)"
    )
    out = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert out.stdout.strip() == umx.__version__
