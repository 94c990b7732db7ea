"""Finds how many samples an encoder put before and behind a song, from the first bytes of the file.

Browsers drop them when they decode a whole file; the page must drop them from parts of a file. Pure Python, on
MicroPython too.
"""

HEAD = 1 << 12
"""Bytes behind the tags that suffice."""
ENCODERS = (b"LAME", b"Lavf", b"Lavc")
"""Encoders that state the numbers, as in FFmpeg."""
MP3_DECODER = 529
"""Samples by which every MP3 decoder is late."""


def tag_size(head):
    """Bytes of the ID3 tag that a file begins with, 0 if there is none."""
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    return 10 + sum((head[6 + i] & 0x7F) << (7 * (3 - i)) for i in range(4))


def mp3(head):
    """Samples before and behind the song in an MP3 file, by its first frame; 0 and 0 if that is no Xing header."""
    place = max(head.find(b"Xing", 0, 64), head.find(b"Info", 0, 64))
    if place < 0 or len(head) < place + 8:
        return 0, 0
    flags = head[place + 7]
    place += 8 + sum(size for bit, size in enumerate((4, 4, 100, 4)) if flags >> bit & 1)
    if head[place : place + 4] not in ENCODERS or len(head) < place + 24:
        return 0, 0
    one, two, three = head[place + 21 : place + 24]
    delay, padding = one << 4 | two >> 4, (two & 0x0F) << 8 | three
    return delay + MP3_DECODER, max(0, padding - MP3_DECODER)


def opus(head):
    """Position of the field with the number of samples before an Opus song, and that number; None and 0 without one."""
    place = head.find(b"OpusHead")
    if place < 0 or len(head) < place + 12:
        return None, 0
    return place + 10, head[place + 10] | head[place + 11] << 8
