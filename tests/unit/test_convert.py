import io
import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import GOLDEN, golden_state, pth
from tests.reference import AsTheReference
from umx.errors import CheckpointError, ConvertError
from umx.format.convert import Converter, convert
from umx.format.library import load_model
from umx.models.openunmix.training_folder import read_folder
from umx.separator import Separator

TARGETS = ("vocals", "drums", "bass", "other")
UNUSED = {f"bn{number}.num_batches_tracked" for number in (1, 2, 3)}
SIGNAL = {"sample_rate": 44100, "n_fft": 128, "hop": 32}
FIELDS = {"name": "tiny", "title": "Tiny", "licence": "none", "credit": "", "source": ""} | SIGNAL


def checkpoints(folder: Path) -> dict[str, Path]:
    paths = {target: folder / f"{target}.pth" for target in TARGETS}
    for target, path in paths.items():
        path.write_bytes(pth(golden_state(target)))
    return paths


def training_folder(folder: Path, **settings: float) -> Path:
    """What openunmix's training leaves."""
    signal = {"nfft": 128, "nhop": 32, "sample_rate": 44100.0, "nb_channels": 2} | settings
    (folder / "separator.json").write_text(json.dumps(signal))
    for target in checkpoints(folder):
        (folder / f"{target}.json").write_text(json.dumps({"args": {"target": target}}))
    return folder


def snr(wanted: np.ndarray, got: np.ndarray) -> float:
    return float(10 * np.log10(np.square(wanted).sum() / np.square(wanted - got).sum()))


@pytest.mark.parametrize(("preset", "least"), [("best", 30), ("web", 8)])
def test_a_converted_model_separates_as_the_reference_does(
    tmp_path: Path, preset: str, least: float
) -> None:
    convert(checkpoints(tmp_path), tmp_path / "model", preset, **FIELDS)
    model = load_model(tmp_path / "model")
    assert model.manifest.preset == preset
    assert tuple(model.targets) == TARGETS
    with np.load(GOLDEN) as golden:
        mixture, wanted = golden["mixture"], golden["estimates"]
    (got,) = Separator(model, AsTheReference()).process(mixture[np.newaxis])
    assert snr(wanted, got) > least


def test_the_same_checkpoints_give_the_same_bytes(tmp_path: Path) -> None:
    paths = checkpoints(tmp_path)
    for name in ("one", "two"):
        convert(paths, tmp_path / name, "web", **FIELDS)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("format", ["zip", "legacy"])
@pytest.mark.parametrize("release", ["network", "older"])
def test_what_openunmix_saved_is_converted(format: str, release: str) -> None:
    saved = (GOLDEN.parent / f"{release}.{format}.pth").read_bytes()
    found, expected = (
        Converter("best", **FIELDS).add("vocals", io.BytesIO(data))
        for data in (saved, pth(golden_state("vocals")))
    )
    assert found == expected


def test_tensors_that_are_not_the_network_s_are_left_out() -> None:
    state = golden_state("bass")
    extra = state | {"stft.window": np.ones((), np.float32), "nothing": np.ones(0, np.float32)}
    plain, more = (
        Converter("best", **FIELDS).add("bass", io.BytesIO(pth(s))) for s in (state, extra)
    )
    assert plain == more


def test_targets_have_their_usual_order_and_progress_names_each(tmp_path: Path) -> None:
    paths = checkpoints(tmp_path)
    mixed = {"zither": paths["bass"], **{t: paths[t] for t in reversed(TARGETS)}}
    named: list[str] = []
    manifest = convert(mixed, tmp_path / "model", "best", named.append, **FIELDS)
    assert named == list(manifest.targets) == [*TARGETS, "zither"]


def test_a_target_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    paths = checkpoints(tmp_path)
    state = {key: value for key, value in golden_state("bass").items() if "_l2" not in key}
    paths["bass"].write_bytes(pth(state))
    with pytest.raises(ConvertError, match=r"bass\.pth: .*layers 2.*model has 3"):
        convert(paths, tmp_path / "model", "best", **FIELDS)
    assert not (tmp_path / "model" / "manifest.json").exists()


@pytest.mark.parametrize("key", sorted(set(golden_state("vocals")) - UNUSED))
def test_a_missing_tensor_is_named(key: str) -> None:
    state = golden_state("vocals")
    del state[key]
    with pytest.raises(ConvertError, match="lstm" if key.startswith("lstm") else re.escape(key)):
        Converter("best", **FIELDS).add("vocals", io.BytesIO(pth(state)))


@pytest.mark.parametrize("key", ["fc1.weight", "fc2.weight", "bn3.bias", "lstm.bias_hh_l1"])
def test_a_misshapen_tensor_is_refused(key: str) -> None:
    state = golden_state("vocals")
    state[key] = state[key][..., :-1]
    with pytest.raises(ConvertError):
        Converter("best", **FIELDS).add("vocals", io.BytesIO(pth(state)))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 2), (0, 0), (2, 0, 1)])
