"""Finds how many samples an encoder put before and behind a song, from the first bytes of the file.

Browsers leave them out where they decode a whole file; of parts of a file, the page has to. Pure Python, on MicroPython
too.
"""

HEAD = 1 << 12
"""Bytes that suffice, if they begin where the tags end."""
ENCODERS = (b"LAME", b"Lavf", b"Lavc")
"""Those that say how much it is, as FFmpeg has them."""
MP3_DECODER = 529
"""Samples by which every MP3 decoder is late."""


def tag_size(head):
    """Bytes of the ID3 tag that a file begins with, 0 if there is none."""
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    return 10 + sum((head[6 + i] & 0x7F) << (7 * (3 - i)) for i in range(4))


def mp3(head):
    """Samples before and behind the song in an MP3 file, from its first frame, which is a Xing header or has nothing
    to say."""
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
    """Where in an Ogg file it says how many samples of Opus come before the song, and how many; None, 0 if nowhere."""
    place = head.find(b"OpusHead")
    if place < 0 or len(head) < place + 12:
        return None, 0
    return place + 10, head[place + 10] | head[place + 11] << 8
