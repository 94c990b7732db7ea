"""A song's tags as chunks of a WAV file. Pure Python, on MicroPython too.

They come twice: as ID3, and as RIFF's own list for programs that know no other. Nobody has said which letters that list
is in beyond ASCII; most programs take UTF-8, and those that don't find the ID3 chunk first.
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
)
"""The names of each text: here, in ID3, in RIFF's list."""
UTF_8 = b"\x03"


def chunk(name, content):
    """A chunk of a RIFF file, padded to an even number of bytes."""
    return name.encode() + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def chunks(texts):
    """The bytes that go before a file's samples. texts: by the names in TEXTS."""
    frames = listed = b""
    for name, frame, item in TEXTS:
        text = texts.get(name, "").encode()
        if text:
            body = UTF_8 + text
            frames += frame.encode() + synchsafe(len(body)) + b"\0\0" + body
            if item:
                listed += chunk(item, text + b"\0")
    found = b""
    if frames:
        found += chunk("ID3 ", b"ID3\x04\0\0" + synchsafe(len(frames)) + frames)
    if listed:
        found += chunk("LIST", b"INFO" + listed)
    return found


def synchsafe(number):
    """As ID3 writes lengths: in four bytes of seven bits."""
    return bytes([number >> shift & 127 for shift in (21, 14, 7, 0)])
