"""What an architecture has, and that any one goes all the way from a checkpoint to stems."""

import json
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from tests import architecture as shares
from tests.checkpoints import golden_state, pth
from umx import models
from umx.errors import ConvertError, WeightsError
from umx.format import convert, library
from umx.kernels.reference import Numpy
from umx.names import MANIFEST
from umx.separator import Separator

FIELDS = {
    "name": "mix",
    "title": "Mix",
    "licence": "none",
    "credit": "",
    "source": "",
    "sample_rate": 44100,
}
SHARES = {("vocals", "drums"): [0.5, 0.25], ("bass", "other"): [0.125, 0.125]}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second architecture, as if its package were there."""
    monkeypatch.setattr(models, "ARCHITECTURES", (*models.ARCHITECTURES, "shares"))
    monkeypatch.setitem(sys.modules, "umx.models.shares", shares)


def checkpoints(folder: Path) -> dict[tuple[str, ...], Path]:
    paths = {}
    for targets, values in SHARES.items():
        paths[targets] = folder / f"{targets[0]}.pth"
        paths[targets].write_bytes(pth({"shares": np.array(values, np.float32)}))
    return paths


@pytest.fixture
def folder(registered: None, tmp_path: Path) -> Path:
    """A converted model of the second architecture."""
    convert.convert(checkpoints(tmp_path), tmp_path / "model", "web", {"whole": 120}, **FIELDS)
    return tmp_path / "model"


@pytest.mark.parametrize("name", models.ARCHITECTURES)
def test_an_architecture_has_what_is_asked_of_it(name: str) -> None:
    found = models.find(name)
    for part in ("Estimator", "Network", "describe", "recognises", "shapes", "targets", "tensors"):
        assert hasattr(found, part), part
    assert is_dataclass(found.Network)
    assert {field.type for field in fields(found.Network)} <= {int, float, bool, str}
    assert callable(found.Network.check)
    assert isinstance(found.Estimator.cutting, models.Cutting)  # type: ignore[attr-defined]
    assert not found.recognises({})


def test_an_architecture_s_models_say_it(folder: Path) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    assert content["architecture"] == "shares"
    assert content["network"] == {"sources": 2, "whole": 120}
    assert [entry["targets"] for entry in content["files"]] == [*map(list, SHARES)]
    model = library.load_model(folder)
    assert model.manifest.network == shares.Network(sources=2, whole=120)
    assert model.manifest.targets == ("vocals", "drums", "bass", "other")
    assert model.networks["vocals", "drums"]["shares"].tolist() == [60, 30]


@pytest.mark.parametrize("targets", [None, ["drums"], ["other", "vocals"]])
def test_its_stems_are_heard(folder: Path, targets: list[str] | None) -> None:
    """Over many segments of its own length, with its own share of the mixture in every stem."""
    rng = np.random.default_rng(1)
    mixture = (0.1 * rng.standard_normal((2, 40_000))).astype(np.float32)
    separator = Separator(library.load_model(folder), Numpy(), targets=targets, residual=True)
    told: list[float] = []
    stems = separator.separate(mixture, told.append)
    parts = {t: part for names in SHARES for t, part in zip(names, SHARES[names], strict=True)}
    wanted = targets or list(parts)
    assert separator.targets == (*wanted, "residual")
    for target, stem in zip(wanted, stems, strict=False):
        np.testing.assert_allclose(stem, parts[target] * mixture, atol=1e-6)
    left = 1 - sum(parts[target] for target in wanted)
    np.testing.assert_allclose(stems[-1], left * mixture, atol=1e-6)
    assert len(told) > 4
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_part_of_its_stems_is_the_same(folder: Path) -> None:
    mixture = np.random.default_rng(2).standard_normal((1, 2, 300)).astype(np.float32)
    part = Separator(library.load_model(folder), Numpy()).only(["other", "drums"])
    assert part.targets == ("drums", "other", "residual")
    (stems,) = part.process(mixture)
    np.testing.assert_allclose(stems[0], 0.25 * mixture[0], rtol=1e-5)
    np.testing.assert_allclose(stems[1], 0.125 * mixture[0], rtol=1e-5)
    np.testing.assert_allclose(stems.sum(axis=0), mixture[0], atol=1e-6)


def test_checkpoints_are_recognised_as_each_one_s(registered: None) -> None:
    assert convert.recognise({"shares": np.ones(2)}) == "shares"
    assert convert.recognise(golden_state("vocals")) == "openunmix"


def test_networks_of_two_architectures_are_no_model(registered: None, tmp_path: Path) -> None:
    """The first one tells what the others are taken for, and the others are none."""
    paths = checkpoints(tmp_path)
    paths["zither",] = tmp_path / "zither.pth"
    paths["zither",].write_bytes(pth(golden_state("bass")))
    with pytest.raises(ConvertError, match="zither"):
        convert.convert(paths, tmp_path / "model", "web", {"whole": 120}, **FIELDS)


def test_its_own_refusals_are_said(registered: None, tmp_path: Path) -> None:
    path = tmp_path / "bass.pth"
    path.write_bytes(pth({"shares": np.ones((2, 2), np.float32)}))
    with pytest.raises(ConvertError, match=r"bass\.pth: its shares are no list") as caught:
        convert.convert({("bass",): path}, tmp_path, "web", {"whole": 120}, **FIELDS)
    assert caught.value.code == "convert.shares"


def test_its_numbers_are_checked(folder: Path) -> None:
    path = folder / MANIFEST
    content = json.loads(path.read_text())
    content["network"]["whole"] = -1
    path.write_text(json.dumps(content))
    with pytest.raises(WeightsError, match="whole should be a positive number"):
        library.load_model(folder)


def test_without_it_its_models_are_refused_in_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "ARCHITECTURES", ("openunmix",))
    with pytest.raises(WeightsError, match="its architecture 'shares' isn't known") as caught:
        library.load_model(folder)
    assert caught.value.code == "manifest.unusable"
