"""What stems are made of, and that they are what their names say: by their samples."""

from itertools import combinations

import numpy as np
import pytest

import umx
from tests.listening import snr
from tests.music import RATE, band
from umx.stems import RESERVED, named, targets_for, titles_of

TARGETS = ("vocals", "drums", "bass", "other")


@pytest.fixture(scope="module")
def mixture() -> np.ndarray:
    return np.sum(list(band(6).values()), axis=0)


@pytest.fixture(scope="module")
def stems(mixture: np.ndarray) -> dict[str, np.ndarray]:
    return umx.separate(mixture, RATE)


def test_targets_that_stems_need() -> None:
    assert targets_for(["karaoke"], TARGETS) == ["vocals"]
    assert targets_for(["melody", "vocals"], TARGETS) == ["vocals", "other"]
    assert targets_for(["other"], TARGETS) == ["other"]
    with pytest.raises(ValueError, match=r"no stem 'karaoke'; choose from bass, melody\."):
        targets_for(["karaoke"], ("bass", "other"))


def test_names_that_people_know() -> None:
    assert titles_of(TARGETS) == ["vocals", "drums", "bass", "melody", "karaoke"]
    assert titles_of(("drums", "bass")) == ["drums", "bass"]
    assert {"karaoke", "residual", "melody", "rest"} == RESERVED


def test_karaoke_is_all_but_the_vocals() -> None:
    estimates = 2.0 ** np.arange(4)[:, np.newaxis] * np.ones(3)
    whole = named(estimates, TARGETS, TARGETS)
    assert whole["karaoke"].tolist() == [14.0] * 3
    alone = named(estimates[:2], ("vocals", "residual"), TARGETS)
    assert alone["karaoke"].tolist() == [2.0] * 3
    others = named(estimates, ("drums", "bass", "other", "residual"), TARGETS)
    assert others["karaoke"].tolist() == [7.0] * 3
    assert "karaoke" not in named(estimates[:2], ("vocals", "drums"), TARGETS)
    assert "karaoke" not in named(estimates[:2], ("drums", "residual"), TARGETS)


def test_stems_sum_to_the_mixture(mixture: np.ndarray, stems: dict[str, np.ndarray]) -> None:
    assert snr(np.sum([stems[target] for target in TARGETS], axis=0), mixture) > 80
    assert snr(stems["vocals"] + stems["karaoke"], mixture) > 80


def test_stems_are_what_their_names_say(stems: dict[str, np.ndarray]) -> None:
    """Of every part of the song its own stem has most, and every stem has most of its own part."""
    parts = np.stack([part.ravel() for part in band(6).values()], axis=1)
    found = np.stack([stems[target].ravel() for target in TARGETS], axis=1)
    shares = np.linalg.lstsq(parts, found)[0]  # (parts, stems)
    assert shares.argmax(axis=0).tolist() == shares.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert shares.diagonal().min() > 0.5


CHOICES = [choice for count in (1, 2, 3) for choice in combinations(TARGETS, count)]


@pytest.mark.parametrize("choice", CHOICES, ids="+".join)
def test_a_choice_gives_the_same_as_all(
    mixture: np.ndarray, stems: dict[str, np.ndarray], choice: tuple[str, ...]
) -> None:
    some = umx.separate(mixture, RATE, targets=choice, residual=True)
    for name in choice:
        assert snr(some[name], stems[name]) > 80
    left = np.sum([stems[target] for target in TARGETS if target not in choice], axis=0)
    assert snr(some["residual"], left) > 80
    if "vocals" in choice or len(choice) == 3:
        assert snr(some["karaoke"], stems["karaoke"]) > 80


@pytest.mark.parametrize("rate", [22050, 96000])
def test_a_choice_gives_the_same_at_other_rates(rate: int) -> None:
    noise = 0.1 * np.random.default_rng(4).standard_normal((2, rate)).astype(np.float32)
    every = umx.separate(noise, rate)
    assert snr(np.sum([every[target] for target in TARGETS], axis=0), noise) > 80
    some = umx.separate(noise, rate, targets=["drums"])
    assert set(some) == {"drums"}
    assert snr(some["drums"], every["drums"]) > 20


@pytest.mark.parametrize("decibels", [-60, -40, -21, 12])
def test_stems_are_the_same_at_every_level(
    mixture: np.ndarray, stems: dict[str, np.ndarray], decibels: float
) -> None:
    factor = np.float32(10 ** (decibels / 20))
    for name, stem in umx.separate(factor * mixture, RATE).items():
        assert snr(stem / factor, stems[name]) > 40


def decaying() -> np.ndarray:
    time = np.arange(3 * RATE) / RATE
    return np.repeat(0.5 * np.sin(2 * np.pi * 110 * time) * np.exp(-4 * time), 2).reshape(-1, 2).T


def noise(decibels: float) -> np.ndarray:
    white = np.random.default_rng(1).standard_normal((2, 3 * RATE))
    return 10 ** (decibels / 20) * white


def click() -> np.ndarray:
    out = np.zeros((2, 3 * RATE))
    out[:, RATE] = 0.5
    return out


@pytest.mark.parametrize(
    "sound",
    [decaying(), noise(-80), noise(-50), noise(0), click(), decaying() * [[1], [0]]],
    ids=["tone", "faint noise", "quiet noise", "loud noise", "click", "one side"],
)
def test_stems_of_any_sound_sum_to_it(sound: np.ndarray) -> None:
    stems = umx.separate(sound, RATE)
    assert snr(np.sum([stems[target] for target in TARGETS], axis=0), sound) > 80
    # As loud as the song, too: faint noise came back 23 dB too quiet.
    loudest = max(np.linalg.norm(stems[target]) for target in TARGETS)
    assert loudest > 0.2 * np.linalg.norm(sound)
