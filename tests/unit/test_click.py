"""Where the clicks of a song are, how they count in, how they sound, and how taps correct them."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from page.listen.click import (
    LENGTH,
    TAPS,
    Click,
    as_bytes,
    clicks,
    count_in,
    has_beats,
    sound,
    with_one,
    with_taps,
)
from shared.facts import SAMPLE_RATE

Analysis = dict[str, Any]


def steady(bpm: float = 120, first: float = 0.25, count: int = 64, one: int = 1) -> Analysis:
    beats = [first + number * 60 / bpm for number in range(count)]
    return {"bpm": bpm, "beats": beats, "one": one, "meter": 4, "tempo_sure": "sure"}


analyses = st.builds(
    steady, st.floats(50, 200), st.floats(0, 3), st.integers(2, 100), st.integers(0, 7)
)
samples = st.integers(0, 60 * SAMPLE_RATE)


def test_clicks_are_on_beats_and_every_bar_begins_with_an_accent() -> None:
    found = clicks(steady(), 0, 3 * SAMPLE_RATE)
    assert [sample / SAMPLE_RATE for sample, _ in found] == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    assert [is_one for _, is_one in found] == [False, True, False, False, False, True]


@given(analyses, samples, samples, samples)
def test_clicks_of_parts_are_those_of_the_whole(
    analysis: Analysis, one: int, two: int, three: int
) -> None:
    begin, middle, end = sorted((one, two, three))
    parts = clicks(analysis, begin, middle) + clicks(analysis, middle, end)
    assert parts == clicks(analysis, begin, end)
    assert all(begin <= sample < end for sample, _ in parts)


@given(analyses, samples)
def test_a_bar_is_counted_in_and_the_beats_go_on_from_it(analysis: Analysis, sample: int) -> None:
    length, found = count_in(analysis, sample)
    period = SAMPLE_RATE * 60 / analysis["bpm"]
    assert len(found) == 4
    assert 3 * period - 2 < length < 4 * period + 2
    assert all(0 <= place < length + 2 for place, _ in found)
    # Beats before the first have no click: the song's own begin with one that is less than a beat away.
    following = clicks(analysis, sample, sample + int(period) - 3)[:1]
    places = [*found, *((length + at - sample, is_one) for at, is_one in following)]
    for (place, _), (other, _) in pairwise(places):
        assert other - place == pytest.approx(period, abs=3)
    ones = [number for number, (_, is_one) in enumerate(places) if is_one]
    assert len(ones) in (1, 2)
    assert all(later - earlier == 4 for earlier, later in pairwise(ones))


def test_from_the_first_of_a_bar_a_whole_one_is_counted() -> None:
    length, found = count_in(steady(), int(2.75 * SAMPLE_RATE))
    assert length == 2 * SAMPLE_RATE
    assert [is_one for _, is_one in found] == [True, False, False, False]
    assert [place / SAMPLE_RATE for place, _ in found] == [0, 0.5, 1, 1.5]


@pytest.mark.parametrize("is_one", [False, True])
def test_a_click_is_as_high_as_it_is_to_be_and_ends_in_silence(is_one: bool) -> None:
    samples = np.array(sound(is_one))
    assert len(samples) == LENGTH
    assert samples[0] == 0
    assert abs(samples[-1]) < 1e-4
    assert 0.3 < np.abs(samples).max() <= 0.5
    spectrum = np.abs(np.fft.rfft(samples, SAMPLE_RATE))
    assert spectrum.argmax() == pytest.approx(1500 if is_one else 1000, rel=0.05)


@pytest.mark.parametrize(("kind", "step"), [("16", 2**-15), ("24", 2**-23), ("float", 2**-24)])
def test_its_samples_are_the_same_in_every_kind(kind: str, step: float) -> None:
    samples = sound(True)
    data = as_bytes(samples, kind)
    if kind == "float":
        found = np.frombuffer(data, "<f4").astype(float)
    elif kind == "16":
        found = np.frombuffer(data, "<i2") / 2**15
    else:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        found = padded.view("<i4").reshape(-1) / 2**31
    assert np.abs(found.reshape(-1, 2) - np.array(samples)[:, np.newaxis]).max() <= step / 2


# Correcting it


@given(analyses, st.integers(0, 99))
def test_the_beat_that_is_heard_becomes_the_first_of_a_bar(analysis: Analysis, index: int) -> None:
    beats: list[float] = analysis["beats"]
    assume(index < len(beats))
    changed = with_one(analysis, beats[index] + 0.1)
    assert changed["beats"] == beats
    sample = int(beats[index] * SAMPLE_RATE + 0.5)
    assert (sample, True) in clicks(changed, sample, sample + 1)


@given(
    st.floats(60, 180),
    st.floats(-0.4, 0.4),
    st.lists(st.floats(-0.02, 0.02), min_size=4, max_size=9),
)
def test_taps_at_the_tempo_move_the_beats(bpm: float, off: float, faults: list[float]) -> None:
    analysis, period = steady(bpm), 60 / bpm
    beats: list[float] = analysis["beats"]
    assume(abs(off) < 0.4 * period)
    assume(max(faults) - min(faults) < 0.05 * period)
    taps = [beats[8 + number] + off + fault for number, fault in enumerate(faults)]
    changed = with_taps(analysis, taps, 60)
    moved: list[float] = changed["beats"]
    assert len(moved) == len(beats)
    assert moved[8] - beats[8] == pytest.approx(off, abs=0.021)
    assert changed["one"] == analysis["one"]


@given(st.floats(60, 100), st.floats(1, 20), st.integers(TAPS, 12))
def test_taps_at_another_tempo_make_their_own_beats(bpm: float, begin: float, count: int) -> None:
    period = 60 / bpm
    taps = [begin + number * period for number in range(count)]
    changed = with_taps(steady(150), taps, 60)
    assert changed["bpm"] == pytest.approx(bpm)
    beats: list[float] = changed["beats"]
    assert 0 <= beats[0] < period + 1e-6
    assert 60 - period < beats[-1] <= 60 + 1e-6
    for tap in taps:
        assert min(abs(beat - tap) for beat in beats) < 1e-6
    assert beats[changed["one"]] == pytest.approx(begin)


def test_taps_count_from_the_fourth_on_and_a_pause_begins_anew() -> None:
    click = Click()
    assert [click.tap(seconds) for seconds in (1, 1.5, 2)] == [None] * 3
    assert click.tap(2.5) == [1, 1.5, 2, 2.5]
    assert click.tap(9) is None
    assert click.tap(8.5) is None  # a loop has begun again
    assert click.taps == [8.5]


# What is kept


@given(st.booleans(), st.booleans(), st.floats(0, 1.5))
def test_what_is_set_lasts(is_on: bool, counts_in: bool, volume: float) -> None:
    click, again = Click(), Click()
    click.is_on, click.counts_in, click.volume = is_on, counts_in, volume
    again.restore(json.loads(json.dumps(click.facts())))
    assert again.facts() == click.facts()


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.dictionaries(st.sampled_from(["on", "counts_in", "volume"]), inner),
)


@given(anything)
def test_what_makes_no_sense_is_left_out(facts: object) -> None:
    click = Click()
    click.restore(facts)
    assert click.is_on in (False, True)
    assert 0 <= click.volume <= 1.5


@pytest.mark.parametrize(
    ("analysis", "has"), [(None, False), ({"beats": []}, False), ({"beats": [1, 2]}, True)]
)
def test_there_is_a_click_where_there_are_beats(analysis: Analysis | None, has: bool) -> None:
    assert has_beats(analysis) == has
