"""Models on a disk."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import FIELDS, SEEDS, format_1, refused, tensors
from umx.errors import WeightsError
from umx.format import library
from umx.format.manifest import Manifest
from umx.names import MANIFEST


def expect_tiny(model: library.Model) -> None:
    """Expect the tiny model, with every weight."""
    assert list(model.networks) == list(SEEDS)
    assert model.manifest.targets == ("vocals", "drums")
    assert {name: getattr(model.manifest, name) for name in FIELDS} == FIELDS
    for targets, seed in SEEDS.items():
        written = tensors(seed)
        assert model.networks[targets].keys() == written.keys()
        for name, tensor in model.networks[targets].items():
            assert tensor.dtype == written[name].dtype
            np.testing.assert_array_equal(tensor, written[name])


def test_what_is_written_is_read(tiny: Path) -> None:
    expect_tiny(library.load_model(tiny))


def test_a_folder_of_the_first_format_is_read(tiny: Path, tmp_path: Path) -> None:
    """As older versions wrote it, of which devices still have some."""
    folder = tmp_path / "old"
    shutil.copytree(tiny, folder)
    content = format_1(library.read_manifest(tiny))
    (folder / MANIFEST).write_text(json.dumps(content), "utf-8")
    expect_tiny(library.load_model(folder))


def test_same_tensors_give_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    backwards = {t: dict(reversed(tensors(seed).items())) for t, seed in SEEDS.items()}
    library.write_model(tmp_path, backwards, **FIELDS)
    for path in tiny.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_files_in_each_other_s_place_are_noticed(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "swapped"
    shutil.copytree(tiny, folder)
    vocals, drums = folder / "vocals.safetensors.gz", folder / "drums.safetensors.gz"
    content = vocals.read_bytes()
    vocals.write_bytes(drums.read_bytes())
    drums.write_bytes(content)
    with refused(r"vocals\.safetensors\.gz .*fetch it again"):
        library.load_model(folder)


@pytest.mark.parametrize("name", ["vocals.safetensors.gz", MANIFEST])
def test_a_missing_file_is_named(tiny: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "lacking"
    shutil.copytree(tiny, folder)
    (folder / name).unlink()
    with refused(f"{name} can't be read", "weights.unreadable"):
        library.load_model(folder)


def test_a_manifest_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b"\xff\xfe\xfd")
    with refused(r"manifest\.json can't be read", "weights.unreadable"):
        library.read_manifest(tmp_path)


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    with refused("twice", "manifest.unusable"):
        library.write_model(tmp_path, {("vocals", "vocals"): tensors(1)}, **FIELDS)
    assert not (tmp_path / MANIFEST).exists()


def test_models_are_found_by_path_and_by_name(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.find_model(tiny) == tiny
    assert library.find_model("umx-mini").name == "umx-mini"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    match = f"no model 'tiny' in any of .*{tmp_path / 'umx'}"
    with pytest.raises(WeightsError, match=match) as caught:
        library.find_model("tiny")
    assert caught.value.code == "weights.no-model"
    assert caught.value.fields["name"] == "tiny"
    shutil.copytree(tiny, library.user_models() / "tiny")
    assert library.find_model("tiny") == tmp_path / "umx" / "tiny"


def test_the_embedded_model_is_what_its_manifest_says() -> None:
    model = library.load_model(library.find_model("umx-mini"))
    text = (library.find_model("umx-mini") / MANIFEST).read_text("utf-8")
    assert model.manifest.text() == text
    assert model.manifest == Manifest.parse(text, MANIFEST)
    assert model.manifest.targets == ("vocals", "drums", "bass", "other")


def test_user_models_are_at_home_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert library.user_models() == Path("/home/someone/.local/share/umx")
