import numpy as np
import pytest

from scripts.train import compose

SEEDS = range(30)
MANNERS = ("pad", "block", "strum", "stab", "arpeggio", "chug", "power", "riff", "lead")


def song(seed: int) -> tuple[np.random.Generator, compose.Song]:
    r = np.random.default_rng(seed)
    return r, compose.compose(r)


@pytest.mark.parametrize("seed", SEEDS)
def test_song_is_whole(seed: int) -> None:
    _, plan = song(seed)
    assert 40 <= plan.seconds < 80
    assert len(plan.chords) == plan.bars
    assert set(plan.sections) <= set(compose.SECTIONS)


def test_seed_decides_everything() -> None:
    parts = []
    for _ in range(2):
        r, plan = song(7)
        parts.append(
            (plan, compose.drums(r, plan), compose.bass(r, plan), compose.melody(r, plan, 62))
        )
    assert parts[0] == parts[1]
    assert song(8)[1] != parts[0][0]


@pytest.mark.parametrize("seed", SEEDS)
def test_notes_lie_within_the_song_and_the_instruments(seed: int) -> None:
    r, plan = song(seed)
    manner = MANNERS[seed % len(MANNERS)]
    notes = [
        *compose.bass(r, plan),
        *compose.accompaniment(r, plan, manner, 60),
        *(note for phrase in compose.melody(r, plan, 62) for note in phrase),
    ]
    assert notes
    for note in notes:
        assert 0 <= note.start < note.end <= plan.seconds + 2
        assert 20 <= note.pitch <= 108
        assert 1 <= note.velocity <= 127
    for hit in compose.drums(r, plan):
        assert 0 <= hit.start <= plan.seconds
        assert 0.15 <= hit.strength <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_melodies_keep_to_the_scale(seed: int) -> None:
    r, plan = song(seed)
    tones = {(plan.key + step) % 12 for step in compose.MODES[plan.mode]}
    sung = [note.pitch for phrase in compose.melody(r, plan, 62) for note in phrase]
    assert {pitch % 12 for pitch in sung} <= tones
    assert {plan.in_scale(pitch) % 12 for pitch in range(48, 72)} == tones


def test_pitches_of_a_known_key() -> None:
    plan = compose.Song("pop", 0.125, 0.0, 60, "major", ["verse"], [0])
    assert [plan.pitch(degree) for degree in (0, 2, 4, 7, -1)] == [60, 64, 67, 72, 59]
    assert plan.near(4, 40) == 43
    assert plan.in_scale(61) == 60


def test_swing_delays_every_second_sixteenth() -> None:
    plan = compose.Song("pop", 0.125, 0.2, 60, "major", ["verse"], [0])
    assert plan.time(0, 0) == 0
    assert plan.time(0, 1) == pytest.approx(0.15)
    assert plan.time(1, 2) == pytest.approx(18 * 0.125)


def test_unknown_manner_is_named() -> None:
    r, plan = song(0)
    while len(set(plan.sections)) < 3:
        r, plan = song(int(r.integers(1000)))
    with pytest.raises(ValueError, match="'yodel'"):
        for _ in range(10):
            compose.accompaniment(r, plan, "yodel", 60)


def test_every_line_of_a_groove_is_a_bar() -> None:
    for groove in compose.GROOVES.values():
        for line in groove.values():
            assert len(line) == 16
            assert set(line) <= set(compose.CHANCE)
