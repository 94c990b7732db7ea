import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umx import segments
from umx.models import Cutting


@given(
    samples=st.integers(1, 100_000),
    workers=st.integers(1, 9),
    batch_size=st.integers(1, 5),
    overlap=st.integers(1, 200),
)
def test_plan_covers_the_song_with_even_work(
    samples: int, workers: int, batch_size: int, overlap: int
) -> None:
    batches = segments.plan(samples, Cutting(1000, overlap, batch_size), workers)
    starts = [start for batch in batches for start in batch.starts]
    length = batches[0].length
    assert {(len(b.starts), b.length) for b in batches} == {(len(batches[0].starts), length)}
    assert len(batches[0].starts) <= batch_size
    assert length <= max(1000, overlap + 1)
    assert starts[0] == 0
    assert set(np.diff(starts)) <= {length - overlap}
    assert samples <= starts[-1] + length < samples + max(1, len(starts))
    if len(starts) >= workers:
        assert len(batches) % workers == 0


def test_nothing_to_plan_for_an_empty_song() -> None:
    assert segments.plan(0, Cutting(1000, 100)) == []


def test_short_song_is_one_segment_of_its_own_length() -> None:
    assert segments.plan(1234, Cutting(2000, 100), workers=4) == [
        segments.Batch((0,), 1234, (0,), 1234)
    ]


def test_cut_fills_up_with_silence() -> None:
    audio = np.ones((2, 10), np.float32)
    cut = segments.cut(audio, segments.Batch((0, 6), 8, (0, 6), 8))
    assert cut.shape == (2, 2, 8)
    assert cut[1, 0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


@given(samples=st.integers(2000, 20_000), workers=st.integers(1, 3))
def test_faded_segments_add_up_to_the_song(samples: int, workers: int) -> None:
    audio = np.random.default_rng(1).standard_normal((2, samples)).astype(np.float32)
    batches = segments.plan(samples, Cutting(1500, 300, batch_size=4), workers)
    pieces = [piece for batch in batches for piece in segments.cut(audio, batch)]
    joiner = segments.Joiner(300)
    stretches = []
    for i, piece in enumerate(pieces):
        last = i == len(pieces) - 1
        segments.fade(piece, 300, i == 0, last)
        stretches.append(joiner.add(piece, last))
    joined = np.concatenate(stretches, axis=-1)[:, :samples]
    np.testing.assert_allclose(joined, audio, atol=1e-6)


def test_fade_is_triangular() -> None:
    segment = np.ones((1, 8), np.float32)
    segments.fade(segment, 4, first=False, last=True)
    assert segment[0].tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1])


@given(st.integers(1, 400), st.lists(st.integers(0, 90), max_size=40), st.integers(1, 3))
def test_a_song_in_blocks_is_cut_like_a_whole_one(
    samples: int, sizes: list[int], batch_size: int
) -> None:
    song = np.arange(2 * samples, dtype=np.float32).reshape(2, -1)
    places = np.minimum(np.cumsum(sizes), samples).astype(int)
    cutter = segments.Cutter(np.split(song, places, axis=1))
    for batch in segments.plan(samples, Cutting(50, 8, batch_size)):
        np.testing.assert_array_equal(cutter.cut(batch), segments.cut(song, batch))


FIXED = Cutting(1000, 100, fixed=True)


@given(samples=st.integers(1001, 50_000), workers=st.integers(1, 9))
def test_fixed_segments_are_whole_and_no_more_than_needed(samples: int, workers: int) -> None:
    batches = segments.plan(samples, FIXED, workers)
    starts = [start for batch in batches for start in batch.starts]
    cuts = [cut for batch in batches for cut in batch.cuts]
    length = batches[0].length
    assert {(len(b.starts), b.length, b.span) for b in batches} == {(1, length, 1000)}
    assert len(starts) == -(-(samples - 100) // 900)
    assert set(np.diff(starts)) == {length - 100}
    end = starts[-1] + length
    assert samples <= end < samples + len(starts)
    for start, cut in zip(starts, cuts, strict=True):
        assert 0 <= cut <= start
        assert start + length <= cut + 1000 <= end
        before, behind = start - cut, cut + 1000 - start - length
        # In the middle, but where the song ends before a segment does.
        assert abs(before - behind) <= 1 or 0 == cut < before + behind or cut + 1000 == end


@pytest.mark.parametrize("samples", [700, 1000])
def test_a_song_no_longer_than_a_fixed_segment_is_left_as_it_is(samples: int) -> None:
    expected = [segments.Batch((0,), samples, (0,), samples)]
    assert segments.plan(samples, FIXED, 4) == expected


@given(count=st.integers(2, 6), short=st.integers(200, 700), size=st.integers(1, 500))
def test_fixed_segments_hear_the_song_around_what_is_kept(
    count: int, short: int, size: int
) -> None:
    """A network that looks half of what is left over in both directions gives what it gives of the undivided song."""
    samples = 100 + count * 900 - short
    song = np.random.default_rng(1).standard_normal((1, samples)).astype(np.float32)
    reach = short // count // 2 - 2

    def network(audio: np.ndarray) -> np.ndarray:
        padded = np.pad(audio, ((0, 0), (reach, reach)))
        return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=-1).mean(-1)

    batches = segments.plan(samples, FIXED, 2)
    blocks = np.split(song, range(size, samples, size), axis=1)
    cutter, joiner, stretches = segments.Cutter(blocks), segments.Joiner(100), []
    for index, batch in enumerate(batches):
        (piece,) = cutter.cut(batch)
        last = index == len(batches) - 1
        kept = segments.keep(network(piece), batch, 0)
        segments.fade(kept, 100, index == 0, last)
        stretches.append(joiner.add(kept, last))
    joined = np.concatenate(stretches, axis=-1)[:, :samples]
    np.testing.assert_allclose(joined, network(song), atol=1e-6)
