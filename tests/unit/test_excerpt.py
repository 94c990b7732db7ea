"""What a visitor chooses of a song: times as they are typed, edges as they are dragged."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.songs.excerpt import SHORTEST, Excerpt, seconds_of

RATE = 44100


@given(st.integers(0, 3600), st.sampled_from(":.,： "))
def test_a_time_is_read_as_clocks_show_it(seconds: int, between: str) -> None:
    minutes, rest = divmod(seconds, 60)
    assert seconds_of(f"{minutes}{between}{rest:02d}") == seconds
    assert seconds_of(f" {seconds} ") == seconds
    hours, minutes = divmod(minutes, 60)
    assert seconds_of(f"{hours}:{minutes:02d}:{rest:02d}") == seconds


def test_japanese_digits() -> None:
    assert seconds_of("１：０５") == 65


@given(st.text())
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        seconds = seconds_of(text)
    except ValueError:
        return
    assert seconds >= 0
    assert any(letter.isdigit() for letter in text)


@pytest.mark.parametrize("text", ["", ":", "1:", ":30", "one", "-5", "1:2:3:4", "1::2", "²"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        seconds_of(text)


LENGTHS = st.integers(1, 7200 * RATE)
STEPS = st.lists(
    st.tuples(st.sampled_from("01s"), st.integers(-RATE, 7300 * RATE), st.integers(0, 7300 * RATE)),
    max_size=5,
)


@given(LENGTHS, STEPS)
def test_wherever_edges_are_dragged_a_second_is_left(
    length: int, steps: list[tuple[str, int, int]]
) -> None:
    excerpt = Excerpt(length)
    for what, one, other in steps:
        if what == "s":
            excerpt.span(one, other)
        else:
            excerpt.move(int(what), one)
        begin, end = excerpt.edges
        assert 0 <= begin < end <= length
        assert end - begin >= min(SHORTEST, length)
        assert end == length or end % RATE == 0
        assert begin % RATE == 0 or begin == max(0, length - SHORTEST)
        assert (excerpt.chosen() is None) == (end - begin == length)


def test_edges_lie_on_whole_seconds_and_the_last_one_is_the_end() -> None:
    length = 20 * RATE + 20_000
    excerpt = Excerpt(length)
    assert excerpt.chosen() is None
    excerpt.span(12 * RATE + 30_000, 3 * RATE - 9)
    assert excerpt.chosen() == (3 * RATE, 13 * RATE)
    excerpt.move(1, 19 * RATE + 10_000)
    assert excerpt.edges == (3 * RATE, 19 * RATE)
    excerpt.move(1, 20 * RATE)  # as the clock shows the end
    assert excerpt.edges == (3 * RATE, length)
    excerpt.move(0, 0)
    assert excerpt.chosen() is None


def test_an_edge_stops_before_the_other() -> None:
    excerpt = Excerpt(20 * RATE, (5 * RATE, 9 * RATE))
    excerpt.move(0, 15 * RATE)
    assert excerpt.edges == (8 * RATE, 9 * RATE)
    excerpt.move(1, 0)
    assert excerpt.edges == (8 * RATE, 9 * RATE)


def test_a_song_of_less_than_a_second_is_whole() -> None:
    excerpt = Excerpt(1000)
    excerpt.span(3, 4)
    assert excerpt.chosen() is None
