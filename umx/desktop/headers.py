"""Headers of audio files: facts that libsndfile doesn't pass on, and lengths that it should not believe.

libsndfile reads no more samples than a header promises. Such promises may be wrong: an encoder that writes to a pipe
doesn't know the length when it writes the header, and files get cut, joined and left unfinished. So libsndfile is shown
a header that promises no end, and decodes what is there.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from itertools import pairwise
from typing import Any, BinaryIO, Literal

from ..signal import layout

FRAMES = 1 << 26
"""MPEG frames that are promised: 20 days of them."""
DECODER_DELAY = 529
"""Samples by which every MP3 decoder is late."""
PARTS = 1000
"""Chunks or blocks of a header that are looked through, at most."""
BITRATES: Mapping[bool, tuple[int, ...]] = {
    # kbit/s of layer III: MPEG 1, then MPEG 2 and 2.5
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Hz, by the version bits of MPEG 1, 2 and 2.5."""
MASK = re.compile(rb"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x([0-9a-f]+)", re.IGNORECASE)
"""A layout in FLAC's comments (RFC 9639, section 8.6.2)."""


@dataclass(frozen=True)
class Header:
    """How to read a file, or one of the songs in it.

    head, skip: what stands in for the file's first `skip` bytes.
    stop: where the next song in the same file begins; None for its end.
    layout: the speaker of each channel; None if it isn't known.
    samples: how many the header promises; 0 if it doesn't say.
    padding: samples behind the song that the encoder has added and libsndfile doesn't remove.
    """

    head: bytes = b""
    skip: int = 0
    stop: int | None = None
    layout: list[str] | None = None
    samples: int = 0
    padding: int = 0


def read_headers(file: BinaryIO) -> list[Header]:
    """The file's header; for an Ogg file one for each song, since such files may be joined.

    Raises OSError only: a file that is no audio gets a header without facts.
    """
    start = 0
    while tag := _tag_size(_read(file, start, 10)):
        start += tag
    first = _read(file, start, 4)
    if first == b"OggS":
        return _ogg(file, start)
    for magic, read in KINDS.items():
        if first.startswith(magic):
            return [read(file, start)]
    return [Header()]


class Patched(RawIOBase):
    """A file as its Header shows it, for libsndfile to read from.

    libsndfile takes an error in reading for the end of the file; the error is kept in `error`.
    """

    def __init__(self, file: BinaryIO, header: Header):
        self.file, self.head, self.shift = file, header.head, header.skip - len(header.head)
        self.size = (_size(file) if header.stop is None else header.stop) - self.shift
        self.position = 0
        self.error: OSError | None = None

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        if whence == SEEK_CUR:
            offset += self.position
        elif whence == SEEK_END:
            offset += self.size
        self.position = max(0, offset)
        return self.position

    def readinto(self, buffer: Any) -> int:
        data = self.head[self.position : self.position + len(buffer)]
        missing = min(len(buffer), self.size - self.position) - len(data)
        if missing > 0:
            try:
                data += _read(self.file, self.position + len(data) + self.shift, missing)
            except OSError as error:
                self.error = error
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


def _size(file: BinaryIO) -> int:
    return file.seek(0, SEEK_END)


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _tag_size(head: bytes) -> int:
    """Bytes of the ID3v2 tag that begins here, 0 if none does."""
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    footer = 10 if head[5] & 0x10 else 0
    return 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:])) + footer


