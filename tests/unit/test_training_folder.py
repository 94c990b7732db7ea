"""What openunmix's training leaves."""

import json
import re
from pathlib import Path

import pytest

from tests.checkpoints import golden_state, pth
from umx.errors import ConvertError
from umx.models.openunmix.training_folder import read_folder

TARGETS = ("vocals", "drums", "bass", "other")


def training_folder(folder: Path, **settings: float) -> Path:
    """What openunmix's training leaves."""
    signal = {"nfft": 128, "nhop": 32, "sample_rate": 44100.0, "nb_channels": 2} | settings
    (folder / "separator.json").write_text(json.dumps(signal))
    for target in TARGETS:
        (folder / f"{target}.pth").write_bytes(pth(golden_state(target)))
        (folder / f"{target}.json").write_text(json.dumps({"args": {"target": target}}))
    return folder


def refused(folder: Path, code: str, match: str) -> None:
    with pytest.raises(ConvertError, match=match) as caught:
        read_folder(folder)
    assert caught.value.code == code
    assert str(caught.value).endswith(".")


def test_a_training_folder_says_what_it_holds(tmp_path: Path) -> None:
    paths, rate, known = read_folder(training_folder(tmp_path, sample_rate=48000.0))
    assert (rate, known) == (48000, {"n_fft": 128, "hop": 32})
    assert paths == {(target,): tmp_path / f"{target}.pth" for target in TARGETS}


def test_a_checkpoint_may_have_its_hash_in_its_name(tmp_path: Path) -> None:
    training_folder(tmp_path)
    (tmp_path / "bass.pth").rename(tmp_path / "bass-0123abcd.pth")
    assert read_folder(tmp_path)[0]["bass",].name == "bass-0123abcd.pth"
    (tmp_path / "bass-0123abce.pth").write_bytes(b"")
    refused(tmp_path, "folder.checkpoint", r"several checkpoints bass\.pth")


@pytest.mark.parametrize(
    ("settings", "code", "what"),
    [
        ({"nb_channels": 1}, "channels", "1 channels"),
        ({"nhop": 48}, "hop", "multiple of nhop"),
        ({"nhop": 128}, "hop", "multiple of nhop"),
        ({"sample_rate": 44100.5}, "settings", "44100.5"),
        ({"sample_rate": float("inf")}, "settings", "infinity"),
        ({"sample_rate": float("nan")}, "settings", "nan|NaN"),
        ({"nfft": -4}, "settings", "-4"),
    ],
)
def test_what_the_pipeline_cant_do_is_refused(
    tmp_path: Path, settings: dict[str, float], code: str, what: str
) -> None:
    refused(training_folder(tmp_path, **settings), f"folder.{code}", what)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "3", "null", "{"])
def test_settings_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    training_folder(tmp_path)
    (tmp_path / "separator.json").write_text(text)
    code = "settings" if text in ("[]", "3", "null") else "unreadable"
    refused(tmp_path, f"folder.{code}", r"separator\.json .*\.$")


@pytest.mark.parametrize("name", ["lead vocals", "v.1", "x" * 65])
def test_a_name_that_no_target_can_have_is_refused_at_once(tmp_path: Path, name: str) -> None:
    training_folder(tmp_path)
    for suffix in (".json", ".pth"):
        (tmp_path / f"bass{suffix}").rename(tmp_path / f"{name}{suffix}")
    match = f"{re.escape(name)}.* can't be the name of a target"
    refused(tmp_path, "folder.target-name", match)


def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "folder.unreadable", r"separator\.json")
    training_folder(tmp_path)
    (tmp_path / "other.pth").unlink()
    refused(tmp_path, "folder.checkpoint", r"no checkpoint other\.pth")
    for path in tmp_path.glob("*.json"):
        if path.name != "separator.json":
            path.unlink()
    refused(tmp_path, "folder.empty", r"no <target>\.json")
