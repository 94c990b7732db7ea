"""A real song of several tracks, mixed down: Debian's fretsonfire-songs-sectoid has some under the MIT licence."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pages import require
from playwright.sync_api import Page
from songs import RATE, Sound, download, drop, expect_state, options, read, snr

import umx

SONG = Path("/usr/share/games/fretsonfire/data/songs/sectoid/Metal madness")
SECONDS = 20
"""Length of the part that is used. The page cuts it as the package does, and longer songs as it has workers."""
STEMS = ("vocals", "drums", "bass", "melody", "karaoke")


@pytest.fixture(scope="module")
def song() -> Sound:
    """(samples, 2), from the middle of the song."""
    require(SONG.exists(), "with a real song", "fretsonfire-songs-sectoid")
    tracks = [read(SONG / f"{name}.ogg") for name in ("guitar", "song")]
    start = min(len(track) for track in tracks) // 2
    mixture = sum(track[start : start + SECONDS * RATE] for track in tracks)
    return np.float32(0.9) * mixture / np.abs(mixture).max()


@pytest.mark.engine
def test_a_real_song_is_what_the_package_gives(page: Page, song: Sound, tmp_path: Path) -> None:
    options(page).locator("#format").select_option("float")
    file = io.BytesIO()
    soundfile.write(file, song, RATE, "PCM_24", format="FLAC")
    drop(page, ("Metal madness.flac", file.getvalue()))
    options(page).locator("#format").select_option("16")
    expect_state(page, "done")
    file.seek(0)
    mixture = soundfile.read(file, dtype="float32")[0]
    native = umx.separate(mixture.T, RATE)
    native["melody"] = native.pop("other")
    for stem, link in zip(STEMS, page.locator("a[download]").all(), strict=True):
        path = download(page, link, tmp_path)
        assert path.name == f"Metal madness - {stem}.wav"
        assert soundfile.info(path).subtype == "FLOAT"
        assert snr(read(path), native[stem].T) >= 60, stem
