"""Playback without sound: which sample is heard when, at which speed, over loops, waits and interruptions."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.listen.playhead import AHEAD, LEAD, OVER, REST, SCHEDULE, WAIT, Playhead
from shared.facts import SAMPLE_RATE

TICK = 0.1
PIECE = 3 * SAMPLE_RATE


class Player:
    """Schedules pieces as the page's player does, on a clock of its own. `decoding`: seconds that a piece takes."""

    def __init__(self, seconds: float, there: Callable[[int], bool] = lambda sample: True):
        self.head, self.time, self.there = Playhead(int(seconds * SAMPLE_RATE)), 100.0, there
        self.scheduled: list[tuple[float, int, int]] = []  # time, first sample, end
        self.waits = 0
        self.decoding = 0.0

    def play(self, seconds: float) -> None:
        """Let so many seconds go by, or fewer if the song ends before."""
        until, run = self.time + seconds, self.head.start()
        while self.head.goes_on(run) and self.time < until:
            step = self.head.step(self.time, self.there)
            if step == OVER:
                self.head.stop(self.time)
            elif step == SCHEDULE:
                self.schedule()
            else:
                self.waits += step == WAIT
                self.time += TICK

    def schedule(self) -> None:
        head = self.head
        self.time += self.decoding
        head.catch_up(self.time)
        piece = head.position // PIECE
        end = head.end_within(min((piece + 1) * PIECE, head.length))
        self.scheduled.append((head.due(), head.position, end))
        head.advance(end)

    def heard_at(self, time: float) -> int | None:
        """By what was scheduled."""
        for begun, first, end in self.scheduled:
            sample = first + int((time - begun) * SAMPLE_RATE * self.head.rate)
            if first <= sample < end and time >= begun:
                return sample
        return None


def lengths(player: Player) -> list[tuple[int, int]]:
    return [(first, end) for _, first, end in player.scheduled]


@given(st.floats(0.1, 30), st.sampled_from([0.5, 0.75, 1.0, 1.5]))
def test_a_song_is_heard_from_beginning_to_end_without_gaps(seconds: float, rate: float) -> None:
    player = Player(seconds)
    player.head.rate = rate
    player.play(100)
    assert not player.head.playing
    assert player.head.position == player.head.length
    ends = [end for _, _, end in player.scheduled]
    assert [first for _, first, _ in player.scheduled] == [0, *ends[:-1]]
    assert ends[-1] == player.head.length
    for (begun, first, end), (following, _, _) in zip(
        player.scheduled, player.scheduled[1:], strict=False
    ):
        assert following == pytest.approx(begun + (end - first) / SAMPLE_RATE / rate, abs=1e-9)
    assert player.waits == 0


@given(st.floats(0, 12), st.sampled_from([0.5, 1.0, 1.5]))
def test_the_playhead_shows_the_sample_that_is_heard(seconds: float, rate: float) -> None:
    player = Player(30)
    player.head.rate = rate
    player.play(seconds)
    heard, by_schedule = player.head.heard(player.time), player.heard_at(player.time)
    assert by_schedule is None or abs(heard - by_schedule) <= 1


def test_what_is_scheduled_is_not_far_ahead() -> None:
    """So that a change of speed or a jump has little to take back."""
    player = Player(60)
    player.play(5)
    assert player.head.due() - player.time < AHEAD + PIECE / SAMPLE_RATE


def test_it_stops_where_it_is_heard_and_goes_on_from_there() -> None:
    player = Player(60)
    player.play(5)
    heard = player.head.heard(player.time)
    player.head.stop(player.time)
    assert (
        player.head.position
        == heard
        == pytest.approx((5 - LEAD) * SAMPLE_RATE, abs=TICK * SAMPLE_RATE)
    )
    player.time += 1000
    assert player.head.heard(player.time) == heard
    player.play(1)
    assert lengths(player)[-1][0] >= heard


def test_a_song_that_has_ended_begins_anew() -> None:
    player = Player(2)
    player.play(10)
    assert player.head.position == player.head.length
    player.play(0.2)
    assert lengths(player)[-1] == (0, player.head.length)


def test_an_older_run_notices_that_it_is_over() -> None:
    head = Playhead(10 * SAMPLE_RATE)
    run = head.start()
    assert head.goes_on(run)
    head.stop(0)
    assert not head.goes_on(run)
    assert head.start() != run
    assert not head.goes_on(run)


def test_playback_waits_for_what_is_not_there_and_skips_nothing() -> None:
    finished = PIECE

    def there(sample: int) -> bool:
        return sample < finished

    player = Player(9, there)
    player.play(6)
    assert player.waits > 0
    assert player.head.heard(player.time) == PIECE  # silence, and the playhead stands
    finished = 3 * PIECE
    player.head.stop(player.time)
    player.play(20)
    assert lengths(player) == [(0, PIECE), (PIECE, 2 * PIECE), (2 * PIECE, 3 * PIECE)]


@pytest.mark.parametrize("late", [0.5, 2.5, 10])
def test_slow_decoding_delays_and_skips_nothing(late: float) -> None:
    player = Player(9)
    player.decoding = late
    player.play(60)
    assert lengths(player) == [(0, PIECE), (PIECE, 2 * PIECE), (2 * PIECE, 3 * PIECE)]
    for begun, _, _ in player.scheduled:
        assert begun > 100


