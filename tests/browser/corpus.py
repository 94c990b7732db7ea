"""Files that are hard on a page: made here, from one short sound."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile
from songs import RATE, Sound, compose

SOUND = compose(0.5)


@dataclass(frozen=True)
class Case:
    """A file and what should come of it."""

    name: str
    content: bytes
    samples: float | None = None
    """How long the stems are at 44.1 kHz; None where a sentence is as good as stems."""
    refused: bool = False
    """Whether only a sentence will do."""


def encoded(sound: Sound, container: str, subtype: str, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate, subtype, format=container)
    return file.getvalue()


def float_wav(sound: Sound) -> bytes:
    """By hand: whatever the values are, they stay."""
    samples = np.ascontiguousarray(sound, "<f4").tobytes()
    head = struct.pack("<HHIIHH", 3, 2, RATE, 8 * RATE, 8, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(samples))
    return b"RIFF" + struct.pack("<I", len(body) + len(samples)) + body + samples


def signals() -> Iterator[Case]:
    """What is in the samples."""
    square = np.sign(np.sin(2 * np.pi * 441 * np.arange(RATE // 2) / RATE + 0.01))
    odd = SOUND.copy()
    odd[1000], odd[2000], odd[3000] = np.nan, np.inf, -np.inf
    yield Case("no samples.wav", encoded(SOUND[:0], "WAV", "PCM_16"), refused=True)
    yield Case("empty.wav", b"", refused=True)
    yield Case("one sample.wav", encoded(SOUND[:1], "WAV", "PCM_16"), 1)
    yield Case("two samples.wav", encoded(SOUND[:2], "WAV", "PCM_16"), 2)
    for name, sound in (
        ("silence", 0 * SOUND),
        ("direct current", 0 * SOUND + 0.5),
        ("square", np.stack([square, -square], -1)),
        ("not numbers", odd),
        ("too loud", 100 * SOUND),
        ("far too loud", np.float32(1e30) * SOUND),
        ("tiny", np.float32(1e-30) * SOUND),
    ):
        yield Case(f"{name}.wav", float_wav(sound), len(sound))


def formats() -> Iterator[Case]:
    """How they are written."""
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"):
        yield Case(f"{subtype}.wav", encoded(SOUND, "WAV", subtype), len(SOUND))
    yield Case("DOUBLE.wav", encoded(SOUND, "WAV", "DOUBLE"))
    for rate in (8000, 11025, 16000, 22050, 32000, 48000, 88200, 96000, 176400, 192000):
        length = len(SOUND) * RATE / rate
        yield Case(f"{rate} Hz.wav", encoded(SOUND, "WAV", "PCM_16", rate), length)
    for channels in range(1, 9):
        sound = np.repeat(SOUND[:, :1], channels, axis=1) * np.linspace(1, 0.3, channels)
        yield Case(f"{channels} channels.wav", encoded(sound, "WAV", "PCM_16"), len(SOUND))
    for container, subtype, ending in (
        ("FLAC", "PCM_16", "flac"),
        ("FLAC", "PCM_24", "24.flac"),
        ("OGG", "VORBIS", "ogg"),
        ("OGG", "OPUS", "opus"),
        ("MP3", "MPEG_LAYER_III", "mp3"),
        ("AIFF", "PCM_16", "aiff"),
        ("CAF", "PCM_16", "caf"),
        ("AU", "PCM_16", "au"),
    ):
        rate = 48000 if subtype == "OPUS" else RATE
        whole = encoded(SOUND, container, subtype, rate)
        yield Case(f"whole.{ending}", whole)
        for part in (0.02, 0.3, 0.7, 0.99):
            yield Case(f"{part}.{ending}", whole[: int(part * len(whole))])
    whole = encoded(SOUND, "WAV", "PCM_16")
    for end in (1, 4, 12, 20, 36, 43, 44, 45, 47, 1000, len(whole) - 1):
        yield Case(f"first {end}.wav", whole[:end])
    lying = whole[:40] + struct.pack("<I", 0xFFFFFFF0) + whole[44:]
    yield Case("a length that lies.wav", lying)
    yield Case("a FLAC by another name.mp3", encoded(SOUND, "FLAC", "PCM_16"), len(SOUND))
    yield Case("a text.wav", b"Never gonna give you up\n" * 100, refused=True)
    yield Case("a page.mp3", b"<!doctype html><script>alert(1)</script>", refused=True)
    yield Case("zeros.wav", bytes(100_000), refused=True)
    noise = np.random.default_rng(0).integers(0, 256, 50_000, np.uint8).tobytes()
    yield Case("noise.mp3", noise)


NAMES = (
    'it\'s "quoted".wav',
    "a/b\\c.wav",
    "..",
    ".wav",
    "no ending",
    "emoji 🥁🎸.wav",
    "right to left \u202e\u200f.wav",
    "עברית.wav",
    "a" * 300 + ".wav",
    "<script>alert(1)</script>.wav",
    "<img src=x onerror=alert(1)>.wav",
    "&amp; %41 ?query #hash.wav",
    " spaces .wav",
    "line\nbreak.wav",
    "CON.wav",
)
