"""How a broken download goes on, wherever it is fetched."""

from hypothesis import given
from hypothesis import strategies as st

from umx.resuming import PAUSES, Attempts, continues, headers


def test_pauses_grow_while_nothing_comes_and_then_it_is_given_up() -> None:
    attempts = Attempts()
    assert [attempts.pause(0) for _ in PAUSES] == list(PAUSES)
    assert attempts.pause(0) is None


def test_pauses_start_anew_once_there_is_more() -> None:
    attempts = Attempts((1, 2))
    assert [attempts.pause(have) for have in (5, 5, 6, 6, 6)] == [1, 2, 1, 2, None]


def test_less_than_there_was_is_no_step_forward() -> None:
    """As where the server sends the whole file again, and breaks off sooner."""
    attempts = Attempts((1, 2))
    assert [attempts.pause(have) for have in (9, 3, 9, 9)] == [1, 2, None, None]


@given(st.lists(st.integers(0, 3), max_size=40))
def test_attempts_come_to_an_end(steps: list[int]) -> None:
    attempts, have, idle = Attempts(), 0, 0
    for step in steps:
        have += step
        idle = 0 if step else idle + 1
        assert (attempts.pause(have) is None) == (idle > len(PAUSES) - (have > 0))


def test_only_what_is_missing_is_asked_for() -> None:
    assert headers(0) == {}
    assert headers(10) == {"Range": "bytes=10-"}


def test_an_answer_goes_on_where_its_range_begins() -> None:
    assert continues(206, "bytes 10-19/20", 10)
    assert not continues(206, "bytes 100-199/200", 10)
    assert not continues(206, "bytes 0-19/20", 10)
    assert not continues(200, None, 10)  # the whole file
    assert not continues(200, "bytes 10-19/20", 10)
    assert not continues(416, "bytes */10", 10)
    assert continues(206, None, 10)  # another origin hides the header
