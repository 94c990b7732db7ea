"""The atom by which DJ programs know an MP4 file as Native Instruments' Stems. Pure Python, on MicroPython too.

Such a file has five tracks of sound: the mix, which every player plays, and four stems. The atom, "stem" in the file's
user data, is JSON: the stems' names and colours, and the dynamics that programs apply to their sum, which are off here.
The page writes such files, and so does the command line.
"""

import json
import struct
import sys

if sys.implementation.name != "micropython":  # which ignores annotations
    from collections.abc import Callable, Iterator, Sequence

STEMS = (
    ("drums", "#E2762B"),
    ("bass", "#2F6FD0"),
    ("melody", "#2E9461"),
    ("vocals", "#C74482"),
)
"""Stems in the order that DJ programs expect, and their colours there."""
BIT_RATE = 256_000
"""Bits a second of each track's AAC."""
DYNAMICS = {
    "compressor": {
        "enabled": False,
        "ratio": 3,
        "output_gain": 0.5,
        "release": 0.3,
        "attack": 0.003,
        "input_gain": 0.5,
        "threshold": 0,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "release": 0.05, "threshold": 0, "ceiling": -0.35},
}
"""The format's own defaults."""
HEAD = 8
"""Bytes of a box before its content."""


def description(names: "Sequence[str]") -> bytes:
    """The atom's content. names: of the stems, in the order of STEMS."""
    stems = [{"name": names[n], "color": color} for n, (_, color) in enumerate(STEMS)]
    facts = {"mastering_dsp": DYNAMICS, "version": 1, "stems": stems}
    return json.dumps(facts).encode()


def head(name: bytes, size: int) -> bytes:
    """The bytes before a box's content. size: of the content, in bytes."""
    return struct.pack(">I", HEAD + size) + name


def boxes(
    read: "Callable[[int, int], bytes]", begin: int, end: int
) -> "Iterator[tuple[bytes, int, int]]":
    """Name, begin and end of each box that lies in a stretch, one after the other.

    read: gives the bytes between two places. Raises ValueError where there are no boxes.
    """
    while begin < end:
        first = read(begin, min(begin + HEAD, end))
        size = struct.unpack(">I", first[:4])[0] if len(first) == HEAD else 0
        if size == 1:  # of more than 4 GB, which the next 64 bits say
            long = read(begin + HEAD, min(begin + 2 * HEAD, end))
            size = struct.unpack(">Q", long)[0] if len(long) == 8 else 0
        if not HEAD <= size <= end - begin:
            raise ValueError("There is no whole box.")
        yield first[4:], begin, begin + size
        begin += size


def with_atom(
    read: "Callable[[int, int], bytes]", size: int, content: bytes
) -> "list[bytes | tuple[int, int]]":
    """The parts of a file's "moov" box with the atom in it: bytes, and begin and end of what stays as it is.

    read: gives the bytes between two places of the box, see `boxes`; size: the box's, in bytes; content: the atom's.
    The box must be the last of its file, so that nothing behind it moves. Raises ValueError if it is no "moov" box.
    """
    if [name for name, _, _ in boxes(read, 0, size)] != [b"moov"]:
        raise ValueError("It is no moov box.")
    atom = head(b"stem", len(content)) + content
    for name, begin, end in boxes(read, HEAD, size):
        if name == b"udta":
            begin += HEAD
            return [
                head(b"moov", size - HEAD + len(atom)),
                (HEAD, begin - HEAD),
                head(b"udta", end - begin + len(atom)),
                (begin, end),
                atom,
                (end, size),
            ]
    atom = head(b"udta", len(atom)) + atom
    return [head(b"moov", size - HEAD + len(atom)), (HEAD, size), atom]
