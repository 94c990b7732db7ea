"""The models that their makers publish."""

import hashlib
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from umx import models
from umx.format.manifest import TARGET, Manifest
from umx.models.official import OFFICIAL, Official, recognise

SOURCE = Path(models.__file__).parent / "openunmix" / "official.py"


def digest(checkpoint_sha256: str, seed: str = "") -> str:
    """A whole sha256 that begins as a known one."""
    return checkpoint_sha256 + hashlib.sha256(seed.encode()).hexdigest()[len(checkpoint_sha256) :]


@pytest.mark.parametrize("official", OFFICIAL.values(), ids=list(OFFICIAL))
def test_what_is_said_of_a_model_makes_a_manifest(official: Official) -> None:
    architecture = models.find(official.architecture)
    fields = official.fields()
    assert {"title", "licence", "credit", "source", "quality"} <= fields.keys()
    named = Manifest.__dataclass_fields__.keys() - {"name", "preset", "network", "files", "snr"}
    assert fields.keys() == named
    assert official.known.keys() <= architecture.Network.__dataclass_fields__.keys()
    targets = [target for checkpoint in official.checkpoints for target in checkpoint.targets]
    assert targets
    assert len(set(targets)) == len(targets)
    assert all(TARGET.fullmatch(target) for target in targets)
    assert official.quality.keys() <= {*targets, "all"}
    assert 0 < official.size < official.unpacked


@pytest.mark.parametrize("official", OFFICIAL.values(), ids=list(OFFICIAL))
def test_files_are_at_addresses_and_known_by_their_hashes(official: Official) -> None:
    for checkpoint in official.checkpoints:
        assert re.fullmatch("[0-9a-f]{8,64}", checkpoint.sha256)
        assert re.fullmatch(r"[\w.-]+\.p?th", checkpoint.file)
        for url in (checkpoint.url, checkpoint.page_url):
            assert url.startswith("https://")
            assert checkpoint.file in url


def test_files_of_a_model_are_recognised_whatever_they_are_called() -> None:
    official = OFFICIAL["umxl"]
    files = {digest(c.sha256): f"{c.targets} (1).pth" for c in official.checkpoints}
    files[hashlib.sha256(b"another").hexdigest()] = "another.pth"
    found = recognise(files)
    assert found
    name, checkpoints = found
    assert name == "umxl"
    assert checkpoints == {c: f"{c.targets} (1).pth" for c in official.checkpoints}


def test_the_same_network_in_another_file_is_recognised() -> None:
    (checkpoint,) = OFFICIAL["htdemucs"].checkpoints
    (digits,) = checkpoint.also
    assert recognise({digits: "955717e8.safetensors"}) == (
        "htdemucs",
        {checkpoint: "955717e8.safetensors"},
    )


def test_of_two_models_the_one_with_more_files_is_meant() -> None:
    umxl, umxhq = OFFICIAL["umxl"].checkpoints, OFFICIAL["umxhq"].checkpoints
    files = {digest(c.sha256): c.file for c in (*umxhq[1:], umxl[0])}
    found = recognise(files)
    assert found
    assert found == ("umxhq", {c: c.file for c in umxhq[1:]})


def test_other_files_are_none_s() -> None:
    assert recognise({}) is None
    assert recognise({hashlib.sha256(b"another").hexdigest(): 1}) is None


def test_the_list_is_read_without_the_package() -> None:
    """Scripts do so where numpy isn't installed."""
    assert runpy.run_path(str(SOURCE))["MODELS"].keys() <= OFFICIAL.keys()
    program = f"import runpy; print(*runpy.run_path({str(SOURCE)!r})['MODELS'])"
    python = [sys.executable, "-I", "-S", "-c", program]
    said = subprocess.run(python, check=True, capture_output=True, text=True).stdout
    assert said.split() == [name for name in OFFICIAL if OFFICIAL[name].architecture == "openunmix"]
