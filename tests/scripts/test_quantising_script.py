"""scripts/quantising.py, on a tiny network and a second of noise."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from scripts import quantising
from tests.checkpoints import golden_state, pth

TARGETS = ("vocals", "drums", "bass", "other")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Checkpoints; a song with stems and one without."""
    trained = tmp_path / "trained"
    trained.mkdir()
    signal = {"nfft": 128, "nhop": 32, "sample_rate": 44100, "nb_channels": 2}
    (trained / "separator.json").write_text(json.dumps(signal))
    rng = np.random.default_rng(0)
    stems = {target: 0.1 * rng.standard_normal((44100, 2)) for target in TARGETS}
    for name in ("one", "two"):
        (tmp_path / "songs" / name).mkdir(parents=True)
        mixture = sum(stems.values())
        soundfile.write(tmp_path / "songs" / name / "mixture.wav", mixture, 44100, "FLOAT")
    for target, stem in stems.items():
        (trained / f"{target}.json").write_text("{}")
        (trained / f"{target}.pth").write_bytes(pth(golden_state(target)))
        soundfile.write(tmp_path / "songs" / "one" / f"{target}.wav", stem, 44100, "FLOAT")
    return trained, tmp_path / "songs"


def test_more_bits_are_larger_and_nearer(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["quantising.py", *map(str, folders), "--seconds", "0.1"])
    monkeypatch.setattr(quantising, "BITS", (2.0, 4.0))
    quantising.main()
    effects, curve = capsys.readouterr().out.strip().split("\n\n")
    names = [line.split("|")[1].strip() for line in effects.splitlines()[2:]]
    assert len(names) == 15
    assert {"fc1", "fc2", "fc3", "lstm.2.backward.recurrent"} < set(names)
    rows = [re.findall(r"[-\d.]+", line) for line in curve.splitlines()[2:]]
    assert [float(row[0]) for row in rows] == [32, 8, 4, 2]
    after_gzip = [float(row[2]) for row in rows[1:]]
    noise = [float(row[-2]) for row in rows[1:]]
    assert after_gzip == sorted(after_gzip, reverse=True)
    assert noise == sorted(noise, reverse=True)
    assert noise[0] > noise[2] + 10


def test_a_model_s_own_targets_are_measured_in_the_usual_order(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, _ = folders
    for suffix in (".json", ".pth"):
        for target in ("bass", "other"):
            (trained / f"{target}{suffix}").unlink()
        (trained / f"drums{suffix}").rename(trained / f"applause{suffix}")
    monkeypatch.setattr(sys, "argv", ["quantising.py", *map(str, folders), "--seconds", "0.1"])
    monkeypatch.setattr(quantising, "BITS", (2.0,))
    quantising.main()
    effects, curve = capsys.readouterr().out.strip().split("\n\n")
    assert effects.startswith("| matrix | vocals | applause | median |\n")
    assert "SNR in dB: vocals | applause | mean | mean SDR |\n" in curve
    for table in (effects, curve):
        (_,) = {line.count("|") for line in table.splitlines()}


def test_a_folder_without_songs_is_said(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, _ = folders
    monkeypatch.setattr(sys, "argv", ["quantising.py", str(trained), str(trained)])
    with pytest.raises(SystemExit):
        quantising.main()
    assert "no folder in it holds a mixture.wav" in capsys.readouterr().err
