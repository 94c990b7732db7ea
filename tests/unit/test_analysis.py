"""What the page knows of a song's music, and how it says it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.listen.analysis import (
    NOTES,
    bars,
    can_double,
    can_halve,
    doubled,
    halved,
    in_words,
    key_name,
    lines_of_chords,
    tempo,
    understood,
)
from page.text.texts import LANGUAGES, translations
from scripts.common.environment import ROOT

FOUND: dict[str, Any] = {
    "bpm": 124.0,
    "beats": [index * 0.484 for index in range(21)],
    "one": 2,
    "meter": 4,
    "tempo_sure": "sure",
    "key": "A minor",
    "second": "C major",
    "chords": [(0.0, "Am"), (2.9, "F"), (4.84, "C"), (5.8, "G"), (8.712, "")],
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "124 BPM · A minor, or C major"),
        ({"second": ""}, "124 BPM · A minor"),
        ({"tempo_sure": "about", "bpm": 123.6}, "about 124 BPM · A minor, or C major"),
        ({"bpm": 123.52}, "123.5 BPM · A minor, or C major"),
        ({"bpm": 123.96}, "124 BPM · A minor, or C major"),
        ({"tempo_sure": "", "key": "", "second": ""}, "no steady beat · no key"),
    ],
)
def test_in_words(changes: dict[str, Any], said: str) -> None:
    assert in_words(FOUND | changes) == said


def test_half_keeps_the_first_beats_of_bars() -> None:
    half = halved(FOUND)
    assert half["bpm"] == 62
    assert half["beats"] == FOUND["beats"][::2]
    assert half["beats"][half["one"]] == FOUND["beats"][FOUND["one"]]
    odd = halved(FOUND | {"one": 3})
    assert odd["beats"] == FOUND["beats"][1::2]
    assert odd["beats"][odd["one"]] == FOUND["beats"][3]


def test_twice_has_beats_between() -> None:
    twice = doubled(FOUND)
    assert twice["bpm"] == 248
    assert twice["beats"][::2] == FOUND["beats"]
    assert twice["beats"][1::2] == pytest.approx([0.242 + 0.484 * index for index in range(20)])
    assert twice["beats"][twice["one"]] == FOUND["beats"][2]


@given(
    steps=st.lists(st.floats(0.2, 2), min_size=1, max_size=40),
    one=st.integers(0, 3),
    bpm=st.floats(30, 300),
)
def test_half_of_twice_is_the_same(steps: list[float], one: int, bpm: float) -> None:
    beats = [sum(steps[:count]) for count in range(len(steps) + 1)]
    found = FOUND | {"beats": beats, "one": min(one, len(beats) - 1), "bpm": bpm}
    assert halved(doubled(found)) == found


def test_tempi_that_nobody_counts() -> None:
    assert can_halve(FOUND) and can_double(FOUND)
    assert not can_halve(FOUND | {"bpm": 40.0})
    assert not can_double(FOUND | {"bpm": 240.0})
    assert not can_double(FOUND | {"bpm": 0})


def test_bars_and_their_chords() -> None:
    """The first bar is short, since the one is the third beat."""
    starts = [0, 2, 6, 10, 14, 18]
    assert bars(FOUND) == pytest.approx([0.484 * beat for beat in starts])
    lines = lines_of_chords(FOUND)
    assert [text for _, text in lines] == ["Am | – | F | C G", "– | N.C."]
    assert [seconds for seconds, _ in lines] == pytest.approx([0, 0.484 * 14])
    assert lines_of_chords(FOUND | {"chords": []}) == []


def test_what_was_kept_is_understood() -> None:
    kept = json.loads(json.dumps(FOUND))
    assert understood(kept) == FOUND
    assert understood(json.loads(json.dumps(doubled(FOUND)))) == doubled(FOUND)


@pytest.mark.parametrize(
    "damage",
    [
        {"bpm": "fast"}, {"beats": 5}, {"beats": [None]}, {"one": 99}, {"one": -1}, {"meter": 0}, {"key": "H minor"},
        {"key": None}, {"second": "A"}, {"tempo_sure": "very"}, {"chords": [[1]]}, {"chords": None},
    ],
)  # fmt: skip
def test_what_is_no_analysis_is_not_taken_for_one(damage: dict[str, Any]) -> None:
    assert understood(FOUND | damage) is None
    (name,) = damage
    assert understood({key: value for key, value in FOUND.items() if key != name}) is None


@given(st.recursive(st.none() | st.text() | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(sorted(FOUND)), inner)))  # fmt: skip
def test_nothing_else_is_taken_for_one(found: object) -> None:
    assert understood(found) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_notes_have_names_in_every_language(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "app" / "page" / "text" / "languages" / f"{language}.json").read_text()
    for english, translated in json.loads(text).items():
        monkeypatch.setitem(translations, english, translated)
    names = {key_name(f"{note} {mode}") for note in NOTES for mode in ("major", "minor")}
    assert len(names) == 2 * len(NOTES)


def test_keys_in_german(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "app" / "page" / "text" / "languages" / "de.json").read_text()
    for english, translated in json.loads(text).items():
        monkeypatch.setitem(translations, english, translated)
    assert (
        in_words(FOUND | {"key": "B minor", "second": "B♭ major"}) == "124 BPM · H-Moll oder B-Dur"
    )


def test_the_tempo_for_files_is_one_that_is_known() -> None:
    assert tempo(FOUND) == (124, 4)
    assert tempo(FOUND | {"tempo_sure": "about"}) == (124, 4)
    assert tempo(FOUND | {"tempo_sure": ""}) is None
    assert tempo(None) is None