def _wav(file: BinaryIO, start: int) -> Header:
    """RIFF, RIFX (big-endian) and RF64 (64-bit lengths)."""
    riff, size = _read(file, start, 4), _size(file)
    order: Literal["big", "little"] = "big" if riff == b"RIFX" else "little"
    form, large, position = b"", 0, start + 12
    for _ in range(PARTS):
        chunk = _read(file, position, 8)
        length = int.from_bytes(chunk[4:], order)
        position += 8
        if chunk[:4] == b"fmt ":
            form = file.read(min(length, 1 << 16))
        elif chunk[:4] == b"ds64":
            large = int.from_bytes(file.read(16)[8:], "little")
        if chunk[:4] == b"data" or len(chunk) < 8:
            break
        position += length + length % 2
    if chunk[:4] != b"data" or len(form) < 16:
        return Header()
    channels = int.from_bytes(form[2:4], order)
    speakers = layout.WAV.get(channels)
    if int.from_bytes(form[:2], order) == 0xFFFE and len(form) >= 24:  # WAVE_FORMAT_EXTENSIBLE
        speakers = layout.by_mask(int.from_bytes(form[20:24], order), channels)
    if riff == b"RF64" and length == 0xFFFFFFFF:
        length = large
    end = position + length + length % 2
    if end >= size or _is_chunk(_read(file, end, 8), size - end, order):
        return Header(layout=speakers)

    def field(value: int) -> bytes:
        return value.to_bytes(4, order)

    # These two lengths are those of an unfinished file, which libsndfile reads to the end.
    head = b"RIFX" if order == "big" else b"RIFF"
    head += field(8) + b"WAVEfmt " + field(len(form)) + form + bytes(len(form) % 2)
    return Header(head + b"data" + field(0), position, layout=speakers)


def _is_chunk(head: bytes, size: int, order: Literal["big", "little"]) -> bool:
    """Whether `size` bytes with this beginning are no samples: another chunk, a tag, or too few to tell."""
    if len(head) < 8 or head[:3] in (b"TAG", b"ID3"):
        return True
    name = all(0x20 <= byte < 0x7F for byte in head[:4])
    return name and int.from_bytes(head[4:], order) <= size


def _flac(file: BinaryIO, start: int) -> Header:
    """libsndfile is shown one of the blocks before the first frame: it gives up at a damaged picture."""
    head = _read(file, start, 42)
    if len(head) < 42:
        return Header()
    channels, samples = _stream_info(head)
    speakers = layout.WAV.get(channels)
    position, last = start + 42, head[4] & 0x80
    for _ in range(PARTS):
        block = _read(file, position, 4)
        if last or len(block) < 4:
            break
        last, length = block[0] & 0x80, int.from_bytes(block[1:], "big")
        if block[0] & 0x7F == 4:  # comments
            speakers = _by_comment(file.read(length), channels, speakers)
        position += 4 + length
    # The total of samples is the low 36 bits of these 8 bytes; in FLAC, 0 stands for an unknown one.
    unknown = bytes([*head[18:21], head[21] & 0xF0, *bytes(4)])
    ours = head[:4] + bytes([head[4] | 0x80]) + head[5:18] + unknown + head[26:]
    return Header(ours, min(position, _size(file)), layout=speakers, samples=samples)


def _stream_info(head: bytes) -> tuple[int, int]:
    """Channels and samples, from the beginning of a FLAC file."""
    fields = int.from_bytes(head[18:26], "big")
    return (fields >> 41 & 7) + 1, fields & (1 << 36) - 1


def _by_comment(comments: bytes, channels: int, default: list[str] | None) -> list[str] | None:
    found = MASK.search(comments)
    return layout.by_mask(int(found[1], 16), channels) if found else default


def _ogg(file: BinaryIO, start: int) -> list[Header]:
    """libsndfile reads the first of joined songs only. Each begins with a row of pages that are marked as first."""
    starts, end = [], -1
    for place in _places(file, start):
        if place != end:
            starts.append(place)
        page = _read(file, place, 27 + 255)
        segments = sum(page[26:27])  # 0 where the file ends before
        end = place + 27 + segments + sum(page[27 : 27 + segments])
    return [
        replace(_ogg_song(_read(file, place, 1 << 16)), skip=place, stop=stop)
        for place, stop in pairwise([*starts, None])
        if place is not None
    ] or [Header()]


