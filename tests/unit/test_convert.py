"""From checkpoints to a model's folder."""

import io
import re
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import GOLDEN, golden_state, pth
from tests.listening import snr
from tests.memory import cheaply
from tests.reference import AsTheReference
from umx.errors import CheckpointError, ConvertError, WeightsError
from umx.format.convert import Converter, convert, recognise
from umx.format.library import load_model
from umx.format.manifest import WeightFile
from umx.models.openunmix import convert as openunmix
from umx.separator import Separator

TARGETS = ("vocals", "drums", "bass", "other")
UNUSED = {f"bn{number}.num_batches_tracked" for number in (1, 2, 3)}
KNOWN = {"n_fft": 128, "hop": 32}
FIELDS = {
    "name": "tiny",
    "title": "Tiny",
    "licence": "none",
    "credit": "",
    "source": "",
    "sample_rate": 44100,
}


def checkpoints(folder: Path) -> dict[tuple[str, ...], Path]:
    paths: dict[tuple[str, ...], Path] = {(t,): folder / f"{t}.pth" for t in TARGETS}
    for (target,), path in paths.items():
        path.write_bytes(pth(golden_state(target)))
    return paths


def add(
    state: dict[str, np.ndarray],
    target: str = "vocals",
    preset: str = "best",
    **known: int,
) -> tuple[WeightFile, bytes]:
    """Convert one network."""
    converter = Converter(preset, KNOWN | known, **FIELDS)
    return converter.add((target,), io.BytesIO(pth(state)))


def test_a_checkpoint_that_doesn_t_say_its_target_needs_to_be_told() -> None:
    with pytest.raises(ConvertError, match="doesn't say which stems"):
        Converter("web", {}, **FIELDS).add((), io.BytesIO(pth(golden_state("vocals"))))


@pytest.mark.parametrize(("preset", "least"), [("best", 30), ("web", 8)])
def test_a_converted_model_separates_as_the_reference_does(
    tmp_path: Path, preset: str, least: float
) -> None:
    convert(checkpoints(tmp_path), tmp_path / "model", preset, KNOWN, **FIELDS)
    model = load_model(tmp_path / "model")
    assert model.manifest.preset == preset
    assert model.manifest.architecture == "openunmix"  # which nobody had said
    assert model.manifest.targets == TARGETS
    with np.load(GOLDEN) as golden:
        mixture, wanted = golden["mixture"], golden["estimates"]
    (got,) = Separator(model, AsTheReference()).process(mixture[np.newaxis])
    assert snr(got, wanted) > least


def test_the_same_checkpoints_give_the_same_bytes(tmp_path: Path) -> None:
    paths = checkpoints(tmp_path)
    for name in ("one", "two"):
        convert(paths, tmp_path / name, "web", KNOWN, **FIELDS)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("format", ["zip", "legacy"])
@pytest.mark.parametrize("release", ["network", "older"])
def test_what_openunmix_saved_is_converted(format: str, release: str) -> None:
    saved = (GOLDEN.parent / f"{release}.{format}.pth").read_bytes()
    found, expected = (
        Converter("best", KNOWN, **FIELDS).add(("vocals",), io.BytesIO(data))
        for data in (saved, pth(golden_state("vocals")))
    )
    assert found == expected


def test_tensors_that_are_not_the_network_s_are_left_out() -> None:
    state = golden_state("bass")
    extra = state | {"stft.window": np.ones((), np.float32), "nothing": np.ones(0, np.float32)}
    assert add(state, "bass") == add(extra, "bass")


def test_targets_have_their_usual_order_and_progress_names_each(tmp_path: Path) -> None:
    paths = checkpoints(tmp_path)
    mixed = {("zither",): paths["bass",], **dict(reversed(paths.items()))}
    named: list[str] = []
    manifest = convert(mixed, tmp_path / "model", "best", KNOWN, named.append, **FIELDS)
    assert named == list(manifest.targets) == [*TARGETS, "zither"]


def test_a_target_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    paths = checkpoints(tmp_path)
    state = {key: value for key, value in golden_state("bass").items() if "_l2" not in key}
    paths["bass",].write_bytes(pth(state))
    with pytest.raises(ConvertError, match=r"bass\.pth: .*layers 2.*model has 3") as caught:
        convert(paths, tmp_path / "model", "best", KNOWN, **FIELDS)
    assert caught.value.code == "convert.unlike"
    assert (caught.value.fields["found"], caught.value.fields["other"]) == (2, 3)
    assert not (tmp_path / "model" / "manifest.json").exists()


