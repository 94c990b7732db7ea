"""Songs that the tests make, and what a visitor does with them."""

import io
import struct
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import numpy as np
import soundfile
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, expect

RATE = 44100
PATIENCE = 120_000
"""Milliseconds in which any of it must be done, on a busy machine too."""

FOLDER = TemporaryDirectory()

Sound = NDArray[np.float32]

FORMANTS = np.array([[1, 700, 200], [0.6, 1100, 250], [0.3, 2500, 350], [0.2, 3400, 400]])
"""The formants of "ah": level, frequency in Hz, width in Hz."""


def loudness(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level of a sung partial at frequencies in Hz."""
    level, middle, width = FORMANTS.T[..., np.newaxis]
    return np.sum(level * np.exp(-(((frequency - middle) / width) ** 2)), axis=0)


@cache
def compose(seconds: float, seed: int = 0) -> Sound:
    """A song of sorts, (samples, 2): drums, bass, chords and a voice, at 120 beats a minute."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    beat, bar = (t * 2) % 1, (t // 2).astype(int)
    kick = np.sin(2 * np.pi * 60 * beat / 2) * np.exp(-beat * 12)
    hat = rng.standard_normal(len(t)) * np.exp(-((t * 4) % 1) * 30)
    root = 55.0 * 2 ** (np.array([0, 5, 7, 3])[bar % 4] / 12)
    phase = np.cumsum(root) / RATE
    bass = np.tanh(3 * np.sin(2 * np.pi * phase)) * np.exp(-beat)
    chord = sum(np.sin(2 * np.pi * phase * ratio) for ratio in (4, 5, 6)) / 3
    pitch = root * 4 * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * t))
    cycles = np.cumsum(pitch) / RATE
    voice = sum(np.sin(2 * np.pi * cycles * k) * loudness(pitch * k) for k in range(1, 24))
    voice *= np.sin(np.pi * t) > -0.3
    left = 0.3 * kick + 0.05 * hat + 0.2 * bass + 0.12 * chord + 0.13 * voice
    right = 0.3 * kick + 0.03 * hat + 0.2 * bass + 0.08 * chord + 0.13 * voice
    sound = np.stack([left, right], axis=-1).astype(np.float32)
    sound.flags.writeable = False
    return sound


SONG = compose(20)
"""Two segments, so that two workers' stems are joined."""


def wav(sound: Sound, rate: int = RATE) -> bytes:
    """As a 16-bit WAV file."""
    file = io.BytesIO()
    soundfile.write(file, sound, rate, "PCM_16", format="WAV")
    return file.getvalue()


def drop(page: Page, *songs: tuple[str, bytes]) -> None:
    """Give the page files: names and contents."""
    folder = Path(mkdtemp(dir=FOLDER.name))  # from disk: bytes would take a detour as text
    for name, content in songs:
        (folder / name).write_bytes(content)
    page.locator("#file").set_input_files([folder / name for name, _ in songs])


COVER = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc000000301010018dd8db00000000049454e44ae426082"
)
"""A PNG of one red pixel."""


def mp3_with_id3(sound: Sound, cover: bytes, **frames: str) -> bytes:
    """An MP3 after an ID3v2.4 tag of text frames and a picture."""
    bodies = {name.encode(): b"\x03" + text.encode() for name, text in frames.items()}
    bodies[b"APIC"] = b"\x03image/png\0\x03\0" + cover
    tag = b"".join(name + synchsafe(len(body)) + b"\0\0" + body for name, body in bodies.items())
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="MP3")
    return b"ID3\x04\0\0" + synchsafe(len(tag)) + tag + file.getvalue()


def synchsafe(number: int) -> bytes:
    return struct.pack(">4B", *(number >> shift & 127 for shift in (21, 14, 7, 0)))


DROP_ENTRY = """() => {
  globalThis.dropEntry = entry => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([""], entry.name));
    const real = DataTransferItem.prototype.webkitGetAsEntry;
    DataTransferItem.prototype.webkitGetAsEntry = () => entry;
    const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
    document.querySelector("#drop").dispatchEvent(event);
    DataTransferItem.prototype.webkitGetAsEntry = real;
  };
}"""
"""Lets a test's script drop an entry of a file system, which no browser lets it make."""


def options(page: Page) -> Locator:
    """What to make of songs, unfolded."""
    found = page.locator("#options")
    if found.get_attribute("open") is None:
        found.locator("summary").click()
    return found


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("html")).to_have_attribute("data-state", state, timeout=PATIENCE)


def card(page: Page, title: str) -> Locator:
    return page.locator(".card").filter(has=page.get_by_role("button", name=title, exact=True))


def download(page: Page, control: Locator, folder: Path) -> Path:
    """Press something that downloads a file; where the file is then, under the name that it was given."""
    with page.expect_download(timeout=PATIENCE) as waiting:
        control.click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


# Downloads what a Blob URL holds, in a frame of its own: of one frame, Chromium drops the eleventh in a second.
SAVE = """href => {
  const frame = Object.assign(document.createElement("iframe"), { id: "saving", hidden: true });
  document.body.append(frame);
  const link = Object.assign(frame.contentDocument.createElement("a"), { href, download: "" });
  frame.contentDocument.body.append(link);
  link.click();
}"""


def content(page: Page, href: str) -> bytes:
    """What a Blob URL of the page holds: by a file, since what an evaluation gives takes a detour as text."""
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.evaluate(SAVE, href)
    data = waiting.value.path().read_bytes()
    page.evaluate("document.getElementById('saving').remove()")
    return data


def floats(page: Page, arrays: str) -> NDArray[np.float32]:
    """The numbers of the page's Float32Arrays, one array after the other, that an expression of JavaScript lists."""
    href = str(page.evaluate(f"URL.createObjectURL(new Blob({arrays}))"))
    data = content(page, href)
    page.evaluate("URL.revokeObjectURL", href)
    return np.frombuffer(data, "<f4")


def read(path: Path | io.BytesIO) -> Sound:
    """(samples, 2)."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == RATE
    return sound


def snr(estimate: Sound, reference: Sound) -> float:
    """In dB."""
    noise = np.sum((estimate.astype(float) - reference) ** 2)
    sound = np.sum(reference.astype(float) ** 2)
    return float(10 * np.log10(max(sound, 1e-20) / max(noise, 1e-20)))
