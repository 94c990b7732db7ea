import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umx.level import REFERENCE, Meter, gain
from umx.planning import MOST_WINDOWS, WINDOW, windows


def measured(song: np.ndarray, block: int = 10_000) -> float:
    meter = Meter()
    for start in range(0, song.shape[1], block):
        meter.add(song[:, start : start + block])
    return meter.level


def tone(seconds: float, amplitude: float) -> np.ndarray:
    time = np.arange(int(seconds * WINDOW)) / WINDOW
    return np.repeat(amplitude * np.sin(2 * np.pi * 440 * time)[np.newaxis], 2, axis=0)


@pytest.mark.parametrize("seconds", [0.3, 1, 3.7])
def test_the_level_is_the_root_of_the_mean_power(seconds: float) -> None:
    assert measured(tone(seconds, 0.5)) == pytest.approx(0.5 / 2**0.5, rel=1e-3)


@given(st.integers(1, 100_000))
def test_blocks_of_any_length_give_one_level(block: int) -> None:
    song = np.random.default_rng(2).standard_normal((2, 100_000))
    assert measured(song, block) == measured(song, 100_000)
    assert measured(np.asfortranarray(song), block) == measured(song, 100_000)


def test_a_long_silence_before_the_song_does_not_count() -> None:
    song = np.concatenate([np.zeros((2, 20 * WINDOW)), tone(4, 0.5)], axis=1)
    assert measured(song) == pytest.approx(measured(tone(4, 0.5)))


@pytest.mark.parametrize("decibels", [-60, -20, 12])
def test_every_level_becomes_the_reference(decibels: float) -> None:
    factor = 10 ** (decibels / 20)
    level = measured(factor * tone(2, 0.3))
    assert level * gain(level) == pytest.approx(REFERENCE)


def test_silence_and_nothing_stay_as_they_are() -> None:
    assert gain(measured(np.zeros((2, 100)))) == 1
    assert gain(Meter().level) == 1


def test_a_long_song_has_the_level_of_its_windows() -> None:
    """Where not all of a song is at hand, they are measured alone."""
    song = np.random.default_rng(3).standard_normal((2, 150 * WINDOW))
    song *= 1 + np.sin(np.arange(song.shape[1]) / WINDOW)
    pieces = [song[:, start : start + WINDOW] for start in windows(song.shape[1])]
    assert len(pieces) == MOST_WINDOWS
    assert measured(np.concatenate(pieces, axis=1)) == pytest.approx(measured(song))


@given(st.integers(0, 4 * 3600 * WINDOW))
def test_windows_are_of_the_song_and_spread_over_it(samples: int) -> None:
    starts = windows(samples)
    assert 1 <= len(starts) <= MOST_WINDOWS
    assert starts == sorted(set(starts))
    assert starts[0] == 0
    assert starts[-1] + min(WINDOW, samples) <= samples
    assert samples - starts[-1] < 2 * WINDOW