@pytest.mark.parametrize("key", sorted(set(golden_state("vocals")) - UNUSED))
def test_tensors_of_any_shape_are_folded_or_refused(key: str, shape: tuple[int, ...]) -> None:
    state = golden_state("vocals") | {key: np.ones(shape, np.float32)}
    try:
        Converter("web", **FIELDS).add("vocals", io.BytesIO(pth(state)))
    except ConvertError as error:
        assert str(error).endswith(".")
    else:
        assert shape == (1,)  # which numpy takes for a vector of any length


@pytest.mark.parametrize("layer", ["16", "2000000", "9" * 5000])
def test_more_layers_than_a_model_may_have_are_refused(layer: str) -> None:
    state = golden_state("vocals") | {f"lstm.weight_ih_l{layer}": np.ones((1, 1), np.float32)}
    tracemalloc.start()
    try:
        with pytest.raises(ConvertError, match="layers should be"):
            Converter("web", **FIELDS).add("vocals", io.BytesIO(pth(state)))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"n_fft": 256}, "n_fft, bins"), ({"hop": 128}, "twice as long"), ({"hop": 0}, "hop")],
)
def test_what_does_not_fit_together_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, int], message: str
) -> None:
    monkeypatch.delattr("umx.convert.fold")
    with pytest.raises(ConvertError, match=message):
        Converter("web", **FIELDS | fields).add("bass", io.BytesIO(pth(golden_state("bass"))))


def test_mono_is_refused() -> None:
    state = golden_state("vocals")
    state["fc1.weight"] = state["fc1.weight"][:, :47]
    with pytest.raises(ConvertError, match="channels should be 2"):
        Converter("best", **FIELDS).add("vocals", io.BytesIO(pth(state)))


def test_numbers_that_are_not_finite_are_refused() -> None:
    state = golden_state("vocals")
    state["fc2.weight"] = state["fc2.weight"].copy()
    state["fc2.weight"][3, 4] = np.nan
    with pytest.raises(ConvertError, match=r"fc2.*not finite"):
        Converter("best", **FIELDS).add("vocals", io.BytesIO(pth(state)))


def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    paths = checkpoints(tmp_path)
    paths["drums"].write_bytes(b"<!doctype html><title>404</title>")
    with pytest.raises(ConvertError, match=r"drums\.pth"):
        convert(paths, tmp_path / "model", "best", **FIELDS)
    with pytest.raises(CheckpointError):
        Converter("best", **FIELDS).add("drums", io.BytesIO(b"<!doctype html>"))


def test_a_training_folder_says_what_it_holds(tmp_path: Path) -> None:
    paths, signal = read_folder(training_folder(tmp_path, sample_rate=48000.0))
    assert signal == {"sample_rate": 48000, "n_fft": 128, "hop": 32}
    assert paths == {target: tmp_path / f"{target}.pth" for target in TARGETS}


def test_a_checkpoint_may_have_its_hash_in_its_name(tmp_path: Path) -> None:
    training_folder(tmp_path)
    (tmp_path / "bass.pth").rename(tmp_path / "bass-0123abcd.pth")
    assert read_folder(tmp_path)[0]["bass"].name == "bass-0123abcd.pth"
    (tmp_path / "bass-0123abce.pth").write_bytes(b"")
    with pytest.raises(ConvertError, match=r"several checkpoints bass\.pth"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"nb_channels": 1}, "1 channels"),
        ({"nhop": 48}, "multiple of nhop"),
        ({"nhop": 128}, "multiple of nhop"),
        ({"sample_rate": 44100.5}, "44100.5"),
        ({"sample_rate": float("inf")}, "infinity"),
        ({"sample_rate": float("nan")}, "nan|NaN"),
        ({"nfft": -4}, "-4"),
    ],
)
def test_what_the_pipeline_cant_do_is_refused(
    tmp_path: Path, settings: dict[str, float], what: str
) -> None:
    with pytest.raises(ConvertError, match=what):
        read_folder(training_folder(tmp_path, **settings))


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "3", "null", "{"])
def test_settings_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    training_folder(tmp_path)
    (tmp_path / "separator.json").write_text(text)
    with pytest.raises(ConvertError, match=r"separator\.json .*\.$"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["lead vocals", "v.1", "x" * 65])
def test_a_name_that_no_target_can_have_is_refused_at_once(tmp_path: Path, name: str) -> None:
    training_folder(tmp_path)
    for suffix in (".json", ".pth"):
        (tmp_path / f"bass{suffix}").rename(tmp_path / f"{name}{suffix}")
    with pytest.raises(ConvertError, match=f"{re.escape(name)}.* can't be the name of a target"):
        read_folder(tmp_path)


def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=r"separator\.json"):
        read_folder(tmp_path)
    training_folder(tmp_path)
    (tmp_path / "other.pth").unlink()
    with pytest.raises(ConvertError, match=r"no checkpoint other\.pth"):
        read_folder(tmp_path)
    for path in tmp_path.glob("*.json"):
        if path.name != "separator.json":
            path.unlink()
    with pytest.raises(ConvertError, match=r"no <target>\.json"):
        read_folder(tmp_path)
