"""Which model comes first, whether a song waits for it, and what is said of the time that it takes."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from page.models import model_choice
from page.models.model_choice import Model, Speeds

MINI = Model(
    "umx-mini", "umx-mini, a small first model", "CC-BY-SA-4.0", 4.67, 4_844_368, 12_817_840
)
LARGE = Model("umxl", "UMX-L", "CC BY-NC-SA 4.0", 6.3175, 43_000_000, 113_678_192)
UNKNOWN = Model("own", "My own")

qualities = st.none() | st.floats(-20, 20)
models = st.builds(Model, st.text(), st.text(), quality=qualities, weights=st.integers(0, 1 << 30))


def test_the_best_comes_first() -> None:
    assert model_choice.in_order([UNKNOWN, MINI, LARGE]) == [LARGE, MINI, UNKNOWN]
    assert model_choice.best([MINI, LARGE], 8) is LARGE
    assert model_choice.best([UNKNOWN, MINI], 8) is MINI
    assert model_choice.best([], 8) is None
    assert model_choice.mean([7.21, 7.15, 6.02, 4.89]) == pytest.approx(6.3175)
    assert model_choice.mean([]) is None


@pytest.mark.parametrize(
    ("memory", "first"), [(0.25, None), (0.5, MINI), (1, LARGE), (4, LARGE), (8, LARGE)]
)
def test_a_model_needs_memory(memory: float, first: Model | None) -> None:
    assert model_choice.best([MINI, LARGE], memory) is first


@given(st.lists(models), st.sampled_from([0.25, 0.5, 1, 2, 4, 8]))
def test_nothing_is_better_than_the_best(found: list[Model], memory: float) -> None:
    chosen = model_choice.best(found, memory)
    for model in found:
        if chosen is None:
            assert not model_choice.fits(model, memory)
        elif model_choice.fits(model, memory):
            assert not model_choice.is_better(model, chosen)


@given(models, models)
def test_of_two_models_one_at_most_is_better(one: Model, other: Model) -> None:
    assert not (model_choice.is_better(one, other) and model_choice.is_better(other, one))
    assert not model_choice.is_better(one, one)


@pytest.mark.parametrize(
    ("wish", "left", "spent", "waits"),
    [
        (None, 12, 3, True),
        (None, 30, 90, True),
        (None, 31, 0, False),
        (None, None, 0, True),  # as long as nobody can tell, but not for ever
        (None, None, 30, True),
        (None, None, 31, False),
        (True, 900, 900, True),
        (True, None, 900, True),
        (False, 1, 1, False),
        (False, None, 0, False),
    ],
)
def test_a_song_waits_for_what_comes_soon(
    wish: bool | None, left: float | None, spent: float, waits: bool
) -> None:
    assert model_choice.waits(wish, left, spent) is waits


@given(st.floats(0, 1), st.floats(5, 1e4), st.floats(0, 1e4))
def test_a_song_waits_for_no_download_that_stands_still(
    fraction: float, spent: float, more: float
) -> None:
    before = model_choice.seconds_left(fraction, spent)
    after = model_choice.seconds_left(fraction, spent + more)
    assert before is after is None or after >= before >= 0
    assume(fraction < 0.99)
    assert not model_choice.waits(None, model_choice.seconds_left(fraction, 1e6), 1e6)


def test_the_first_bytes_of_a_download_tell_nothing() -> None:
    assert model_choice.seconds_left(0, 100) is None
    assert model_choice.seconds_left(0.01, 3) is None
    assert model_choice.seconds_left(0.01, 6) == pytest.approx(594)
    assert model_choice.seconds_left(0.5, 3) == 3


def test_times_are_measured_or_said_to_be_estimates() -> None:
    speeds = Speeds()
    assert speeds.of(LARGE, "simd", 2) is None
    assert model_choice.time_taken(None) == ""
    speeds.add(MINI, "simd", 2, 0.02)
    assert speeds.of(MINI, "simd", 2) == (pytest.approx(4.8), True)
    seconds, is_measured = speeds.of(LARGE, "simd", 2)
    assert not is_measured
    assert 8 < seconds < 40
    assert speeds.of(MINI, "simd", 4) is None
    assert speeds.of(UNKNOWN, "simd", 2) is None  # nothing is made up
    speeds.add(LARGE, "simd", 2, 0.07)
    assert model_choice.time_taken(speeds.of(LARGE, "simd", 2)) == "4 minutes take 17 s here"
    assert model_choice.time_taken((17, False)) == "4 minutes take an estimated 17 s here"


DEMUCS = Model("htdemucs", "HTDemucs", "", 8.8, 63_800_000, 84_400_000, architecture="htdemucs")
FINE = Model(
    "htdemucs_ft", "HTDemucs, fine-tuned", "", 9.0, 0, 337_000_000, architecture="htdemucs"
)


def test_what_one_architecture_takes_says_nothing_of_another() -> None:
    speeds = Speeds()
    speeds.add(MINI, "simd", 2, 0.02)
    assert not speeds.knows(DEMUCS, "simd", 2)
    assert speeds.of(DEMUCS, "simd", 2) is None
    speeds.add(DEMUCS, "simd", 2, 0.4, is_trial=True)
    assert speeds.of(DEMUCS, "simd", 2) == (pytest.approx(96), False)
    seconds, _ = speeds.of(FINE, "simd", 2)
    assert 300 < seconds < 450  # four networks
    assert speeds.of(MINI, "simd", 2) == (pytest.approx(4.8), True)


def test_workers_are_as_many_as_have_room_for_the_model() -> None:
    assert model_choice.need(DEMUCS) == pytest.approx(385e6, rel=0.01)  # measured
    room = [model_choice.most_workers(DEMUCS, memory) for memory in (0.5, 1, 2, 4, 8)]
    assert room == [0, 1, 2, 5, 10]
    assert model_choice.most_workers(FINE, 4) == 3
    assert model_choice.most_workers(LARGE, 4) == 4
    assert model_choice.best([MINI, LARGE, DEMUCS], 4) is DEMUCS
    assert model_choice.best([MINI, DEMUCS], 0.5) is MINI
    assert "more memory" in model_choice.about(DEMUCS, None, 0.5)


def test_workers_make_a_preview_if_they_have_room_for_the_small_model_beside_the_other() -> None:
    assert model_choice.can_preview(DEMUCS, 2, 4)
    assert model_choice.can_preview(DEMUCS, 8, 8)
    assert not model_choice.can_preview(DEMUCS, 1, 0.5)
    assert not model_choice.can_preview(DEMUCS, 5, 4)


def test_a_pace_is_guessed_where_nothing_was_measured() -> None:
    speeds = Speeds()
    assert 0.3 < speeds.pace(DEMUCS, "simd", 2) < 0.5
    assert 0.06 < speeds.pace(LARGE, "simd", 2) < 0.09
    assert 0.015 < speeds.pace(MINI, "simd", 2) < 0.03
    speeds.add(MINI, "simd", 2, 0.05)
    assert speeds.pace(MINI, "simd", 2) == pytest.approx(0.05)
    assert speeds.pace(LARGE, "simd", 2) > 0.1


measurements = st.tuples(
    st.sampled_from([MINI, LARGE]),
    st.sampled_from(["simd", "numpy"]),
    st.integers(1, 32),
    st.floats(1e-4, 1e4),
)


@given(st.lists(measurements))
def test_speeds_last(measured: list[tuple[Model, str, int, float]]) -> None:
    speeds = Speeds()
    for one in measured:
        speeds.add(*one)
    again = Speeds(speeds.text())
    assert again.found == speeds.found
    for model, engine, workers, _ in measured:
        assert again.of(model, engine, workers)[1]


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_speeds_that_are_damaged_are_none(text: str) -> None:
    speeds = Speeds(text)
    assert all(value > 0 for value in speeds.found.values())
    for key in speeds.found:
        _, engine, workers = (key + "  ").split(" ")[:3]
        model_choice.time_taken(speeds.of(MINI, engine, workers))


def test_facts_in_words() -> None:
    assert (
        model_choice.about(LARGE, (17.4, True), 4)
        == "very good · 6.3 dB · 43 MB · CC BY-NC-SA 4.0 · 4 minutes take 17 s here"
    )
    assert model_choice.about(MINI, None, 4) == "fair · 4.7 dB · 4.8 MB · CC-BY-SA-4.0"
    assert model_choice.about(UNKNOWN, None, 4) == "quality unknown"
    assert [model_choice.in_words(quality) for quality in (6, 5, 4, 3.9)] == [
        "very good",
        "good",
        "fair",
        "basic",
    ]
    assert model_choice.short(MINI.title) == "umx-mini"
    assert model_choice.coming_in_words(43_000_000, 12.2) == "43 MB, 12 s left"
    assert model_choice.coming_in_words(43_000_000, None) == "43 MB"
    assert model_choice.coming_in_words(0, 125) == "2 min 5 s left"
    assert model_choice.duration(0.1) == "1 s"