def _places(file: BinaryIO, start: int) -> Iterator[int]:
    """Positions of pages that are marked as first."""
    mark, size = b"OggS\0\2", 1 << 20
    while block := _read(file, start, size + len(mark) - 1):
        place = block.find(mark)
        while place >= 0:
            yield start + place
            place = block.find(mark, place + 1)
        start += size


def _ogg_song(page: bytes) -> Header:
    packet = page[27 + page[26] :] if len(page) > 26 else b""
    if packet.startswith(b"\1vorbis") and len(packet) > 11:
        return Header(layout=layout.VORBIS.get(packet[11]))
    if packet.startswith(b"OpusHead") and len(packet) > 18:
        return Header(layout=layout.VORBIS.get(packet[9]) if packet[18] < 2 else None)
    if packet.startswith(b"\x7fFLAC") and len(packet) > 9 + 26:
        channels, _ = _stream_info(packet[9:])
        return Header(layout=_by_comment(page, channels, layout.WAV.get(channels)))
    return Header()


def _mp3(file: BinaryIO, start: int) -> Header:
    """Put an Info frame of ours before the first frame, in place of the file's own, if it has one.

    Without such a frame, libsndfile guesses the length from the first frames, and cuts off what is beyond its guess.
    """
    first = _read(file, start, 4)
    if len(first) < 4 or first[1] & 0xE6 != 0xE2:  # 11 bits of sync, layer III
        return Header()
    version, mono = first[1] >> 3 & 3, first[3] >> 6 == 3
    bitrate, rate = first[2] >> 4, first[2] >> 2 & 3
    if version == 1 or rate == 3 or bitrate in (0, 15):
        return Header()

    def length(bitrate: int, padded: int) -> int:
        bytes_per_bit = 144 if version == 3 else 72
        return (
            bytes_per_bit * 1000 * BITRATES[version == 3][bitrate - 1] // RATES[version][rate]
            + padded
        )

    place = 4 + (17 if mono else 32) if version == 3 else 4 + (9 if mono else 17)
    frame = _read(file, start, length(bitrate, first[2] >> 1 & 1))
    encoder, padding = bytes(24), 0
    if frame[place : place + 4] in (b"Xing", b"Info") and not any(frame[6:place]):
        whole, encoder = _info(frame[place + 4 :], _size(file) - start)
        if whole:
            padding = max(0, ((encoder[22] & 0x0F) << 8 | encoder[23]) - DECODER_DELAY)
        # Our frame says nothing of padding: libsndfile would cut it from the end that is promised.
        encoder = encoder[:22] + bytes([encoder[22] & 0xF0, 0])
        start += len(frame)
    ours = bytes(
        [0xFF, first[1] | 1, 9 << 4 | rate << 2, first[3]]
    )  # its bitrate makes it long enough
    ours = ours.ljust(place, b"\0") + b"Info" + (1).to_bytes(4, "big") + FRAMES.to_bytes(4, "big")
    return Header((ours + encoder).ljust(length(9, 0), b"\0"), start, padding=padding)


def _info(fields: bytes, size: int) -> tuple[bool, bytes]:
    """Whether a file of `size` bytes is whole, and 24 bytes about its encoder. fields: what follows "Xing" or "Info".

    The last three bytes are the delay and the padding, of 12 bits each. All are zero where the file doesn't have them.
    """
    flags, place, said = fields[3] if len(fields) > 3 else 0, 4, 0
    for bit, length in ((1, 4), (2, 4), (4, 100), (8, 4)):
        if flags & bit:
            if bit == 2:
                said = int.from_bytes(fields[place : place + 4], "big")
            place += length
    encoder = fields[place : place + 24]
    return size >= said, encoder if len(encoder) == 24 else bytes(24)


KINDS: Mapping[bytes, Callable[[BinaryIO, int], Header]] = {
    b"RIFF": _wav,
    b"RIFX": _wav,
    b"RF64": _wav,
    b"fLaC": _flac,
    b"\xff": _mp3,
}
