"""The sound of videos, as ffmpeg writes them: the stems together are what was in the file."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pages import require
from playwright.sync_api import Page, expect
from songs import (
    DROP_ENTRY,
    RATE,
    Sound,
    card,
    compose,
    download,
    drop,
    expect_state,
    read,
    snr,
    wav,
)

from scripts.common.environment import ROOT

SONG = compose(3)
VIDEOS = {
    "clip.webm": ("-c:v", "libvpx", "-c:a", "libopus", "-b:a", "192k"),
    "vorbis.webm": ("-c:v", "libvpx", "-c:a", "libvorbis", "-q:a", "8"),
    "clip.mp4": ("-c:v", "libx264", "-c:a", "aac", "-b:a", "256k"),
    "lossless.mp4": ("-c:v", "libx264", "-c:a", "flac", "-strict", "-2"),
    "clip.mov": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"),
    "aac.mov": ("-c:v", "libx264", "-c:a", "aac", "-b:a", "256k"),
    "clip.mkv": ("-c:v", "libvpx", "-c:a", "libopus", "-b:a", "192k"),
}
"""ffmpeg's arguments by name."""


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require(shutil.which("ffmpeg"), "videos", "ffmpeg")
    folder = tmp_path_factory.mktemp("videos")
    (folder / "song.wav").write_bytes(wav(SONG))
    inputs = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=64x64:rate=10:duration=3",
        "-i",
        str(folder / "song.wav"),
    ]
    for name, how in VIDEOS.items():
        subprocess.run(
            ["ffmpeg", "-loglevel", "error", *inputs, *how, str(folder / name)], check=True
        )
    return folder


def likeness(heard: Sound, sound: Sound) -> float:
    """The best signal-to-noise ratio in dB, wherever within 50 ms a codec has the sound begin."""
    mono = heard.mean(axis=1)[: len(sound)]
    reference = sound.mean(axis=1)[: len(mono)]
    lags = np.fft.irfft(
        np.fft.rfft(mono, 2 * len(mono)) * np.fft.rfft(reference, 2 * len(mono)).conj()
    )
    lag = int(np.argmax(np.concatenate([lags[-2205:], lags[:2205]]))) - 2205
    shifted = heard[max(lag, 0) :]
    expected = sound[max(-lag, 0) :]
    length = min(len(shifted), len(expected)) - 2205
    return snr(shifted[2205:length], expected[2205:length])


@pytest.mark.parametrize("name", VIDEOS)
def test_the_sound_of_a_video_is_taken(page: Page, folder: Path, tmp_path: Path, name: str) -> None:
    drop(page, (name, (folder / name).read_bytes()))
    expect_state(page, "done")
    song = card(page, Path(name).stem)
    stems = ("vocals", "karaoke")
    heard = [read(download(page, song.locator(f"a[data-stem={stem}]"), tmp_path)) for stem in stems]
    assert abs(len(heard[0]) - len(SONG)) < 0.1 * RATE
    assert likeness(sum(heard), SONG) > (60 if name in ("clip.mov", "lossless.mp4") else 15)


def test_a_large_video_is_read_piece_by_piece(
    visit: Callable, folder: Path, tmp_path: Path
) -> None:
    """Which the browser's own decoder of whole files is made to refuse here."""
    text = (ROOT / "app" / "page" / "files" / "decode.py").read_text()
    small = text.replace("\nLARGE = 100000000\n", "\nLARGE = 1000\n")
    small = small.replace("await buffer(", "await no_buffer(")
    assert small.count("LARGE = 1000\n") == small.count("no_buffer") == 1

    def prepare(page: Page) -> None:
        page.route("**/app/page/files/decode.py", lambda route: route.fulfill(body=small))

    page, _ = visit("?workers=1", prepare)
    for name in ("clip.mov", "clip.mp4"):
        drop(page, (name, (folder / name).read_bytes()))
        expect_state(page, "done")
        song = page.locator(".card").first
        sound = read(download(page, song.locator("a[data-stem=vocals]"), tmp_path))
        sound = sound + read(download(page, song.locator("a[data-stem=karaoke]"), tmp_path))
        assert likeness(sound, SONG) > (60 if name == "clip.mov" else 15)


def test_videos_in_a_folder_are_taken_whatever_type_the_browser_says(
    visit: Callable, folder: Path
) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script(f"({DROP_ENTRY})()"))
    expect_state(page, "ready")
    data = (folder / "clip.webm").read_bytes()
    page.evaluate(
        """(bytes) => {
          const content = [new Uint8Array(bytes)];
          const file = (name) => ({ isFile: true, name, file: (done) => done(new File(content, name)) });
          const entries = ["one.MOV", "two.webm", "notes.txt"].map(file);
          const reader = { readEntries: (done) => done(entries.splice(0)) };
          dropEntry({ isDirectory: true, name: "videos", createReader: () => reader });
        }""",
        list(data),
    )
    expect(page.locator(".title")).to_have_text(["one", "two"])
