"""Which songs have a preview, of what, and which stems are heard where both are there."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.songs import preview
from page.songs.preview import FADE, LONGEST, STEP

USUAL = ["vocals", "drums", "bass", "melody"]
SIX = ["vocals", "drums", "bass", "guitar", "piano", "melody"]


@pytest.mark.parametrize(
    ("seconds", "pace", "small", "reach"),
    [
        (240, 0.4, 0.02, 240),  # an HTDemucs on two workers
        (60, 0.4, 0.02, 0),  # 24 s of work
        (240, 0.075, 0.02, 0),  # UMX-L
        (800, 0.075, 0.02, 300),
        (480, 0.075, 0.02, 180),  # for a tenth of 36 s
        (7200, 0.4, 0.02, LONGEST),
        (1, 1e9, 1e9, 0.1),
    ],
)
def test_songs_that_take_long_have_a_preview(
    seconds: float, pace: float, small: float, reach: float
) -> None:
    assert preview.reach(seconds, pace, small) == pytest.approx(reach)


@given(st.floats(0, 1e5), st.floats(1e-4, 1e4), st.floats(1e-4, 1e4))
def test_a_preview_takes_a_tenth_of_the_time_at_most(
    seconds: float, pace: float, small: float
) -> None:
    reach = preview.reach(seconds, pace, small)
    assert 0 <= reach <= min(seconds, LONGEST)
    assert reach * small <= 0.1001 * seconds * pace


@pytest.mark.parametrize(
    ("lanes", "lacks"),
    [
        (USUAL, None),
        (["vocals", "karaoke"], None),
        (["vocals", "drums", "rest"], None),
        (SIX, (["guitar", "piano"], "melody")),
        (["vocals", "guitar", "rest"], (["guitar"], "rest")),
        ([*USUAL, "guitar", "rest"], (["guitar", "rest"], "melody")),
        ([*USUAL, "rest"], (["rest"], "melody")),
    ],
)
def test_what_a_preview_lacks_is_heard_within_another_lane(
    lanes: list[str], lacks: tuple[list[str], str] | None
) -> None:
    assert preview.suits(lanes, USUAL)
    assert preview.lacking(lanes, USUAL) == lacks


@pytest.mark.parametrize(
    "lanes", [["guitar", "piano", "rest"], ["speech", "music"], ["vocals", "accompaniment"]]
)
def test_there_is_no_preview_of_what_the_small_model_does_not_know(lanes: list[str]) -> None:
    assert not preview.suits(lanes, USUAL)


def test_what_is_beside_the_vocals_goes_to_the_rest() -> None:
    alone = {"vocals": 1, "karaoke": 2}
    assert preview.as_lanes(alone, ["vocals", "karaoke"]) == alone
    assert preview.as_lanes(alone, ["vocals", "guitar", "rest"]) == {"vocals": 1, "rest": 2}
    some = {"vocals": 1, "drums": 2, "karaoke": 3, "rest": 4}
    assert preview.as_lanes(some, ["vocals", "drums", "rest"]) == some
    every = dict.fromkeys([*USUAL, "karaoke"], 1)
    assert preview.as_lanes(every, [*USUAL, "rest"]) == every


def pieces(name: str, *borders: int) -> list[tuple[int, int, str]]:
    return [(begin, end - begin, name) for begin, end in pairwise(borders)]


def test_final_stems_take_over_where_they_begin_and_turn_into_the_preview_where_they_end() -> None:
    second = STEP
    previews = pieces("preview", 0, 5 * second, 20 * second)
    finals = pieces("final", 2 * second + 7, 4 * second) + pieces("final", 9 * second, 12 * second)
    found, sample = [], 0
    while sample < 20 * second:
        (_, _, name), end = preview.heard(finals, previews, sample)
        found.append((name, sample, end))
        sample = end
    assert found[:7] == [
        ("preview", 0, second),
        ("preview", second, 2 * second),
        ("preview", 2 * second, 2 * second + 7),
        ("final", 2 * second + 7, 4 * second - FADE),
        ("preview", 4 * second - FADE, 5 * second - FADE),
        ("preview", 5 * second - FADE, 5 * second),
        ("preview", 5 * second, 6 * second),
    ]
    assert ("final", 9 * second, 12 * second - FADE) in found
    assert found[-1][0] == "preview"
    assert preview.heard(finals, previews, 20 * second) is None


borders = st.lists(st.integers(0, 10 * STEP), max_size=8, unique=True).map(sorted)


@given(borders, borders, st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_song_is_heard_without_gaps_wherever_there_are_stems(
    coarse: list[int], fine: list[int], there: list[bool]
) -> None:
    previews = pieces("preview", *coarse)
    finals = [
        piece for piece, is_there in zip(pieces("final", *fine), there, strict=False) if is_there
    ]
    sample = 0
    while sample < 10 * STEP:
        found = preview.heard(finals, previews, sample)
        if found is None:
            assert not preview.at(finals, sample)
            assert not preview.at(previews, sample)
            sample += STEP // 7
            continue
        piece, end = found
        assert preview.at([piece], sample)
        assert sample < end <= piece[0] + piece[1]
        if piece[2] == "preview":
            final = preview.at(finals, sample)
            assert not final or final[0] + final[1] - sample <= FADE
            assert end - sample <= STEP
        sample = end


def test_a_song_without_a_preview_is_heard_piece_by_piece() -> None:
    finals = pieces("final", 0, 10, 30)
    assert preview.heard(finals, [], 3) == (finals[0], 10)
    assert preview.heard(finals, [], 10) == (finals[1], 30)
    assert preview.heard(finals, [], 30) is None
