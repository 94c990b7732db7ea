"""`umx models`, against a server on this computer. How it behaves beyond that, scripts/weights.py's tests say."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import umx
from scripts.common.environment import ROOT
from tests.scripts.server import Server
from tests.scripts.test_weights_script import CHECKPOINTS, TARGETS, path, published, training_folder
from umx.desktop.cli import main
from umx.format import library
from umx.models import official


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Iterator[Server]:
    with Server({path(target): data for target, data in CHECKPOINTS.items()}) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setitem(official.OFFICIAL, "umxl", published("umxl", http.url))
        yield http
        http.shutdown()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's models go, which isn't there yet; beside it umx-mini is found, as in an installed package."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    package = tmp_path / "package"
    shutil.copytree(ROOT / "weights" / "umx-mini", package / "umx-mini")
    places = lambda: [library.user_models(), package]  # noqa: E731
    monkeypatch.setattr(library, "model_places", places)
    monkeypatch.setattr("umx.desktop.cli.model_places", places)
    return library.user_models()


def run(*words: object) -> int:
    return main(["models", *map(str, words)])


def test_a_model_comes_and_separates_and_goes(
    server: Server, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = ["cut"]
    assert run("get", "umxl") == 0
    assert {entry.name for entry in home.iterdir()} == {"umxl"}
    half = len(CHECKPOINTS["vocals"]) // 2
    assert server.ranges == [None, f"bytes={half}-", None, None, None]
    sound = 0.1 * np.random.default_rng(2).standard_normal((2, 30_000)).astype(np.float32)
    stems = umx.separate(sound, 44100, model="umxl")
    np.testing.assert_allclose(sum(stems[name] for name in TARGETS), sound, atol=1e-5)
    assert all(np.abs(stems[name]).max() > 1e-4 for name in TARGETS)
    assert library.best_model() == home / "umxl"
    capsys.readouterr()
    assert run("list") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[:2]] == ["umxl", "umx-mini"]
    assert ["here" not in line for line in lines[:3]] == [True, True, False]
    assert run("verify") == 0
    assert capsys.readouterr().out.count("whole and unchanged") == 2
    assert run("remove", "umxl") == 0
    assert list(home.iterdir()) == []
    assert library.best_model().name == "umx-mini"


def test_an_interrupted_download_goes_on(
    server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = ["honest", "cut", *["missing"] * 5]
    assert run("get", "umxl") == 1
    said = capsys.readouterr().err
    assert said.startswith("umx: ")
    assert "umx models get umxl --from" in said
    assert {entry.name for entry in home.iterdir()} == {"umxl.part"}
    assert library.best_model().name == "umx-mini"
    server.answers.clear()
    server.ranges.clear()
    assert run("get", "umxl") == 0
    half = len(CHECKPOINTS["drums"]) // 2
    assert server.ranges == [f"bytes={half}-", None, None]


def test_a_false_file_is_no_model(server: Server, home: Path) -> None:
    server.answers = ["wrong bytes"] * 30
    assert run("get", "umxl") == 1
    assert not (home / "umxl").exists()


def test_a_model_of_ones_own(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("convert", training_folder(tmp_path / "mine"), "--name", "mine") == 0
    assert library.find_model("mine") == home / "mine"
    damaged = home / "mine" / "bass.safetensors.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    assert run("verify", "umx-mini") == 0
    assert run("verify") == 1
    assert "mine: bass.safetensors.gz" in capsys.readouterr().out
    assert run("remove", "umx-mini") == 1
    assert "stays" in capsys.readouterr().err


def test_the_best_model_that_is_whole_is_taken(home: Path, tmp_path: Path) -> None:
    source = ROOT / "weights" / "umx-mini"
    for name, quality in (("good", {"vocals": 5.0}), ("better", {"all": 7.0}), ("unknown", {})):
        shutil.copytree(source, home / name)
        manifest = json.loads((home / name / "manifest.json").read_text())
        (home / name / "manifest.json").write_text(json.dumps(manifest | {"quality": quality}))
    assert library.best_model() == home / "better"
    (home / "better" / "manifest.json").write_text("{}")
    assert library.best_model() == home / "good"
    (home / "good").rename(home / "good.part")
    assert library.best_model().name == "umx-mini"


def test_the_first_run_says_how_to_get_a_better_model(
    server: Server, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["separate", str(tmp_path / "gone.wav"), "-o", str(tmp_path)]
    assert main([*command, "--model", "umx-mini"]) == 1
    assert "umx models get" not in capsys.readouterr().err
    assert main(command) == 1
    assert "umx models get umxl" in capsys.readouterr().err
    assert main(command) == 1
    assert "umx models get" not in capsys.readouterr().err
    shutil.rmtree(home)
    assert run("get", "umxl") == 0
    capsys.readouterr()
    assert main(command) == 1
    assert "umx models get" not in capsys.readouterr().err


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["models"])
    assert end.value.code == 2
