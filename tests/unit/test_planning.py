"""Batches of an excerpt; those of whole songs are in test_segments.py, in the page's Python in test_micropython.py."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from umx import planning


@given(
    data=st.data(),
    samples=st.integers(1, 30_000),
    workers=st.integers(1, 4),
    batch_size=st.integers(1, 4),
    fixed=st.booleans(),
)
def test_an_excerpt_is_made_of_the_songs_own_segments(
    data: st.DataObject, samples: int, workers: int, batch_size: int, fixed: bool
) -> None:
    """Its stems are the song's, to its first and last sample: the same segments fade into each other there."""
    begin = data.draw(st.integers(0, samples - 1))
    end = data.draw(st.integers(begin + 1, samples))
    how = 1000, 100, batch_size, fixed, workers
    whole = planning.batches(samples, *how)
    part = planning.batches(samples, *how, (begin, end))
    length, span = whole[0][1], whole[0][3]
    places = [place for starts, _, cuts, _ in whole for place in zip(starts, cuts, strict=True)]
    reaching = [place for place in places if place[0] < end and begin < place[0] + length]
    assert reaching == [place for s, _, cuts, _ in part for place in zip(s, cuts, strict=True)]
    assert {batch[1::2] for batch in part} == {(length, span)}
    assert all(1 <= len(starts) <= batch_size for starts, *_ in part)
    assert planning.batches(samples, *how, (0, samples)) == whole
    # Where the excerpt begins and ends, no neighbour is missing that would be faded in or out.
    first, last = reaching[0][0], reaching[-1][0]
    assert first == 0 or first + 100 <= begin
    assert last == places[-1][0] or end <= last + length - 100


@given(samples=st.integers(5000, 90_000), workers=st.integers(2, 6), begin=st.integers(0, 4000))
@example(samples=5000, workers=5, begin=571)
def test_an_excerpt_is_work_for_all_workers(samples: int, workers: int, begin: int) -> None:
    batches = planning.batches(samples, 1000, 100, 4, False, workers, (begin, begin + 900))
    count = sum(len(starts) for starts, *_ in batches)
    # Seven segments of a short song are twelve shorter ones for six workers: an excerpt may reach into four of those.
    assert count <= 4
    assert len(batches) == min(count, workers)


def test_nothing_but_what_an_excerpt_needs_is_heard() -> None:
    """Two hours of a song, of which a minute is wanted, are five segments or six, not five hundred."""
    rate, segment = 44100, 600 * 1024
    how = segment, 22050, 4, False, 2
    batches = planning.batches(7200 * rate, *how, (3600 * rate, 3660 * rate))
    starts = [start for starts, *_ in batches for start in starts]
    assert 5 <= len(starts) <= 6
    assert all(two - one == batches[0][1] - 22050 for one, two in pairwise(starts))
