"""The header of a WAV file: 16-bit stereo PCM at 44.1 kHz. Pure Python, on MicroPython too."""

import struct

SAMPLE_RATE = 44100
CHANNELS = 2
FRAME_BYTES = 2 * CHANNELS
LARGEST = (1 << 32) - 37
"""Bytes of samples that the format's 32-bit lengths can tell: 6.8 hours."""


def header(frames):
    """The 44 bytes before `frames` frames of samples. Raises ValueError for more than the format can hold."""
    size = frames * FRAME_BYTES
    if size > LARGEST:
        raise ValueError("WAV files end at 4 GiB, which is 6.8 hours; cut the song in parts")
    rate = SAMPLE_RATE * FRAME_BYTES
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + struct.pack(
        "<4sIHHIIHH4sI", b"fmt ", 16, 1, CHANNELS, SAMPLE_RATE, rate, FRAME_BYTES, 16, b"data", size
    )
