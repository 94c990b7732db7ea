"""Music for hours, and what counts as left over."""

import wave
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import soak


@pytest.mark.parametrize("seconds", [3, 130])
def test_songs_are_as_long_as_they_are_said_to_be(seconds: int, tmp_path: Path) -> None:
    with wave.open(str(soak.song(tmp_path, seconds))) as file:
        assert file.getnframes() == seconds * file.getframerate()


def test_what_is_not_back_at_its_level_is_named() -> None:
    before = soak.Level(900, [150, 150], workers=2, blob_urls=0, elements=1000, listeners=50)
    assert soak.left_over(before, before) == []
    assert soak.left_over(before, replace(before, memory_mb=950, elements=900)) == []
    after = soak.Level(1200, [150, 400], workers=3, blob_urls=5, elements=1007, listeners=51)
    assert soak.left_over(before, after) == [
        *("300 MB", "250 MB of workers' heaps"),
        *("1 workers", "5 blob urls", "7 elements", "1 listeners"),
    ]
