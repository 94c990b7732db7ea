"""The time left: in proportion, honest, and in words."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.songs import progress


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.data())
def test_progress_is_the_mean_of_its_parts(fractions: list[float], data: st.DataObject) -> None:
    tracked = progress.Progress(len(fractions))
    order = data.draw(st.permutations(range(len(fractions))))
    before = tracked.fraction()
    assert before == 0
    for now, part in enumerate(order):
        tracked.update(part, 0, now)
        tracked.update(part, fractions[part], now + 1)
        assert tracked.fraction() >= before - 1e-12
        before = tracked.fraction()
    assert before == pytest.approx(np.mean(fractions))


@given(
    done=st.floats(0.03, 1),
    begun=st.floats(0, 1e6),
    spent=st.floats(0, 1e5),
)
def test_time_left_is_in_proportion(done: float, begun: float, spent: float) -> None:
    tracked = progress.Progress(1)
    tracked.update(0, 0, begun)
    tracked.update(0, done, begun + spent)
    left = tracked.seconds_left(begun + spent)
    assert left * done == pytest.approx(spent * (1 - done), rel=1e-3, abs=1e-3)
    assert tracked.seconds_left(begun + spent + left / 2) == pytest.approx(left / 2, abs=1e-3)


def test_part_that_is_done_again_counts_from_its_new_beginning() -> None:
    tracked = progress.Progress(2)
    tracked.update(0, 0, 0)
    tracked.update(0, 0.5, 900)  # a worker that stopped
    tracked.update(0, 0, 1000)
    tracked.update(0, 0.5, 1010)
    assert tracked.seconds_left(1010) == pytest.approx(30)


def test_too_early_to_tell() -> None:
    tracked = progress.Progress(10)
    tracked.update(0, 0, 0)
    tracked.update(0, 0.1, 5)
    assert tracked.seconds_left(5) is None
    assert progress.spoken(None) == "estimating the time left"


TRACES = json.loads((Path(__file__).parent / "traces.json").read_text())
"""What workers said of real songs, at which time, as scripts/traces.py recorded it."""


@pytest.mark.parametrize(
    "trace", TRACES, ids=lambda t: "{model}, {workers} workers, {seconds} s".format(**t)
)
def test_time_left_is_honest(trace: dict) -> None:
    """Within a fifth and a second, at every moment after the first tenth and the first second."""
    tracked, reports, now = progress.Progress(trace["batches"]), list(trace["reports"]), 0.0
    moments = 0
    while now < trace["end"]:
        while reports and reports[0][0] <= now:
            time, batch, fraction = reports.pop(0)
            tracked.update(batch, fraction, time)
        if tracked.fraction() >= 0.1 and now >= 1:
            told, true = tracked.seconds_left(now), trace["end"] - now
            assert abs(told - true) <= 0.2 * true + 1, f"{told:.1f} s at {now:.1f} s"
            moments += 1
        now += 0.1
    assert moments or trace["end"] < 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "almost done"),
        (0.4, "almost done"),
        (0.6, "about 1 s left"),
        (59.4, "about 59 s left"),
        (59.6, "about 1 min 0 s left"),
        (64, "about 1 min 0 s left"),
        (133.2, "about 2 min 10 s left"),
        (3600, "about 60 min 0 s left"),
    ],
)
def test_time_left_in_words(seconds: float, words: str) -> None:
    assert progress.spoken(seconds) == words


@given(st.floats(0, 1e7))
def test_words_are_within_five_seconds(seconds: float) -> None:
    numbers = [int(word) for word in progress.spoken(seconds).split() if word.isdigit()]
    told = sum(n * 60**i for i, n in enumerate(reversed(numbers)))
    assert math.isclose(told, seconds, abs_tol=5.5)
