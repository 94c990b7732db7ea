"""scripts/evaluate.py on songs of a second or two, with the model that is in the repository."""

import json
import sys
from pathlib import Path

import evaluate
import numpy as np
import pytest
import soundfile

from umx.weights import find_model, load_model

RATE = 44100
SILENT = {"drums", "other"}


def stems() -> dict[str, np.ndarray]:
    """A low tone for the bass, a high one for the vocals, and no others: float32 (2, samples)."""
    time = np.arange(2 * RATE) / RATE
    tones = {"vocals": np.sin(2 * np.pi * 880 * time), "bass": np.sin(2 * np.pi * 55 * time)}
    tones |= dict.fromkeys(SILENT, np.zeros_like(time))
    return {
        name: np.float32(0.25) * np.stack([x, x]).astype(np.float32) for name, x in tones.items()
    }


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs" / "tones"
    folder.mkdir(parents=True)
    parts = stems()
    for name, audio in {"mixture": sum(parts.values()), **parts}.items():
        soundfile.write(folder / f"{name}.wav", np.asarray(audio).T, RATE, subtype="FLOAT")
    return tmp_path / "songs"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
    evaluate.main()


def test_plain_ratio_of_known_errors() -> None:
    true = np.ones((2, 2, 1000), np.float32)
    estimates = true * np.float32([0.9, 2])[:, np.newaxis, np.newaxis]
    np.testing.assert_allclose(evaluate.plain(true, estimates), [20, 0], atol=1e-5)


def test_bss_eval_is_that_of_museval() -> None:
    museval = pytest.importorskip("museval")
    rng = np.random.default_rng(1)
    true = rng.standard_normal((2, 2, 7 * RATE // 2)).astype(np.float32)
    true[0, :, RATE : 2 * RATE] = 0  # a second that counts for neither
    noise = rng.standard_normal(true.shape) * np.linspace(0.05, 0.5, true.shape[-1])
    estimates = (true + noise).astype(np.float32)
    ratios = museval.evaluate(true.transpose(0, 2, 1), estimates.transpose(0, 2, 1))[0]
    found = evaluate.bss_eval(true, estimates, RATE)
    np.testing.assert_allclose(found, np.nanmedian(ratios, axis=1), atol=1e-3)


def test_bss_eval_is_the_median_of_seconds_in_which_all_sound() -> None:
    true = np.ones((2, 2, 4 * 10), np.float32)
    true[1, :, :10] = 0
    errors = np.repeat(np.float32([9, 0.1, 0.01, 0.1]), 10)
    found = evaluate.bss_eval(true, true * (1 + errors), 10)
    np.testing.assert_allclose(found, [20, 20], atol=1e-4)
    assert np.isnan(evaluate.bss_eval(true[..., :10], true[..., :10], 10)).all()


def test_oracle_mask_takes_apart_what_does_not_overlap() -> None:
    parts = {name: x for name, x in stems().items() if name not in SILENT}
    mixture = np.sum(list(parts.values()), axis=0)
    found = evaluate.oracle(mixture, parts, complete=True)
    for name, part in parts.items():
        inner = slice(RATE // 2, -RATE // 2)  # a tone that begins at once is noise at its edges
        assert evaluate.plain(part[np.newaxis, :, inner], found[name][np.newaxis, :, inner]) > 40


def test_oracle_counts_what_missing_stems_leave_as_one_more() -> None:
    parts = stems()
    mixture = np.sum(list(parts.values()), axis=0)
    found = evaluate.oracle(mixture, {"bass": parts["bass"]}, complete=False)
    assert evaluate.plain(parts["bass"][np.newaxis], found["bass"][np.newaxis]) > 20


def test_scores_of_a_folder_of_songs(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "scores.json"
    run(monkeypatch, songs, "--json", result)
    scores = json.loads(result.read_text())["songs"]["tones"]
    assert set(scores) == set(evaluate.METHODS)
    for targets in scores.values():
        assert set(targets) == {"vocals", "bass"}  # silent stems are not scored
    # The mixture is each of two stems of the same level plus the other.
    assert scores["mixture"]["vocals"]["plain"] == pytest.approx(0, abs=0.01)
    assert scores["oracle"]["bass"]["plain"] > 20
    assert scores["mask"]["bass"] != scores["wiener"]["bass"]
    printed = capsys.readouterr().out
    assert "1 songs, model umx-mini" in printed
    assert "–" in printed.splitlines()[2]


def test_seconds_are_cut_from_the_middle(songs: Path) -> None:
    model = load_model(find_model("umx-mini"))
    whole = evaluate.load(songs / "tones", model, None)
    part = evaluate.load(songs / "tones", model, 0.5)
    start = (2 * RATE - RATE // 2) // 2
    np.testing.assert_array_equal(part["bass"], whole["bass"][:, start : start + RATE // 2])
    assert set(part) == {"mixture", "vocals", "bass"}


def test_folder_without_songs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path)
    assert str(tmp_path) in capsys.readouterr().err


def test_table_shows_mean_and_range() -> None:
    def song(score: float) -> evaluate.Scores:
        return {m: {"bass": {"plain": score, "bss": score}} for m in evaluate.METHODS}

    text = evaluate.table({"a": song(1), "b": song(1), "c": song(4)}, ["bass"])
    assert "2.00 (1.00 … 4.00)" in text  # the mean
    assert "1.00 (1.00 … 4.00)" in text  # the median
    assert len(text.splitlines()) == 1 + 2 * len(evaluate.METHODS)
