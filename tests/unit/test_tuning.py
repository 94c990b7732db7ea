"""Which stems are shifted together at another speed and in another key, and by how much."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.listen.tuning import group, shifts

STEMS = ["vocals", "drums", "bass", "guitar", "piano", "melody", "karaoke", "rest", "original"]
PAGE = Path(__file__).resolve().parent.parent.parent / "index.html"

speeds = st.floats(0.5, 1.5)
keys = st.integers(-12, 12)


def test_nothing_is_in_the_way_of_a_song_as_it_is() -> None:
    assert shifts(1, 0) == {}


@given(speeds.filter(lambda speed: speed != 1))
def test_in_its_own_key_all_stems_go_through_one_shifter(speed: float) -> None:
    assert {group(stem, 0) for stem in STEMS} == set(shifts(speed, 0))


@given(speeds, keys.filter(bool))
def test_in_another_key_all_stems_but_drums_are_that_much_away(speed: float, key: int) -> None:
    found = shifts(speed, key)
    for stem in STEMS:
        semitones = found.get(group(stem, key), {"semitones": 0})["semitones"]
        heard = speed * 2 ** (semitones / 12)  # how many times as high as the stem is
        assert heard == pytest.approx(1 if stem == "drums" else 2 ** (key / 12)), stem


@given(speeds, keys.filter(bool))
def test_formants_of_a_voice_stay_where_they_are(speed: float, key: int) -> None:
    """Those of other stems move with the pitch."""
    for name, shift in shifts(speed, key).items():
        assert shift["formantCompensation"] == (name == "vocals")
        formants = shift["formantSemitones"]
        if name == "vocals":
            assert speed * 2 ** (formants / 12) == pytest.approx(1)
        else:
            assert formants == 0


def test_drums_have_no_shifter_at_the_speed_of_the_song() -> None:
    assert group("drums", 3) not in shifts(1, 3)
    assert group("drums", 3) in shifts(0.8, 3)


def test_the_page_offers_an_octave_up_and_down() -> None:
    (menu,) = re.findall(r'class="key".*?</select>', PAGE.read_text(), re.DOTALL)
    found = re.findall(r'<option value="(.+?)"( selected)?>(.+?)</option>', menu)
    assert [int(value) for value, _, _ in found] == list(range(12, -13, -1))
    assert [int(shown.replace("−", "-")) for _, _, shown in found] == list(range(12, -13, -1))
    assert [value for value, selected, _ in found if selected] == ["0"]
