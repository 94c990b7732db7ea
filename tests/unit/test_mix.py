"""What is heard of a song, and what is repeated."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.listen.mix import PRESETS, SHORTEST_LOOP, Mix, heard_in, presets_with_files, recipe_of
from shared.facts import SAMPLE_RATE

STEMS = ["vocals", "drums", "bass", "melody"]


@pytest.fixture
def mix() -> Mix:
    mix = Mix()
    mix.lay_out(STEMS, True)
    return mix


# Stems


def test_everything_is_heard_as_it_is(mix: Mix) -> None:
    assert mix.gains() == dict.fromkeys(STEMS, 1)
    assert mix.recipe() == dict.fromkeys(STEMS, (1, 0))
    assert mix.chosen() == ["everything"]


def test_solo_goes_before_mute(mix: Mix) -> None:
    mix.toggle_mute("drums")
    assert mix.heard() == ["vocals", "bass", "melody"]
    mix.toggle_solo("drums")
    mix.toggle_solo("bass")
    assert mix.heard() == ["drums", "bass"]
    mix.toggle_solo("drums")
    mix.toggle_solo("bass")
    assert mix.heard() == ["vocals", "bass", "melody"]


def test_gain_and_place_are_those_of_the_stem(mix: Mix) -> None:
    mix.volumes["bass"], mix.pans["bass"] = 1.5, -0.5
    mix.volumes["vocals"] = 0
    mix.toggle_mute("drums")
    assert mix.gains() == {"vocals": 0, "drums": 0, "bass": 1.5, "melody": 1}
    assert mix.recipe() == {"bass": (1.5, -0.5), "melody": (1, 0)}


# Presets

SIX = ["vocals", "drums", "bass", "guitar", "piano", "melody"]


def test_guitar_and_piano_have_presets_where_they_are(mix: Mix) -> None:
    assert not mix.is_offered("guitarless")
    assert not mix.is_offered("piano")
    mix.lay_out(SIX, True)
    for preset, heard in (
        ("guitarless", ["vocals", "drums", "bass", "piano", "melody"]),
        ("piano", ["piano"]),
        ("karaoke", ["drums", "bass", "guitar", "piano", "melody"]),
        ("everything", SIX),
    ):
        assert mix.is_offered(preset)
        mix.choose(preset)
        assert mix.heard() == heard
        assert mix.chosen() == [preset]
    # What is chosen stays for as long as there is such a stem.
    mix.choose("piano")
    mix.lay_out(STEMS, True)
    assert mix.chosen() == ["everything"]


@pytest.mark.parametrize(
    ("preset", "heard"),
    [
        ("everything", STEMS),
        ("karaoke", ["drums", "bass", "melody"]),
        ("acapella", ["vocals"]),
        ("drumless", ["vocals", "bass", "melody"]),
        ("bass", ["bass"]),
        ("original", []),
    ],
)
def test_presets(mix: Mix, preset: str, heard: list[str]) -> None:
    mix.toggle_solo("drums")
    mix.toggle_mute("bass")
    mix.choose(preset)
    assert mix.heard() == heard
    assert mix.chosen() == [preset]
    assert mix.is_original == (preset == "original")
    assert list(mix.recipe()) == heard


def test_what_sounds_like_a_preset_is_one(mix: Mix) -> None:
    for stem in ("drums", "bass", "melody"):
        assert mix.chosen() == ["everything"] * (stem == "drums")
        mix.toggle_solo(stem)
    assert mix.chosen() == ["karaoke"]
    mix.volumes["bass"] = 0
    assert mix.chosen() == []


@pytest.mark.parametrize(
    ("stems", "offered"),
    [
        (STEMS, {"everything", "karaoke", "acapella", "drumless", "bass", "original"}),
        (["vocals", "karaoke"], {"everything", "karaoke", "acapella", "original"}),
        (["drums", "rest"], {"everything", "drumless", "original"}),
        (["bass"], {"everything", "original"}),
    ],
)
def test_presets_are_offered_where_they_differ(stems: list[str], offered: set[str]) -> None:
    mix = Mix()
    mix.lay_out(stems, True)
    assert {preset for preset in PRESETS if mix.is_offered(preset)} == offered
    mix.lay_out(stems, False)
    assert {preset for preset in PRESETS if mix.is_offered(preset)} == offered - {"original"}


def test_the_original_ends_with_a_choice_of_stems(mix: Mix) -> None:
    mix.choose("original")
    mix.volumes["bass"] = 0.5  # which is for later
    assert mix.is_original
    mix.toggle_solo("bass")
    assert not mix.is_original
    assert mix.gains() == {"vocals": 0, "drums": 0, "bass": 0.5, "melody": 0}
    mix.choose("original")
    mix.toggle_solo("bass")
    assert not mix.is_original
    assert mix.heard() == STEMS


def test_the_original_leaves_the_stems_as_they_are_set(mix: Mix) -> None:
    mix.toggle_mute("drums")
    mix.choose("original")
    assert mix.mutes == {"drums"}
    assert mix.gains() == dict.fromkeys(STEMS, 0)
    mix.toggle_mute("vocals")
    assert mix.heard() == ["bass", "melody"]


def test_everything_brings_volumes_and_pans_back(mix: Mix) -> None:
    mix.volumes["drums"], mix.pans["bass"] = 0.2, 0.5
    mix.toggle_mute("vocals")
    mix.choose("karaoke")  # which leaves them
    assert mix.recipe() == {"drums": (0.2, 0), "bass": (1, 0.5), "melody": (1, 0)}
    mix.choose("everything")
    assert mix.recipe() == dict.fromkeys(STEMS, (1, 0))


def test_everything_is_chosen_only_as_it_is(mix: Mix) -> None:
    for settings, value, neutral in ((mix.volumes, 0.5, 1.0), (mix.pans, -0.5, 0.0)):
        settings["drums"] = value
        assert mix.chosen() == []
        settings["drums"] = neutral
        assert mix.chosen() == ["everything"]


# Files


@pytest.mark.parametrize("preset", PRESETS[:-1])
def test_presets_name_files(mix: Mix, preset: str) -> None:
    mix.lay_out(SIX, True)
    mix.choose(preset)
    assert mix.file_part() == preset
    assert recipe_of(preset, SIX) == mix.recipe()
    for settings, neutral, other in ((mix.volumes, 1.0, 0.5), (mix.pans, 0.0, -1.0)):
        stem = mix.heard()[0]
        settings[stem] = other
        assert mix.file_part() == " + ".join(mix.heard())
        settings[stem] = neutral


@pytest.mark.parametrize(
    ("stems", "presets"),
    [
        (STEMS, ["drumless"]),
        ([*STEMS, "guitar", "piano"], ["drumless", "guitarless"]),
        (["drums", "rest"], []),
        (["vocals", "bass", "rest"], []),
    ],
)
def test_presets_that_are_files_beside_karaoke(stems: list[str], presets: list[str]) -> None:
    assert presets_with_files(stems) == presets


def test_files_of_other_mixes_are_named_after_their_stems(mix: Mix) -> None:
    mix.toggle_solo("melody")
    mix.toggle_solo("bass")
    assert mix.file_part() == "bass + melody"


def test_speed_key_and_loop_are_in_the_name(mix: Mix) -> None:
    mix.choose("drumless")
    loop = 59 * SAMPLE_RATE, 65 * SAMPLE_RATE + 1
    assert mix.file_part(loop, 0.7) == "drumless 0.59-1.05 70%"
    assert mix.file_part(speed=1.1) == "drumless 110%"
    assert mix.file_part(loop, 0.7, 3) == "drumless 0.59-1.05 70% +3"
    assert mix.file_part(key=-12) == "drumless -12"


# Other stems


def test_what_was_set_stays(mix: Mix) -> None:
    mix.toggle_solo("drums")
    mix.toggle_solo("vocals")
    mix.toggle_mute("bass")
    mix.volumes["drums"], mix.pans["bass"] = 0.3, 1.0
    mix.lay_out(["drums", "bass", "rest"], True)
    assert mix.heard() == ["drums"]
    mix.toggle_solo("drums")
    assert mix.recipe() == {"drums": (0.3, 0), "rest": (1, 0)}
    assert mix.pans["bass"] == 1.0
    # But not what was set of stems that are gone meanwhile.
    mix.lay_out(["vocals"], True)
    mix.lay_out(STEMS, True)
    assert mix.volumes == dict.fromkeys(STEMS, 1)


def test_a_preset_stays_chosen_with_other_stems() -> None:
    mix = Mix()
    mix.lay_out(["vocals", "drums"], True)
    mix.choose("karaoke")
    mix.lay_out(STEMS, True)
    assert mix.heard() == ["drums", "bass", "melody"]
    mix.choose("bass")
    mix.lay_out(["vocals", "karaoke"], True)
    assert mix.heard() == ["karaoke"]  # there is no bass alone; the voice stays mute
    mix.choose("original")
    mix.lay_out(STEMS, True)
    assert mix.is_original
    mix.lay_out(STEMS, False)
    assert mix.chosen() == ["karaoke"]  # as it was before


def test_something_is_heard_at_first() -> None:
    mix = Mix()
    mix.lay_out(["vocals", "karaoke"], True)
    mix.toggle_mute("karaoke")
    mix.lay_out(["karaoke"], True)
    assert mix.heard() == ["karaoke"]


STEPS = st.one_of(
    st.tuples(st.just("choose"), st.sampled_from(PRESETS)),
    st.tuples(st.sampled_from(["toggle_solo", "toggle_mute"]), st.sampled_from(STEMS)),
)


@given(st.lists(STEPS, max_size=12), st.lists(st.sampled_from(STEMS), unique=True, min_size=1))
def test_what_is_said_is_what_is_heard(steps: list[tuple[str, str]], other: list[str]) -> None:
    mix = Mix()
    mix.lay_out(STEMS, True)
    for do, what in steps:
        getattr(mix, do)(what)
        heard = [stem for stem, gain in mix.gains().items() if gain]
        assert mix.heard() == list(mix.recipe()) == heard
        assert not (mix.is_original and heard)
        for preset in mix.chosen():
            assert heard_in(preset, STEMS) == heard
    mix.lay_out(other, True)
    assert mix.heard() or mix.is_original
    assert set(mix.heard()) <= set(other)


# The loop


def test_a_loop_is_begun_ended_and_left(mix: Mix) -> None:
    mix.mark(0)
    assert (mix.loop, mix.loop_begin) == (None, 0)
    mix.mark(SHORTEST_LOOP)
    assert (mix.loop, mix.loop_begin) == ((0, SHORTEST_LOOP), None)
    mix.mark(3 * SHORTEST_LOOP)
    assert (mix.loop, mix.loop_begin) == (None, None)


@given(st.integers(0, 1 << 40), st.integers(-3 * SHORTEST_LOOP, 3 * SHORTEST_LOOP))
def test_a_loop_has_two_ends_in_either_order(one: int, length: int) -> None:
    mix, other = Mix(), max(0, one + length)
    mix.mark(one)
    mix.mark(other)
    long = abs(other - one) >= SHORTEST_LOOP
    assert mix.loop == ((min(one, other), max(one, other)) if long else None)
    assert mix.loop_begin is None


@given(st.integers(-1, 1 << 30), st.sampled_from([0, 1]))
def test_an_edge_is_moved_and_the_other_one_stays(sample: int, edge: int) -> None:
    mix, begin, end = Mix(), 10 * SAMPLE_RATE, 20 * SAMPLE_RATE
    mix.repeat(begin, end)
    loop = mix.with_edge(edge, sample)
    assert loop[1 - edge] == (begin, end)[1 - edge]
    assert loop[1] - loop[0] >= SHORTEST_LOOP
    assert loop[edge] == sample or loop[1] - loop[0] == SHORTEST_LOOP


@given(st.integers(0, 30 * SAMPLE_RATE), st.integers(0, 30 * SAMPLE_RATE))
def test_dragging_over_a_waveform_loops_and_a_short_press_does_not(one: int, other: int) -> None:
    loop = Mix().dragged(one, other)
    if abs(other - one) < SHORTEST_LOOP:
        assert loop is None
    else:
        assert loop == (min(one, other), max(one, other))


def test_dragging_an_edge_moves_that_edge() -> None:
    mix = Mix()
    mix.repeat(10 * SAMPLE_RATE, 20 * SAMPLE_RATE)
    assert mix.dragged(10 * SAMPLE_RATE, 5 * SAMPLE_RATE, 0) == (5 * SAMPLE_RATE, 20 * SAMPLE_RATE)
    assert mix.dragged(20 * SAMPLE_RATE, 15 * SAMPLE_RATE, 1) == (
        10 * SAMPLE_RATE,
        15 * SAMPLE_RATE,
    )


# What is kept with a song


@given(
    st.lists(STEPS, max_size=8),
    st.dictionaries(st.sampled_from(STEMS), st.floats(0, 1.5)),
    st.dictionaries(st.sampled_from(STEMS), st.floats(-1, 1)),
    st.none() | st.tuples(st.integers(0, 1 << 20), st.integers(0, 1 << 20)),
)
def test_what_was_set_is_kept(
    steps: list[tuple[str, str]],
    volumes: dict[str, float],
    pans: dict[str, float],
    loop: tuple[int, int] | None,
) -> None:
    mix, other = Mix(), Mix()
    for one in (mix, other):
        one.lay_out(STEMS, False)
    for do, what in steps:
        getattr(mix, do)(what)
    mix.volumes.update(volumes)
    mix.pans.update(pans)
    if loop:
        mix.repeat(*loop)
    mix.is_original = False
    other.restore(json.loads(json.dumps(mix.facts())), 1 << 20)
    assert other.facts() == mix.facts()
    assert other.recipe() == mix.recipe()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(STEMS), inner),
    max_leaves=8,
)


@given(
    ANYTHING
    | st.dictionaries(
        st.sampled_from(["solos", "mutes", "volumes", "pans", "loop"]), ANYTHING, max_size=5
    )
)
def test_what_makes_no_sense_is_left_out(facts: object) -> None:
    mix = Mix()
    mix.lay_out(STEMS, False)
    mix.restore(facts, 1 << 20)
    assert mix.solos | mix.mutes <= set(STEMS)
    for gain, pan in zip(mix.volumes.values(), mix.pans.values(), strict=True):
        assert 0 <= gain <= 1.5 and -1 <= pan <= 1
    assert mix.loop is None or 0 <= mix.loop[0] < mix.loop[1] <= 1 << 20


def test_no_loop_outlives_the_stems(mix: Mix) -> None:
    mix.repeat(0, SHORTEST_LOOP)
    mix.lay_out(STEMS, True)
    assert mix.loop is None
    mix.mark(5)
    mix.lay_out(STEMS, True)
    assert mix.loop_begin is None
