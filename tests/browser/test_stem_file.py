"""Files for DJ programs: offered where the browser encodes AAC, and what is in them.

Chromium as Linux distributes it encodes no AAC, so ffmpeg stands in for its encoder.
"""

import io
import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import require, stems
from playwright.sync_api import Page, expect
from songs import (
    COVER,
    RATE,
    Sound,
    card,
    compose,
    download,
    drop,
    expect_state,
    mp3_with_id3,
    options,
    read,
    snr,
    wav,
)

DELAY = 1024
"""Samples before the sound that AAC encoders put in front."""
FAKE_ENCODER = """(() => {
  const Real = window.AudioEncoder;
  const text = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  window.AudioEncoder = class extends EventTarget {
    static async isConfigSupported(config) {
      return config.codec.startsWith("mp4a") ? { supported: true, config } : Real.isConfigSupported(config);
    }
    encodeQueueSize = 0;
    state = "unconfigured";
    samples = [];
    constructor({ output }) { super(); this.output = output; }
    configure(config) { this.state = "configured"; }
    encode(data) {
      const some = new Int16Array(2 * data.numberOfFrames);
      data.copyTo(some, { planeIndex: 0, format: "s16" });
      this.samples.push(text(new Uint8Array(some.buffer)));
    }
    async flush() {
      const frames = await window.encodeAac(this.samples);
      frames.forEach((frame, index) => {
        const [timestamp, duration] = [index, 1].map((count) => Math.round((count * 1024e6) / 44100));
        const description = new Uint8Array([0x12, 0x10]); // AAC-LC, 44.1 kHz, stereo
        const decoderConfig = { codec: "mp4a.40.2", sampleRate: 44100, numberOfChannels: 2, description };
        this.output(new EncodedAudioChunk({ type: "key", timestamp, duration, data: bytes(frame) }), { decoderConfig });
      });
      this.samples = [];
    }
    close() { this.state = "closed"; }
  };
})()"""


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


def encode_aac(parts: list[str]) -> list[str]:
    """Raw AAC frames of 16-bit samples; both in base64."""
    command = [
        "ffmpeg",
        "-loglevel",
        "error",
        "-f",
        "s16le",
        "-ar",
        str(RATE),
        "-ac",
        "2",
        "-i",
        "-",
    ]
    command += ["-c:a", "aac", "-b:a", "256k", "-f", "adts", "-"]
    samples = b"".join(map(b64decode, parts))
    data = subprocess.run(command, input=samples, capture_output=True, check=True).stdout
    frames, place = [], 0
    while place < len(data):
        size = (data[place + 3] & 3) << 11 | data[place + 4] << 3 | data[place + 5] >> 5
        head = 7 if data[place + 1] & 1 else 9
        frames.append(b64encode(data[place + head : place + size]).decode())
        place += size
    return frames


def with_encoder(page: Page) -> None:
    require(shutil.which("ffmpeg") and shutil.which("ffprobe"), "AAC", "ffmpeg")
    page.expose_function("encodeAac", encode_aac)
    page.add_init_script(FAKE_ENCODER)


def probed(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )
    return found


def track(path: Path, number: int) -> Sound:
    command = ["ffmpeg", "-loglevel", "error", "-i", str(path), "-map", f"0:a:{number}"]
    command += ["-c:a", "pcm_f32le", "-f", "wav", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return read(io.BytesIO(data))


def atom(path: Path) -> Any:
    """What the atom says, which lies in moov/udta/stem."""
    data = path.read_bytes()
    for name in (b"moov", b"udta", b"stem"):
        place = 0
        while data[place + 4 : place + 8] != name:
            size = int.from_bytes(data[place : place + 4], "big")
            place += int.from_bytes(data[place + 8 : place + 16], "big") if size == 1 else size
        data = data[place + 8 : place + int.from_bytes(data[place : place + 4], "big")]
    return json.loads(data)


@pytest.mark.parametrize("form", ["16", "float"])
def test_a_stem_file_has_the_mix_and_four_stems(visit: Callable, tmp_path: Path, form: str) -> None:
    page, _ = visit(f"?workers=1&format={form}", with_encoder)
    said = {"TIT2": "Söng", "TPE1": "Björk 東京"}
    drop(page, ("song.mp3", mp3_with_id3(compose(12), COVER, **said)))
    expect_state(page, "done")
    song = card(page, "Söng")
    expected = {name: read(io.BytesIO(data)) for name, data in stems(song).items()}
    path = download(page, song.get_by_role("button", name="stem.mp4"), tmp_path)
    assert path.name == "Björk 東京 - Söng.stem.mp4"
    found = probed(path)
    streams = found["streams"]
    sounds = [stream for stream in streams if stream["codec_type"] == "audio"]
    assert [stream["codec_name"] for stream in sounds] == ["aac"] * 5
    # Other players play the mix alone.
    assert [stream["disposition"]["default"] for stream in sounds] == [1, 0, 0, 0, 0]
    assert (found["format"]["tags"]["title"], found["format"]["tags"]["artist"]) == (
        "Söng",
        "Björk 東京",
    )
    assert [stem["name"] for stem in atom(path)["stems"]] == ["Drums", "Bass", "Melody", "Vocals"]
    four = [expected[name] for name in ("drums", "bass", "melody", "vocals")]
    for number, sound in enumerate([sum(four), *four]):
        heard = track(path, number)[DELAY:]
        length = min(len(heard), len(sound))
        assert length > len(sound) - 2048
        assert snr(heard[:length], sound[:length]) > 20
    expect(song.locator(".status")).to_contain_text("Ready")


def test_it_is_offered_of_the_usual_four_stems_alone(visit: Callable) -> None:
    page, _ = visit("?workers=1", with_encoder)
    options(page).get_by_label("Drums").uncheck()
    drop(page, ("three.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(card(page, "three").locator(".mix")).to_be_enabled()
    expect(card(page, "three").locator(".stem-file")).to_be_hidden()
    options(page).get_by_label("Drums").check()
    drop(page, ("four.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(card(page, "four").locator(".stem-file")).to_be_visible()


def test_it_is_not_offered_where_the_browser_has_no_encoder(visit: Callable) -> None:
    def without(page: Page) -> None:
        page.add_init_script("delete window.AudioEncoder")

    page, _ = visit("?workers=1", without)
    drop(page, ("song.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(card(page, "song").locator(".mix")).to_be_visible()
    expect(card(page, "song").locator(".stem-file")).to_be_hidden()