@pytest.mark.parametrize("key", sorted(set(golden_state("vocals")) - UNUSED))
def test_a_missing_tensor_is_named(key: str) -> None:
    state = golden_state("vocals")
    del state[key]
    with pytest.raises(ConvertError, match="lstm" if key.startswith("lstm") else re.escape(key)):
        add(state)


@pytest.mark.parametrize("key", ["fc1.weight", "fc2.weight", "bn3.bias", "lstm.bias_hh_l1"])
def test_a_misshapen_tensor_is_refused(key: str) -> None:
    state = golden_state("vocals")
    state[key] = state[key][..., :-1]
    with pytest.raises(ConvertError):
        add(state)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 2), (0, 0), (2, 0, 1)])
@pytest.mark.parametrize("key", sorted(set(golden_state("vocals")) - UNUSED))
def test_tensors_of_any_shape_are_folded_or_refused(key: str, shape: tuple[int, ...]) -> None:
    state = golden_state("vocals") | {key: np.ones(shape, np.float32)}
    try:
        add(state, preset="web")
    except ConvertError as error:
        assert str(error).endswith(".")
    else:
        assert shape == (1,)  # which numpy takes for a vector of any length


@pytest.mark.parametrize("layer", ["16", "2000000", "9" * 5000])
def test_more_layers_than_a_model_may_have_are_refused(layer: str) -> None:
    state = golden_state("vocals") | {f"lstm.weight_ih_l{layer}": np.ones((1, 1), np.float32)}
    with cheaply(2_000_000), pytest.raises(ConvertError, match="layers should be") as caught:
        add(state, preset="web")
    assert caught.value.code == "convert.network"


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"n_fft": 256}, "n_fft, bins"), ({"hop": 128}, "twice as long"), ({"hop": 0}, "hop")],
)
def test_what_does_not_fit_together_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, int], message: str
) -> None:
    monkeypatch.delattr(openunmix, "fold")
    with pytest.raises(ConvertError, match=message) as caught:
        add(golden_state("bass"), "bass", "web", **fields)
    assert caught.value.code == "convert.network"


def test_mono_is_refused() -> None:
    state = golden_state("vocals")
    state["fc1.weight"] = state["fc1.weight"][:, :47]
    with pytest.raises(ConvertError, match="channels should be 2"):
        add(state)


def test_numbers_that_are_not_finite_are_refused() -> None:
    state = golden_state("vocals")
    state["fc2.weight"] = state["fc2.weight"].copy()
    state["fc2.weight"][3, 4] = np.nan
    with pytest.raises(ConvertError, match=r"fc2.*not finite") as caught:
        add(state)
    assert caught.value.code == "convert.not-finite"


def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    paths = checkpoints(tmp_path)
    paths["drums",].write_bytes(b"<!doctype html><title>404</title>")
    with pytest.raises(CheckpointError, match=r"drums\.pth: "):
        convert(paths, tmp_path / "model", "best", KNOWN, **FIELDS)
    with pytest.raises(CheckpointError):
        Converter("best", KNOWN, **FIELDS).add(("drums",), io.BytesIO(b"<!doctype html>"))
    paths["drums",].unlink()
    with pytest.raises(ConvertError, match=r"drums\.pth can't be read: No such file") as caught:
        convert(paths, tmp_path / "model", "best", KNOWN, **FIELDS)
    assert caught.value.code == "file.unreadable"


def test_what_no_architecture_knows_is_refused() -> None:
    state = {"encoder.weight": np.ones((2, 3), np.float32)}
    with pytest.raises(ConvertError, match="no network that can be used here") as caught:
        add(state)
    assert caught.value.code == "convert.unknown"
    assert recognise(golden_state("vocals")) == "openunmix"


def test_fields_that_no_manifest_can_have_are_refused_at_the_end(tmp_path: Path) -> None:
    paths = checkpoints(tmp_path)
    with pytest.raises(WeightsError, match="can't be the name of a target") as caught:
        convert({("a b",): paths["bass",]}, tmp_path / "model", "best", KNOWN, **FIELDS)
    assert caught.value.code == "manifest.unusable"
    assert not (tmp_path / "model" / "manifest.json").exists()
