"""A song's way from its file to those of its stems takes as much memory for hours as for minutes."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from scripts.common.environment import ROOT
from tests.music import band
from umx.desktop import song
from umx.desktop.audio import find_form
from umx.desktop.separating import Shape, separate_song
from umx.separator import Separator

TITLES = ("vocals", "drums", "bass", "melody", "karaoke")


@pytest.mark.parametrize(("form", "rate"), [("wav", 44100), ("flac", 48000), ("opus", 48000)])
def test_long_songs_take_no_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, rate: int
) -> None:
    monkeypatch.setattr(song, "KEPT", 0)
    separator = Separator(ROOT / "weights" / "umx-mini", threads=1)
    separator.cutting = replace(separator.cutting, segment=2 * 44100, batch_size=1)
    shape = Shape(find_form(form, None), own_rate=True)
    some = sum(band(4).values()).T

    def peak(times: int) -> int:
        path = tmp_path / f"{times}.wav"
        soundfile.write(path, np.tile(some, (times, 1)), rate)
        paths = {title: tmp_path / f"{title}.{form}" for title in TITLES}
        tracemalloc.start()
        try:
            separate_song(path, separator, paths, shape, lambda fraction: None)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # what is made once
    short, long = peak(2), peak(8)
    # Of a song of 32 s, 8 bytes a sample would be 11 MB.
    assert long < short + 2_000_000
