"""Files that are hard on a page: made here, from one short sound."""

import base64
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
    """How long the stems are at 44.1 kHz, exactly if the file is at that rate; None where that is not known."""
    slack: int = 0
    """By how many samples they may be longer or shorter: browsers change the rate in blocks of their own."""
    refused: bool = False
    """Whether only a sentence will do."""
    played: bool = False
    """Whether only stems will do. Where neither is said, one is as good as the other."""


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
    for container in ("WAV", "WAVEX"):
        for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW", "ALAW"):
            content = encoded(SOUND, container, subtype)
            yield Case(f"{container} {subtype}.wav", content, len(SOUND))
        yield Case(f"{container} DOUBLE.wav", encoded(SOUND, container, "DOUBLE"))
    for rate in (8000, 11025, 16000, 22050, 32000, 48000, 88200, 96000, 176400, 192000):
        length = len(SOUND) * RATE / rate
        yield Case(f"{rate} Hz.wav", encoded(SOUND, "WAV", "PCM_16", rate), length, slack=2)
    for channels in range(1, 9):
        sound = np.repeat(SOUND[:, :1], channels, axis=1) * np.linspace(1, 0.3, channels)
        yield Case(f"{channels} channels.wav", encoded(sound, "WAV", "PCM_16"), len(SOUND))
        yield Case(f"{channels} channels.flac", encoded(sound, "FLAC", "PCM_24"), len(SOUND))
    for container, subtype, ending, samples in (
        ("WAV", "PCM_16", "wav", len(SOUND)),
        ("FLAC", "PCM_16", "flac", len(SOUND)),
        ("OGG", "VORBIS", "ogg", None),
        ("OGG", "OPUS", "opus", None),
        ("MP3", "MPEG_LAYER_III", "mp3", None),
        ("AIFF", "PCM_16", "aiff", None),
        ("CAF", "PCM_16", "caf", None),
        ("AU", "PCM_16", "au", None),
        ("RF64", "PCM_16", "rf64.wav", None),
        ("W64", "PCM_16", "w64", None),
    ):
        whole = encoded(SOUND, container, subtype, 48000 if subtype == "OPUS" else RATE)
        yield Case(f"whole.{ending}", whole, samples)
        yield from truncated(ending, whole)
    whole = encoded(SOUND, "WAV", "PCM_16")
    for end in (1, 4, 12, 20, 36, 43, 44, 45, 47):
        yield Case(f"first {end}.wav", whole[:end])
    lying = whole[:40] + struct.pack("<I", 0xFFFFFFF0) + whole[44:]
    yield Case("a length that lies.wav", lying)
    flac = encoded(SOUND, "FLAC", "PCM_16")
    yield Case("a FLAC by another name.mp3", flac, len(SOUND))
    cut = flac[: flac.index(b"\xff\xf8") + 10]
    yield Case("first frame cut.flac", cut, refused=True)
    no_length = bytes([cut[21] & 0xF0]) + bytes(4)
    yield Case("first frame cut, no length.flac", cut[:21] + no_length + cut[26:], refused=True)
    yield Case("a text.wav", b"Never gonna give you up\n" * 100, refused=True)
    yield Case("a page.mp3", b"<!doctype html><script>alert(1)</script>", refused=True)
    yield Case("zeros.wav", bytes(100_000), refused=True)
    noise = np.random.default_rng(0).integers(0, 256, 50_000, np.uint8).tobytes()
    yield Case("noise.mp3", noise)


def truncated(ending: str, whole: bytes) -> Iterator[Case]:
    """A file's beginnings: some within its header, some anywhere, all but the last byte."""
    rng = np.random.default_rng(len(whole))
    ends = [*rng.integers(1, 200, 3), *rng.integers(200, len(whole), 5), len(whole) - 1]
    for end in ends:
        yield Case(f"first {end} bytes.{ending}", whole[:end])


FILMS = """async () => {
  const { Output, BufferTarget, CanvasSource, AudioBufferSource, EncodedAudioPacketSource, EncodedPacket, ...more } =
    await import(new URL("app/vendor/mediabunny/mediabunny.min.mjs", document.baseURI));
  const write = async (format, sources, fill) => {
    const output = new Output({ format: new more[format](), target: new BufferTarget() });
    for (const source of sources) output[source instanceof CanvasSource ? "addVideoTrack" : "addAudioTrack"](source);
    await output.start();
    await fill();
    await output.finalize();
    return btoa(Array.from(new Uint8Array(output.target.buffer), (byte) => String.fromCharCode(byte)).join(""));
  };
  const film = async (format, video, audio) => {
    const canvas = new OffscreenCanvas(64, 64);
    canvas.getContext("2d").fillRect(0, 0, 32, 32);
    const pictures = new CanvasSource(canvas, { codec: video, bitrate: 100_000 });
    const noise = new AudioBuffer({ length: 24_000, numberOfChannels: 2, sampleRate: 48_000 });
    noise.getChannelData(0).forEach((_, index, samples) => { samples[index] = Math.sin(index / 20) / 3; });
    const sound = audio && new AudioBufferSource({ codec: audio, bitrate: 128_000 });
    return write(format, sound ? [pictures, sound] : [pictures], async () => {
      for (let index = 0; index < 5; index++) await pictures.add(index / 10, 0.1);
      await sound?.add(noise);
    });
  };
  // No browser here encodes AAC: frames of silence, as https://github.com/video-dev/hls.js has them.
  const silence = async () => {
    const frame = new Uint8Array([0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80]);
    const source = new EncodedAudioPacketSource("aac");
    const decoderConfig = {
      codec: "mp4a.40.2", numberOfChannels: 2, sampleRate: 44_100, description: new Uint8Array([0x12, 0x10]),
    };
    return write("Mp4OutputFormat", [source], async () => {
      for (let index = 0; index < 20; index++) {
        await source.add(new EncodedPacket(frame, "key", index * 1024 / 44_100, 1024 / 44_100), { decoderConfig });
      }
    });
  };
  return {
    "film.webm": await film("WebMOutputFormat", "vp8", "opus"),
    "film.mp4": await film("Mp4OutputFormat", "vp9", "opus"),
    "silent film.webm": await film("WebMOutputFormat", "vp8"),
    "silent film.mp4": await film("Mp4OutputFormat", "vp9"),
    "sound.m4a": await silence(),
  };
}"""
"""Makes what only a browser can write: {name: bytes as base64}."""


def films(made: dict[str, str]) -> Iterator[Case]:
    """Cases of the files that FILMS makes. made: as it returns them."""
    for name, text in made.items():
        content, silent = base64.b64decode(text), name.startswith("silent")
        yield Case(name, content, refused=silent, played=not silent)
        if not silent:
            yield from truncated(name, content)
        if name == "film.webm":
            # All but the last byte of how long the first cluster is.
            yield Case(
                "no cluster.webm", content[: content.index(b"\x1f\x43\xb6\x75") + 8], refused=True
            )


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
