"""A song's tags and its tempo as chunks of a WAV file. Pure Python, on MicroPython too.

They come twice: as ID3, and as RIFF's own list for programs that know no other. That list has no defined encoding
beyond ASCII. Most programs take UTF-8, and those that don't find the ID3 chunk first.
"""

import struct

TEXTS = (
    ("title", "TIT2", "INAM"),
    ("artist", "TPE1", "IART"),
    ("album", "TALB", "IPRD"),
    ("albumArtist", "TPE2", ""),
    ("genre", "TCON", "IGNR"),
    ("year", "TDRC", "ICRD"),
    ("track", "TRCK", "ITRK"),
    ("disc", "TPOS", ""),
    ("bpm", "TBPM", ""),
)
"""Names of each text: here, in ID3, in RIFF's list."""
UTF_8 = b"\x03"
ON_DISK = 8
"""The flag of a long recording, in a chunk with a tempo: programs play it as it is, and show the tempo."""
COVERS = {"coverFront": 3, "coverBack": 4}
"""ID3's numbers for kinds of pictures; 0 is any other kind."""


def chunk(name, content):
    """A chunk of a RIFF file, padded to an even number of bytes."""
    return name.encode() + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def frame(name, begin, size=0):
    """A frame of an ID3 tag without the last `size` bytes, which the caller adds."""
    return name.encode() + synchsafe(len(begin) + size) + b"\0\0" + begin


def chunks(texts, covers=()):
    """The bytes before a file's samples, in parts: between two parts goes a cover's data.

    texts: by the names in TEXTS; covers: each one's type, kind as in COVERS, and number of bytes.
    """
    parts, listed = [b""], b""
    for name, text_frame, item in TEXTS:
        text = texts.get(name, "").encode()
        if text:
            parts[0] += frame(text_frame, UTF_8 + text)
            if item:
                listed += chunk(item, text + b"\0")
    for kind, cover, size in covers:
        about = UTF_8 + kind.encode() + b"\0" + bytes([COVERS.get(cover, 0)]) + b"\0"
        parts[-1] += frame("APIC", about, size)
        parts.append(b"")
    length = sum([len(part) for part in parts]) + sum([size for _, _, size in covers])
    if length:
        tag = b"ID3\x04\0\0" + synchsafe(length)
        parts[0] = b"ID3 " + struct.pack("<I", len(tag) + length) + tag + parts[0]
        parts[-1] += b"\0" * (length % 2)
    if listed:
        parts[-1] += chunk("LIST", b"INFO" + listed)
    return parts


def tempo(bpm, meter, seconds):
    """The chunk by which music programs know the tempo of a file.

    bpm: beats a minute, a float; meter: beats of a bar; seconds: how long the file is.
    """
    beats = int(bpm * seconds / 60 + 0.5)
    # Not to be stretched by itself; no root note; quarters.
    return chunk("acid", struct.pack("<IHHfIHHf", ON_DISK, 60, 0x8000, 0, beats, 4, meter, bpm))


def synchsafe(number):
    """A length in ID3's form: four bytes of seven bits."""
    return bytes([number >> shift & 127 for shift in (21, 14, 7, 0)])