# The loop

LOOP = int(2.5 * SAMPLE_RATE), int(4.0 * SAMPLE_RATE)


@given(st.sampled_from([0.5, 1.0, 1.5]))
def test_a_loop_is_repeated_to_the_sample(rate: float) -> None:
    player = Player(20)
    player.head.rate, player.head.loop_range = rate, LOOP
    player.head.seek(LOOP[0])
    player.play(12)
    parts = lengths(player)
    assert set(parts) == {(LOOP[0], PIECE), (PIECE, LOOP[1])}
    assert (
        parts
        == [(LOOP[0], PIECE), (PIECE, LOOP[1])] * (len(parts) // 2) + parts[len(parts) // 2 * 2 :]
    )
    assert len(parts) > 6
    for (begun, first, end), (following, _, _) in zip(
        player.scheduled, player.scheduled[1:], strict=False
    ):
        assert following == pytest.approx(begun + (end - first) / SAMPLE_RATE / rate, abs=1e-9)


@given(st.floats(0, 20))
def test_the_playhead_stays_in_the_loop(seconds: float) -> None:
    player = Player(20)
    player.head.loop_range = LOOP
    player.head.seek(LOOP[0])
    player.play(seconds)
    heard, by_schedule = player.head.heard(player.time), player.heard_at(player.time)
    assert LOOP[0] <= heard <= LOOP[1]
    assert by_schedule is None or abs(heard - by_schedule) <= 1


def test_a_loop_is_jumped_into_from_outside_and_when_too_much_is_scheduled() -> None:
    player = Player(20)
    assert player.head.is_outside(*LOOP, player.time)
    player.head.seek(LOOP[0])
    assert not player.head.is_outside(*LOOP, player.time)
    player.play(0.2)
    end = player.head.position
    assert player.head.is_outside(LOOP[0], end - 1, player.time)
    assert not player.head.is_outside(LOOP[0], end, player.time)


def test_behind_the_loop_the_song_goes_on() -> None:
    player = Player(9)
    player.head.loop_range = LOOP
    player.head.seek(LOOP[1])
    player.play(20)
    assert lengths(player) == [(LOOP[1], 2 * PIECE), (2 * PIECE, 3 * PIECE)]


def test_the_shifter_delays_what_is_heard_and_the_end() -> None:
    player = Player(2)
    player.head.delay = 0.5
    player.play(10)
    assert player.time - 100 >= 2 + LEAD + 0.5
    assert player.time - 100 <= 2 + LEAD + 0.5 + 2 * TICK


def test_seeking_stays_within_the_song() -> None:
    head = Playhead(1000)
    for sample, found in (-5, 0), (10.7, 10), (2000, 1000):
        head.seek(sample)
        assert head.position == found
    assert head.step(0, lambda sample: True) == REST  # until the silence behind it has been heard
    assert head.step(LEAD, lambda sample: True) == OVER


# Counting in

BAR = 2 * SAMPLE_RATE


@given(st.sampled_from([0.5, 1.0, 1.5]), st.sampled_from([0.0, 0.3]))
def test_a_bar_passes_before_it_plays_and_before_the_loop_begins_again(
    rate: float, decoding: float
) -> None:
    player = Player(20)
    player.decoding = decoding
    player.head.rate, player.head.loop_range = rate, LOOP
    player.head.count_in = lambda sample: BAR if sample == LOOP[0] else 0
    player.head.seek(LOOP[0])
    player.play(20)
    bar, lasts = 2 / rate, (LOOP[1] - LOOP[0]) / SAMPLE_RATE / rate
    begins = [begun for begun, first, _ in player.scheduled if first == LOOP[0]]
    assert begins[0] == pytest.approx(100 + LEAD + bar + decoding, abs=1e-6)
    assert len(begins) > 2
    for begun, following in pairwise(begins):
        assert following == pytest.approx(begun + lasts + bar, abs=1e-6)


@given(st.floats(0.1, 20))
def test_the_playhead_stands_at_the_beginning_while_it_is_counted_in(seconds: float) -> None:
    player = Player(20)
    player.head.loop_range = LOOP
    player.head.count_in = lambda sample: BAR
    player.head.seek(LOOP[0])
    player.play(seconds)
    heard, by_schedule = player.head.heard(player.time), player.heard_at(player.time)
    assert LOOP[0] <= heard <= LOOP[1]
    if by_schedule is None:
        assert heard in (LOOP[0], LOOP[1])
    else:
        assert abs(heard - by_schedule) <= 1


def test_nothing_is_counted_in_where_playback_waited() -> None:
    finished = PIECE
    player = Player(9, lambda sample: sample < finished)
    player.head.count_in = lambda sample: BAR
    player.play(8)
    assert player.waits > 0
    finished = 3 * PIECE
    begun = player.time
    run = player.head.run
    while player.head.goes_on(run) and len(player.scheduled) < 2:
        if player.head.step(player.time, player.there) == SCHEDULE:
            player.schedule()
        player.time += TICK
    assert player.scheduled[1][0] == pytest.approx(begun + LEAD, abs=2 * TICK)
