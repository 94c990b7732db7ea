"""scripts/evaluate.py on songs of a second or two, with the model that is in the repository."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from scripts import evaluate
from umx.format.library import find_model, read_manifest

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
    scores = json.loads(result.read_text())["songs"]["songs/tones"]
    assert set(scores) == set(evaluate.METHODS)
    for method, targets in scores.items():
        judged = {target for target, measures in targets.items() if "plain" in measures}
        assert judged == {"vocals", "bass"}  # silent stems are not scored
        below = {target for target, measures in targets.items() if evaluate.BELOW in measures}
        assert below == (SILENT if method in ("mask", "wiener") else set())
    # The mixture is each of two stems of the same level plus the other.
    assert scores["mixture"]["vocals"]["plain"] == pytest.approx(0, abs=0.01)
    assert scores["oracle"]["bass"]["plain"] > 20
    assert scores["mask"]["bass"] != scores["wiener"]["bass"]
    printed = capsys.readouterr().out
    assert "1 songs, model umx-mini" in printed
    assert "–" in printed.splitlines()[2]


def test_seconds_are_cut_from_the_middle(songs: Path) -> None:
    manifest = read_manifest(find_model("umx-mini"))
    whole = evaluate.load(songs / "tones", manifest, None)
    part = evaluate.load(songs / "tones", manifest, 0.5)
    start = (2 * RATE - RATE // 2) // 2
    np.testing.assert_array_equal(part["bass"], whole["bass"][:, start : start + RATE // 2])
    assert set(part) == {"mixture", "vocals", "bass", *SILENT}


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


def plain(**targets: float) -> evaluate.Scores:
    """A song's scores, the same by every method."""
    return {
        method: {target: {"plain": score} for target, score in targets.items()}
        for method in evaluate.METHODS
    }


def row(text: str, name: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(name))
    return line.removeprefix(name).strip()


def test_an_artist_with_many_songs_counts_as_one_with_one() -> None:
    songs = {f"a/{i}": plain(bass=2, other=5) for i in range(9)} | {"b/0": plain(bass=6)}
    artists = evaluate.by_artist(songs)
    assert {name: len(found) for name, found in artists.items()} == {"a": 9, "b": 1}
    text = evaluate.artists_table(artists, ["bass", "other", "drums"])
    assert row(text, "wiener over artists").split()[0] == "4.00"
    assert row(text, "wiener b").split() == ["6.00", "–", "–"]
    assert "5.00 (5.00 … 5.00)" in row(text, "wiener over artists")
    assert row(text, "wiener over artists").endswith("4.50 (4.50 … 4.50)")
    assert evaluate.by_artist({"song": plain(bass=2)}) == {}


def test_interval_is_that_of_means_of_songs_drawn_anew() -> None:
    """With half the songs at 0 and half at 10, a mean of n has a deviation of 5 / √n."""
    songs = np.repeat([0.0, 10.0], 50)
    drawn = evaluate.draws([songs, np.array([5.0])])
    assert drawn.shape == (evaluate.DRAWS,)
    assert drawn.mean() == pytest.approx(5, abs=0.05)
    assert drawn.std() == pytest.approx(5 / 10 / 2, rel=0.1)
    low, high = (float(x.strip("()")) for x in evaluate.interval(5, drawn).split()[1::2])
    assert low == pytest.approx(5 - 1.96 / 4, abs=0.06)
    assert high == pytest.approx(5 + 1.96 / 4, abs=0.06)


def test_what_is_taken_for_a_silent_target_is_told_by_its_level(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a tenth of the mixture for every estimate, a silent target's is 20 dB below the mixture."""

    def tenth(model: object, engine: object, mixture: np.ndarray) -> dict[str, np.ndarray]:
        return dict.fromkeys((*SILENT, "vocals", "bass"), 0.1 * mixture)

    monkeypatch.setattr(evaluate, "separate", tenth)
    (tmp_path / "all").mkdir()
    songs.rename(tmp_path / "all" / "somebody")
    run(monkeypatch, tmp_path / "all")
    printed = capsys.readouterr().out
    assert "wiener somebody, without drums: 20.00 dB below the mixture" in printed
    assert "somebody/tones" in printed
    assert "without bass" not in printed


def test_several_folders_are_scored_apart(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "scores.json"
    second = tmp_path / "second"
    second.mkdir()
    (second / "artist").symlink_to(songs)
    monkeypatch.setattr(evaluate, "score", lambda *_: plain(bass=1))
    run(monkeypatch, songs, second, "--json", result)
    assert set(json.loads(result.read_text())["songs"]) == {"songs/tones", "second/artist/tones"}
    assert capsys.readouterr().out.count("1 songs, model umx-mini") == 2
