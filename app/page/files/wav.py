"""The header of a WAV file: stereo at 44.1 kHz. Pure Python, on MicroPython too."""

import struct

from page.text.texts import tr
from shared.facts import SAMPLE_RATE

CHANNELS = 2
FORMATS = {"16": (1, 2), "24": (1, 3), "float": (3, 4)}
"""Code (1 PCM, 3 IEEE float) and bytes a sample of each kind of samples."""
DATA = 8
"""Bytes at the header's end that announce the samples; tags go before them."""
LARGEST = (1 << 32) - 61
"""Bytes of samples that fit 32-bit lengths: 6.8 hours of 16-bit samples."""


def frame_bytes(kind):
    """Bytes of one sample of every channel."""
    return FORMATS[kind][1] * CHANNELS


def header(frames, kind, tags=0):
    """The bytes before `frames` frames of samples of a kind in FORMATS.

    tags: bytes of the chunks, see `wav_tags`, that the caller will put before the last DATA of these.
    Raises ValueError for more samples than the format can hold.
    """
    code, size = FORMATS[kind]
    frame = size * CHANNELS
    data = frames * frame
    if tags + data > LARGEST:
        raise ValueError(tr("WAV files end at 4 GiB; cut the song in parts, or choose 16 bits."))
    # Only PCM may go without an extension of its format and a count of its frames.
    extra = b"" if code == 1 else struct.pack("<H4sII", 0, b"fact", 4, frames)
    fmt = struct.pack(
        "<4sIHHIIHH",
        b"fmt ",
        16 if code == 1 else 18,
        code,
        CHANNELS,
        SAMPLE_RATE,
        SAMPLE_RATE * frame,
        frame,
        8 * size,
    )
    rest = fmt + extra + struct.pack("<4sI", b"data", data)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(rest) + tags + data, b"WAVE") + rest
