import json
from pathlib import Path

import pytest

from scripts.train import curves, export
from tests.checkpoints import golden_state, pth
from umx.format.convert import TARGETS, convert
from umx.format.library import load_model


def scores(path: Path, songs: dict[str, dict[str, float]]) -> Path:
    """What evaluate.py --json writes: the oracle 5 dB better than the model, the mixture 5 dB worse."""
    methods = {"wiener": 0, "mask": 0, "oracle": 5, "mixture": -5}
    content = {
        name: {
            method: {target: {"plain": value + shift} for target, value in song.items()}
            for method, shift in methods.items()
        }
        for name, song in songs.items()
    }
    path.write_text(json.dumps({"model": "umx-mini", "songs": content}))
    return path


def test_quality_is_the_mean_over_the_artists_that_have_the_target(tmp_path: Path) -> None:
    songs = {f"recorded/a/{i}": dict.fromkeys(TARGETS, 2.0) for i in range(3)}
    songs |= {"recorded/b/0": {"vocals": 4.0}, "rendered/0": dict.fromkeys(TARGETS, 9.0)}
    path = scores(tmp_path / "scores.json", songs)
    content = json.loads(path.read_text())
    content["songs"]["recorded/b/0"]["wiener"]["drums"] = {"below": 20.0}  # there are none
    path.write_text(json.dumps(content))
    fields = export.quality(path)
    assert fields["quality"] == {"vocals": 3.0, "drums": 2.0, "bass": 2.0, "other": 2.0}


def test_scores_without_recorded_songs_are_named(tmp_path: Path) -> None:
    path = scores(tmp_path / "scores.json", {"rendered/0": dict.fromkeys(TARGETS, 9.0)})
    with pytest.raises(ValueError, match=r"scores\.json"):
        export.quality(path)


def test_exported_model_can_be_loaded(tmp_path: Path) -> None:
    checkpoints = {}
    for target in TARGETS:
        checkpoints[target,] = tmp_path / f"{target}.pth"
        checkpoints[target,].write_bytes(pth(golden_state(target)))
    found = scores(tmp_path / "scores.json", {"recorded/a/0": dict.fromkeys(TARGETS, 2.0)})
    known = {"n_fft": 128, "hop": 32}  # of the golden networks
    fields = export.CARD | export.quality(found)
    convert(checkpoints, tmp_path / "out", "best", known, **fields)
    manifest = load_model(tmp_path / "out").manifest
    assert manifest.licence == "CC-BY-SA-4.0"
    assert manifest.quality["drums"] == 2.0


def test_curve_is_read_by_column(tmp_path: Path) -> None:
    path = tmp_path / "drums.csv"
    path.write_text("step,training,validation\n0,nan,0.5\n100,0.4,0.25\n")
    assert curves.read(path)["validation"] == [0.5, 0.25]
    path.write_text("step,training,validation\n")
    with pytest.raises(ValueError, match=r"drums\.csv"):
        curves.read(path)


def test_curves_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curve = {"step": [0.0, 1], "training": [float("nan"), 0.4], "validation": [0.5, 0.3]}
    plots = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in plots:
        curves.plot(dict.fromkeys(TARGETS, curve), path)
    assert plots[0].read_bytes().startswith(b"<?xml")
    assert plots[0].read_bytes() == plots[1].read_bytes()
