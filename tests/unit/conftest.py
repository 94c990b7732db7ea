from pathlib import Path

import pytest

from scripts.common.environment import ROOT
from tests.tiny import FIELDS, SEEDS, tensors
from umx.format import library
from umx.format.library import read_manifest, write_model
from umx.format.manifest import Manifest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model, not to be changed."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_model(folder, {targets: tensors(seed) for targets, seed in SEEDS.items()}, **FIELDS)
    return folder


@pytest.fixture(scope="session")
def manifest(tiny: Path) -> Manifest:
    return read_manifest(tiny)


@pytest.fixture(scope="session")
def packed(tiny: Path) -> bytes:
    """The file with its vocals' network."""
    return (tiny / "vocals.safetensors.gz").read_bytes()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own models. It is there, and so it isn't the first run."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(library, "model_places", lambda: [library.user_models(), ROOT / "weights"])
    folder = library.user_models()
    folder.mkdir(parents=True)
    return folder
