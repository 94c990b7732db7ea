"""scripts/weights.py, against a server on this computer that behaves as the worst do."""

import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from scripts import weights
from scripts.common.environment import ROOT
from tests import htdemucs
from tests.checkpoints import golden_state, pth, safetensors, th
from tests.scripts.server import ERROR_PAGE, Server
from umx.desktop import models
from umx.format import convert
from umx.format.library import load_model
from umx.kernels.reference import Numpy
from umx.models import official
from umx.separator import Separator

TARGETS = ("vocals", "drums", "bass", "other")
CHECKPOINTS = {target: pth(golden_state(target)) for target in TARGETS}


def path(target: str) -> str:
    return f"{target}-{hashlib.sha256(CHECKPOINTS[target]).hexdigest()[:8]}.pth"


def published(name: str, server: str) -> official.Official:
    """The official model, but that its networks are tiny and come from a server."""
    model = official.OFFICIAL[name]
    checkpoints = [
        dataclasses.replace(
            checkpoint,
            file=path(target),
            sha256=path(target)[-12:-4],
            url=f"{server}/files/{path(target)}",
        )
        for checkpoint in model.checkpoints
        for target in checkpoint.targets
    ]
    known = {"n_fft": 128, "hop": 32}
    return dataclasses.replace(model, source=server, checkpoints=tuple(checkpoints), known=known)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Iterator[Server]:
    files = {path(target): data for target, data in CHECKPOINTS.items()}
    with Server(files) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        model = dataclasses.replace(
            published("umxl", http.url), title="UMX-T", quality={"bass": 1.5}
        )
        monkeypatch.setitem(official.OFFICIAL, "umxl", model)
        yield http
        http.shutdown()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    folder = tmp_path / "weights"
    folder.mkdir()
    return lambda *words: weights.main(["--weights", str(folder), *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_get_brings_a_model_that_loads_and_is_in_the_index(
    server: Server, run: Callable[..., int], folder: Path
) -> None:
    assert run("get", "umxl") == 0
    model = load_model(folder / "umxl")
    assert model.manifest.targets == TARGETS
    assert (model.manifest.title, model.manifest.preset) == ("UMX-T", "web")
    (entry,) = json.loads((folder / "index.json").read_text())
    size = sum(file.size for file in model.manifest.files)
    assert (entry["name"], entry["size"], entry["quality"]) == ("umxl", size, {"bass": 1.5})
    assert names(folder) == {"umxl", "index.json"}


def test_what_is_here_is_not_fetched_again_but_for_another_preset(
    server: Server, run: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("get", "umxl") == 0
    server.ranges.clear()
    assert run("get", "umxl") == 0
    assert server.ranges == []
    assert "already" in capsys.readouterr().out
    assert run("get", "umxl", "--preset", "best") == 0
    assert len(server.ranges) == 4
    assert load_model(folder / "umxl").manifest.preset == "best"


@pytest.mark.parametrize(
    "answers",
    [
        ["cut"],
        ["cut"] * 8,  # each gets further, so that is no reason to stop
        ["busy", "busy"],
        ["cut", "no ranges"],
        ["cut", "another range"],
        ["cut", "false range"],
        ["error page"],
        ["wrong bytes"],
        ["cut", "error page"],
    ],
)
def test_get_survives(
    server: Server, run: Callable[..., int], folder: Path, answers: list[str]
) -> None:
    server.answers = list(answers)
    assert run("get", "umxl") == 0
    assert not server.answers
    load_model(folder / "umxl")


def test_get_asks_only_for_what_is_missing(
    server: Server, run: Callable[..., int], folder: Path
) -> None:
    server.answers = ["cut"]
    assert run("get", "umxl") == 0
    half = len(CHECKPOINTS["vocals"]) // 2
    assert server.ranges == [None, f"bytes={half}-", None, None, None]


@pytest.mark.parametrize("answer", ["missing", "error page", "wrong bytes", "busy"])
def test_get_that_fails_leaves_no_model_and_says_what_to_do(
    server: Server,
    run: Callable[..., int],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    answer: str,
) -> None:
    server.answers = ["honest", *[answer] * 20]
    assert run("get", "umxl") == 1
    message = capsys.readouterr().err
    assert f"{server.url}/files/{path('drums')}" in message
    assert "--from" in message
    assert not (folder / "umxl").exists()
    assert names(folder) == {"umxl.part"}


def test_a_second_run_goes_on_where_the_first_stopped(
    server: Server, run: Callable[..., int], folder: Path
) -> None:
    server.answers = ["honest", "cut", *["missing"] * 5]
    assert run("get", "umxl") == 1
    server.answers.clear()
    server.ranges.clear()
    assert run("get", "umxl") == 0
    half = len(CHECKPOINTS["drums"]) // 2
    assert server.ranges == [f"bytes={half}-", None, None]
    load_model(folder / "umxl")


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_conversion_leaves_no_model_and_keeps_the_downloads(
    server: Server,
    run: Callable[..., int],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(convert, "pack", interrupted)
        assert run("get", "umxl") == 130
    assert "goes on from here" in capsys.readouterr().err
    assert names(folder) == {"umxl.part"}
    server.ranges.clear()
    assert run("get", "umxl") == 0
    assert server.ranges == []
    load_model(folder / "umxl")
    assert names(folder) == {"umxl", "index.json"}


def test_no_network_is_said_at_once_with_the_files_to_get(
    server: Server,
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = "http://127.0.0.1:9"  # the discard port: nobody listens
    monkeypatch.setitem(official.OFFICIAL, "umxl", published("umxl", nowhere))
    assert run("get", "umxl") == 1
    message = capsys.readouterr().err
    for target in TARGETS:
        assert f"{nowhere}/files/{path(target)}" in message
    assert "can't be reached" in message


def test_programs_read_how_far_it_is(
    server: Server,
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "PAUSE", 0)
    server.answers = ["cut", "honest", "no length"]
    assert run("get", "umxl", "--as-json") == 0
    lines = capsys.readouterr().out.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    fractions = [line["fraction"] for line in told]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < 0.9 / 4
    assert fractions[-4:] == [pytest.approx(0.9 + 0.1 * done / 4) for done in range(4)]


def test_programs_read_the_seconds_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(models, "monotonic", lambda: now)
    progress = models.JsonProgress(4)

    def at(time: float, act: Callable[[], object]) -> tuple[float, float | None]:
        nonlocal now
        now = time
        act()
        said = json.loads(capsys.readouterr().out)
        return round(said["fraction"], 4), said["seconds_left"]

    report = progress.download("first")
    # An earlier run has left 50 bytes, or nearly: how long they took, nobody knows.
    assert at(1, lambda: report(50, 100)) == (0.1125, None)
    # 25 bytes in 10 seconds, 325 to go, and 4 seconds a target to convert them.
    assert at(10, lambda: report(75, 100)) == (0.1688, 130 + 16)
    # The server began anew: what it sends again comes at the same rate.
    report(0, 100)
    assert at(20, lambda: report(25, 100)) == (0.0563, 150 + 16)
    report(100, 100)
    progress.downloaded("first")
    capsys.readouterr()
    report = progress.download("second")
    report(25, 100)
    assert capsys.readouterr().out == ""  # too soon
    assert at(125, lambda: report(50, 100)) == (0.3375, 125 / 150 * 250 + 16)
    for name in ("second", "third", "fourth"):
        progress.downloaded(name)
    assert at(200, lambda: progress.converting("vocals")) == (0.9, 16)
    assert at(203, lambda: progress.converting("drums")) == (0.925, 9)
    assert at(204, lambda: progress.converting("bass")) == (0.95, 4)


def test_one_waits_until_another_has_changed_the_models(
    run: Callable[..., int], folder: Path, tmp_path: Path
) -> None:
    source = training_folder(tmp_path / "mine")
    command = [sys.executable, weights.__file__, "--weights", folder, "convert", source]
    with models.alone(folder, "weights.py"):
        other = subprocess.Popen([*command, "--name", "mine"], stdout=subprocess.PIPE, text=True)
        assert other.stdout
        assert "Waiting for another" in other.stdout.readline()
        assert run("list") == 0
        assert names(folder) == set()
    assert "Converting bass" in other.stdout.readline()
    assert other.communicate()
    assert other.returncode == 0
    assert names(folder) == {"mine", "index.json"}


@pytest.mark.parametrize(("name", "mean"), [("umxl", 6.3175), ("umxhq", 5.41)])
def test_a_converted_official_model_says_how_good_it_is(
    run: Callable[..., int],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    mean: float,
) -> None:
    """In its manifest and in the index, which the page orders models by."""
    (tmp_path / "files").mkdir()
    for target, data in CHECKPOINTS.items():
        (tmp_path / "files" / f"{target}.pth").write_bytes(data)
    model = published(name, "nowhere")
    monkeypatch.setitem(official.OFFICIAL, name, model)
    assert run("get", name, "--from", tmp_path / "files") == 0
    (entry,) = json.loads((folder / "index.json").read_text())
    manifest = load_model(folder / name).manifest
    for said in (entry["quality"], manifest.quality):
        assert said.keys() == set(TARGETS)
        assert sum(said.values()) / len(said) == pytest.approx(mean)
    assert (entry["title"], entry["licence"]) == (model.title, model.licence)


def test_get_from_a_folder_knows_files_by_their_hash(
    server: Server, run: Callable[..., int], folder: Path, tmp_path: Path
) -> None:
    for target, data in CHECKPOINTS.items():
        (tmp_path / f"download of {target} (1).pth").write_bytes(data)
    assert run("get", "umxl", "--from", tmp_path, "--preset", "best") == 0
    assert load_model(folder / "umxl").manifest.preset == "best"
    assert server.ranges == []
    assert len(list(tmp_path.glob("*.pth"))) == 4


def test_the_same_network_in_another_file_is_recognised_in_a_folder(tmp_path: Path) -> None:
    """As the page does it."""
    (checkpoint,) = official.OFFICIAL["htdemucs"].checkpoints
    other = tmp_path / "955717e8.safetensors"
    other.write_bytes(b"the same network")
    digits = hashlib.sha256(b"the same network").hexdigest()
    model = dataclasses.replace(
        official.OFFICIAL["htdemucs"],
        checkpoints=(dataclasses.replace(checkpoint, also=(digits,)),),
    )
    assert models.find(model, tmp_path) == {checkpoint.targets: other}


@pytest.mark.parametrize(("data", "said"), [(None, "is missing"), (b"half of it", "is damaged")])
def test_get_from_a_folder_names_what_is_wrong(
    server: Server,
    run: Callable[..., int],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    data: bytes | None,
    said: str,
) -> None:
    for target in TARGETS:
        (tmp_path / path(target)).write_bytes(CHECKPOINTS[target])
    wrong = tmp_path / path("bass")
    wrong.unlink()
    if data is not None:
        wrong.write_bytes(data)
    assert run("get", "umxl", "--from", tmp_path) == 1
    message = capsys.readouterr().err
    assert str(wrong) in message
    assert said in message
    assert f"{server.url}/files/{path('bass')}" in message
    assert names(folder) == set()


def training_folder(folder: Path) -> Path:
    folder.mkdir()
    signal = {"nfft": 128, "nhop": 32, "sample_rate": 22050, "nb_channels": 2}
    (folder / "separator.json").write_text(json.dumps(signal))
    for target in ("bass", "speech"):
        (folder / f"{target}.json").write_text("{}")
        (folder / f"{target}.pth").write_bytes(CHECKPOINTS["bass"])
    return folder


def test_convert_keeps_a_models_own_targets_and_sample_rate(
    run: Callable[..., int], folder: Path, tmp_path: Path
) -> None:
    assert run("convert", training_folder(tmp_path / "mine"), "--name", "mine") == 0
    manifest = load_model(folder / "mine").manifest
    assert manifest.targets == ("bass", "speech")
    assert manifest.sample_rate == 22050


def test_a_conversion_that_fails_keeps_the_model_that_was_there(
    run: Callable[..., int], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = training_folder(tmp_path / "mine")
    assert run("convert", source, "--name", "mine") == 0
    before = (folder / "mine" / "manifest.json").read_bytes()
    (source / "speech.pth").write_bytes(ERROR_PAGE)
    assert run("convert", source, "--name", "mine") == 1
    assert "speech.pth" in capsys.readouterr().err
    assert (folder / "mine" / "manifest.json").read_bytes() == before
    load_model(folder / "mine")
    (source / "speech.pth").write_bytes(CHECKPOINTS["other"])
    assert run("convert", source, "--name", "mine") == 0
    assert (folder / "mine" / "manifest.json").read_bytes() != before
    assert names(folder) == {"mine", "index.json"}


@pytest.mark.parametrize(
    ("where", "name", "at"), [(Path, "replace", "mine.part/model"), (shutil, "rmtree", "mine.part")]
)
def test_a_model_can_be_converted_after_its_replacement_was_interrupted(
    run: Callable[..., int],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    at: str,
) -> None:
    source = training_folder(tmp_path / "mine")
    assert run("convert", source, "--name", "mine") == 0
    usual = getattr(where, name)

    def stopped(path: Path, *rest: object, **options: object) -> object:
        return interrupted() if path == folder / at else usual(path, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, stopped)
        assert run("convert", source, "--name", "mine") == 130
    assert "mine.part" in names(folder)
    assert run("convert", source, "--name", "mine") == 0
    assert names(folder) == {"mine", "index.json"}
    load_model(folder / "mine")


def test_what_the_disk_refuses_is_named(
    run: Callable[..., int], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.part").write_text("in the way")
    assert run("convert", training_folder(tmp_path / "mine"), "--name", "mine") == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert f"{folder / 'mine.part'}" in message
    assert "start again" in message


def test_a_full_disk_is_said(
    run: Callable[..., int],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    source = training_folder(tmp_path / "mine")
    monkeypatch.setattr(Path, "write_bytes", full)
    assert run("convert", source, "--name", "mine") == 1
    assert f"{folder}: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["th", "safetensors"])
def test_an_htdemucs_at_hand_is_converted(
    run: Callable[..., int], folder: Path, tmp_path: Path, kind: str
) -> None:
    write = {"th": th, "safetensors": safetensors}[kind]
    path = tmp_path / f"955717e8.{kind}"
    path.write_bytes(write(htdemucs.state("four"), htdemucs.ARGUMENTS["four"]))
    assert run("convert", path, "--name", "mine") == 0
    model = load_model(folder / "mine")
    assert model.manifest.targets == htdemucs.FOUR
    song = htdemucs.signal(40_000)
    stems = Separator(model, Numpy()).separate(song)
    np.testing.assert_allclose(stems.sum(axis=0), song, atol=1e-5)
    assert all(np.abs(stem).max() > 0.01 for stem in stems)
    path.write_bytes(path.read_bytes()[:-1])
    assert run("convert", path, "--name", "cut") == 1
    assert not (folder / "cut").exists()


def test_what_rounding_costs_is_said(
    run: Callable[..., int], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.th"
    for name, state in (("good", htdemucs.state("four")), ("odd", htdemucs.odd_state("four"))):
        path.write_bytes(th(state, htdemucs.ARGUMENTS["four"]))
        assert run("convert", path, "--name", name) == 0
        said = capsys.readouterr().out
        manifest = load_model(folder / name).manifest
        assert f"exact to {manifest.snr:.0f} dB" in said
        assert manifest.is_rough is ("40 dB and more are usual" in said) is (name == "odd")


def test_list_verify_remove(
    run: Callable[..., int], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = training_folder(tmp_path / "mine")
    for name in ("one", "two"):
        assert run("convert", source, "--name", name) == 0
    capsys.readouterr()
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["one", "two", *official.OFFICIAL]
    assert run("verify") == 0
    damaged = folder / "two" / "bass.safetensors.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    assert run("verify", "one") == 0
    capsys.readouterr()
    assert run("verify") == 1
    assert "two: bass.safetensors.gz" in capsys.readouterr().out
    assert run("remove", "two") == 0
    assert run("verify") == 0
    assert [entry["name"] for entry in json.loads((folder / "index.json").read_text())] == ["one"]
    assert run("remove", "two") == 1
    message = capsys.readouterr().err
    assert "no model 'two'" in message
    assert "list" in message


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
@pytest.mark.parametrize(
    ("name", "ignored"), [("umxl", True), ("mine", True), ("umxl.part", True), ("umx-mini", False)]
)
def test_git_leaves_out_every_model_but_the_embedded(name: str, ignored: bool) -> None:
    path = f"weights/{name}/manifest.json"
    command = ["git", "check-ignore", "--quiet", "--no-index", path]
    assert (subprocess.run(command, cwd=ROOT).returncode == 0) is ignored


def test_the_embedded_model_stays(
    run: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("remove", "umx-mini") == 1
    assert "stays" in capsys.readouterr().err


def test_verify_names_a_model_that_is_not_there(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", "nothing") == 1
    assert "no model 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("get", "umxl", "--from", "nowhere"), ("convert", "nowhere", "--name", "mine")]
)
def test_a_folder_that_is_not_there_is_named(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit):
        run(*words)
    assert re.search("there is no folder (or file )?'nowhere'", capsys.readouterr().err)


@pytest.mark.parametrize("name", ["..", "a/b", "", "."])
def test_a_name_is_no_path(run: Callable[..., int], name: str) -> None:
    with pytest.raises(SystemExit):
        run("remove", name)


def test_a_damaged_manifest_is_named(
    run: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "odd").mkdir()
    (folder / "odd" / "manifest.json").write_text("{}")
    assert run("list") == 1
    assert str(folder / "odd" / "manifest.json") in capsys.readouterr().err


# What openunmix itself saves; these need torch.


def openunmix_state(hidden: int) -> dict[str, object]:
    golden = pytest.importorskip("golden")
    return dict(golden.network(hidden, 2049, 1487, seed=1).state_dict())


def older_keys() -> dict[str, object]:
    """What state dicts of older releases have beside the network's tensors."""
    torch = pytest.importorskip("torch")
    return {"stft.window": torch.hann_window(4096), "sample_rate": torch.tensor(44100.0)}


@pytest.mark.parametrize("is_old", [True, False], ids=["older release", "this release"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "hidden",
    [
        pytest.param(16, id="tiny"),
        pytest.param(512, id="UMX-HQ", marks=pytest.mark.full),
        pytest.param(1024, id="UMX-L", marks=pytest.mark.full),
    ],
)
def test_what_openunmix_saves_is_converted(
    run: Callable[..., int], folder: Path, tmp_path: Path, hidden: int, zipped: bool, is_old: bool
) -> None:
    torch = pytest.importorskip("torch")
    source = tmp_path / "trained"
    source.mkdir()
    settings = {"nfft": 4096, "nhop": 1024, "sample_rate": 44100.0, "nb_channels": 2}
    (source / "separator.json").write_text(json.dumps(settings))
    (source / "vocals.json").write_text(json.dumps({"args": {"hidden_size": hidden}}))
    state = openunmix_state(hidden)
    content = state | older_keys() if is_old else state
    torch.save(content, source / "vocals.pth", _use_new_zipfile_serialization=zipped)
    assert run("convert", source, "--name", "trained", "--preset", "best") == 0
    tensors = load_model(folder / "trained").networks["vocals",]
    weight = tensors["fc2.weight"] * tensors["fc2.scale"][:, np.newaxis]
    norm = state["bn2.weight"] / torch.sqrt(state["bn2.running_var"] + 1e-5)
    wanted = (state["fc2.weight"] * norm[:, None]).detach().numpy()
    assert np.abs(weight - wanted).max() < 0.01 * np.abs(wanted).max()
