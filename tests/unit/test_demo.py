"""The demo song, listened to: what the page gives of it is what a visitor came for.

The song's true stems are not in the repository. The figures here were measured on them: vocals are 4.8 dB below the
mixture, and 3.3 dB from second 16 to 19, where no drum is played. From 20 to 23 nobody sings. In the last second drums
are almost alone. umx-mini's stems are 6.1 dB (vocals), 5.4 dB (drums) and 5.6 dB (melody) above what is wrong in them.
"""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import umx

DEMO = Path(__file__).resolve().parents[2] / "app" / "page" / "songs" / "demo.mp3"
SUNG, UNSUNG, DRUMMED = slice(16, 19), slice(20, 23), slice(23, 24)
"""Seconds."""

Sound = NDArray[np.float32]


@pytest.fixture(scope="module")
def mixture() -> Sound:
    sound, rate = soundfile.read(DEMO, dtype="float32")
    assert rate == 44100
    return sound.T


@pytest.fixture(scope="module")
def stems(mixture: Sound) -> dict[str, Sound]:
    return umx.separate(mixture, 44100)


def level(sound: Sound, seconds: slice = slice(None)) -> float:
    """In dB of full scale."""
    start, stop, _ = seconds.indices(24)
    part = sound[:, 44100 * start : 44100 * stop]
    return float(10 * np.log10(np.mean(part.astype(float) ** 2)))


def likeness(one: Sound, other: Sound) -> float:
    """The correlation of two sounds, 0 for those that have nothing in common."""
    return float(np.sum(one * other) / np.sqrt(np.sum(one**2) * np.sum(other**2)))


def test_a_voice_comes_out(mixture: Sound, stems: dict[str, Sound]) -> None:
    vocals = stems["vocals"]
    assert level(vocals) - level(mixture) == pytest.approx(-4.8, abs=1.5)
    assert level(vocals, SUNG) - level(mixture, SUNG) == pytest.approx(-3.3, abs=2)
    assert level(vocals, UNSUNG) - level(mixture, UNSUNG) < -8


def test_karaoke_is_without_it(mixture: Sound, stems: dict[str, Sound]) -> None:
    karaoke = stems["karaoke"]
    assert level(karaoke, SUNG) - level(mixture, SUNG) < -6
    assert level(karaoke, UNSUNG) - level(mixture, UNSUNG) == pytest.approx(0, abs=2.5)


def test_drums_are_no_voice(mixture: Sound, stems: dict[str, Sound]) -> None:
    drums, vocals = stems["drums"], stems["vocals"]
    assert level(drums, DRUMMED) - level(mixture, DRUMMED) > -6
    assert level(drums, SUNG) - level(mixture, SUNG) < -20
    assert level(vocals, DRUMMED) - level(mixture, DRUMMED) < -15
    assert abs(likeness(drums, vocals)) < 0.05


def test_it_is_small_enough_for_the_site() -> None:
    assert DEMO.stat().st_size < 600_000


def test_its_tempo(stems: dict[str, Sound]) -> None:
    """132 beats a minute, as its artist states; its excerpt has few drums, and may be counted at half of that."""
    analysis = pytest.importorskip("umx.music.analysis")
    bpm = analysis.analyse(stems)["bpm"]
    assert min(abs(bpm / 132 - 1), abs(bpm / 66 - 1)) < 0.01
