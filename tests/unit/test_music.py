"""Tempo, beats, keys and chords of sounds that are made here, so that they are known exactly."""

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("scipy")

from umx.music import beats, key
from umx.music.analysis import Analyser, analyse
from umx.music.features import EDGES, RATE
from umx.types import Float

MAJOR, MINOR = (0, 4, 7), (0, 3, 7)


def clicks(bpm: float, seconds: float, start: float = 0.0) -> Float:
    """A drum a beat, and a deep one on the first of four: float32 (2, samples)."""
    sound = np.zeros(int(seconds * RATE))
    time = np.arange(int(0.08 * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time)) * np.exp(-90 * time)
    kick = np.sin(2 * np.pi * 60 * time) * np.exp(-30 * time)
    for beat, moment in enumerate(np.arange(start, seconds - 0.1, 60 / bpm)):
        place = round(moment * RATE)
        sound[place : place + len(time)] += 0.2 * noise + (0.6 * kick if beat % 4 == 0 else 0)
    return np.stack([sound, sound]).astype(np.float32)


def notes(chords: Sequence[Sequence[int]], seconds: float, each: float, tuned: float = 0) -> Float:
    """Chords after each other, over and over, of soft tones: float32 (2, samples).

    chords: MIDI numbers; each: seconds that one lasts; tuned: semitones that all are too high.
    """
    time = np.arange(int(seconds * RATE)) / RATE
    sound = np.zeros(len(time))
    for start in np.arange(0, seconds, each):
        chord = chords[round(start / each) % len(chords)]
        span = slice(round(start * RATE), round((start + each) * RATE))
        local = time[span] - start
        for pitch in chord:
            hertz = 440 * 2 ** ((pitch + tuned - 69) / 12)
            for k in (1, 2, 3, 4):
                sound[span] += 0.05 / k**2 * np.sin(2 * np.pi * k * hertz * local) * np.exp(-local)
    return np.stack([sound, sound]).astype(np.float32)


def triad(root: int, kind: Sequence[int]) -> list[int]:
    return [root + degree for degree in kind]


@pytest.mark.parametrize(("bpm", "start"), [(124, 0.3), (93.5, 0.0), (171, 0.11)])
def test_a_regular_beat(bpm: float, start: float) -> None:
    found = analyse({"drums": clicks(bpm, 24, start)})
    octaves = found["bpm"] / bpm
    assert min(abs(octaves - factor) for factor in (0.5, 1, 2)) < 0.003
    assert found["tempo_sure"] == "sure"
    if abs(octaves - 1) < 0.1:
        expected = start + 60 / bpm * np.arange(80)
        heard = np.array(found["beats"])
        inside = heard[(heard > start + 0.5) & (heard < 20)]
        off = np.abs(inside[:, None] - expected[None]).min(axis=1)
        assert off.max() < 0.012
        bars = (found["beats"][found["one"]] - start) * bpm / 240
        assert bars == pytest.approx(round(bars), abs=0.02)


def test_a_band_that_slows_down() -> None:
    """Its beats are followed, and the tempo is not said to be sure."""
    moments = np.cumsum(np.linspace(0.5, 0.58, 60))
    sound = np.zeros(int((moments[-1] + 1) * RATE))
    burst = np.random.default_rng(0).standard_normal(2000) * np.exp(-np.arange(2000) / 300)
    for moment in moments:
        sound[round(moment * RATE) :][:2000] += 0.3 * burst
    found = analyse({"drums": np.stack([sound, sound]).astype(np.float32)})
    assert found["tempo_sure"] == "about"
    assert 60 / 0.58 < found["bpm"] < 60 / 0.5
    off = np.abs(np.array(found["beats"])[:, None] - moments[None]).min(axis=1)
    assert np.quantile(off, 0.9) < 0.02


def test_noise_has_no_beat() -> None:
    noise = np.random.default_rng(0).standard_normal((2, 12 * RATE)).astype(np.float32)
    found = analyse({"other": noise / 10})
    assert (found["bpm"], found["beats"], found["tempo_sure"]) == (0, [], "")


def test_silence_has_no_beat_and_no_key() -> None:
    found = analyse({"drums": np.zeros((2, 5 * RATE), np.float32)})
    assert (found["bpm"], found["beats"], found["tempo_sure"]) == (0, [], "")
    assert (found["key"], found["second"], found["chords"]) == ("", "", [])


@pytest.mark.parametrize(
    ("tonic", "mode", "tuned"), [(57, "minor", 0), (63, "major", 0.3), (66, "minor", -0.35)]
)
def test_a_key(tonic: int, mode: str, tuned: float) -> None:
    """Also of instruments that are out of tune."""
    if mode == "major":
        chords = [triad(tonic, MAJOR), triad(tonic + 5, MAJOR), triad(tonic + 7, MAJOR)]
    else:
        chords = [triad(tonic, MINOR), triad(tonic + 5, MINOR), triad(tonic + 7, MAJOR)]
    found = analyse({"other": notes([*chords, chords[0]], 16, 1.0, tuned)})
    assert found["key"] == key.name_of(tonic % 12, mode)


def test_chords_change_with_the_bars() -> None:
    chords = [triad(57, MINOR), triad(53, MAJOR), triad(48, MAJOR), triad(55, MAJOR)]
    stems = {
        "drums": clicks(120, 16),
        "bass": notes([[chord[0] - 12] for chord in chords], 16, 2.0),
        "other": notes(chords, 16, 2.0),
    }
    found = analyse(stems)
    assert [name for _, name in found["chords"]] == ["Am", "F", "C", "G"] * 2
    times = np.array([time for time, _ in found["chords"]])
    assert np.abs(times - 2 * np.arange(8)).max() < 0.05


def test_stretches_are_heard_as_the_whole() -> None:
    stems = {"drums": clicks(124, 14, 0.3), "other": notes([triad(57, MINOR)], 14, 2.0)}
    parts = Analyser()
    for start in range(0, 14 * RATE, 70_001):
        parts.add({name: stem[:, start : start + 70_001] for name, stem in stems.items()})
    assert parts.result() == analyse(stems)


def test_karaoke_counts_only_where_it_is_no_sum_of_others() -> None:
    drums, sung = clicks(124, 14), notes([triad(57, MINOR)], 14, 2.0)
    without = analyse({"drums": drums, "other": sung})
    assert analyse({"drums": drums, "other": sung, "karaoke": 0 * drums}) == without
    assert analyse({"vocals": 0 * sung, "karaoke": drums + sung})["bpm"] == pytest.approx(
        124, rel=0.01
    )


def test_the_one_is_where_the_harmony_changes() -> None:
    times = np.arange(32) / 2
    silent = np.zeros((1700, len(EDGES) - 1), np.float32)
    change = np.tile([0, 0, 1, 0], 8)
    assert beats.the_one(times, silent, beats.reference(silent), change) == 2
