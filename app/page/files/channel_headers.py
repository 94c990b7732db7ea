"""Channels in the headers of files, where the media library doesn't read them. Pure Python, on MicroPython too."""

from umx.signal.layout import WAV, by_count

AAC_AS_WAV = dict(WAV)
AAC_AS_WAV.update(by_count("FL FR FC BC"))
"""Layouts of AAC's channel configurations, where a browser's decoder has put them into the order of WAV."""
AAC = by_count(
    "FC FL FR",
    "FC FL FR BC",
    "FC FL FR BL BR",
    "FC FL FR BL BR LFE",
    "FC FLC FRC FL FR BL BR LFE",
)
"""Layouts in AAC's own order (ISO/IEC 14496-3, table 1.19)."""


def wav_mask(head):
    """The mask in the first bytes of a WAV file; None if there is none, or not within them."""
    if head[8:12] != b"WAVE":
        return None
    place = 12
    while place + 8 <= len(head):
        size = number(head[place + 4 : place + 8])
        if head[place : place + 4] == b"fmt ":
            form = head[place + 8 : place + 8 + size]
            return number(form[20:24]) if form[:2] == b"\xfe\xff" and len(form) >= 24 else None
        place += 8 + size + size % 2
    return None


def number(some):
    """The number that little-endian bytes stand for."""
    return sum(byte << 8 * index for index, byte in enumerate(some))


def aac_configuration(config):
    """The channel configuration in an AudioSpecificConfig of AAC; 0 if channels are described elsewhere, or nowhere."""
    bits = "".join("{:08b}".format(byte) for byte in config[:8])
    place = 11 if bits[:5] == "11111" else 5
    place += 28 if bits[place : place + 4] == "1111" else 4
    return int(bits[place : place + 4] or "0", 2)
