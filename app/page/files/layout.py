"""Which speaker each channel is for, and how channels become stereo. Pure Python, on MicroPython too.

A layout is a list of names from SPEAKERS, one for each channel. As `umx.signal.layout` has it for the command line.
"""

import math

NAMES = "FL FR FC LFE BL BR FLC FRC BC SL SR TC TFL TFC TFR TBL TBC TBR"
SPEAKERS = NAMES.split()
"""Front, back, side and top; left, right and centre. In the order of the bits of WAVE_FORMAT_EXTENSIBLE's mask."""


def layouts(*texts):
    """By their counts of channels."""
    return {len(text.split()): text.split() for text in texts}


WAV = layouts(
    "FL FR FC",
    "FL FR BL BR",
    "FL FR FC BL BR",
    "FL FR FC LFE BL BR",
    "FL FR FC LFE BC SL SR",
    "FL FR FC LFE BL BR SL SR",
)
"""Of WAV files without a mask and of FLAC (RFC 9639, section 9.1.3). Where a browser's decoder has put the channels of
Vorbis and Opus into the order of WAV, these are the same."""
VORBIS = layouts(
    "FL FC FR",
    "FL FR BL BR",
    "FL FC FR BL BR",
    "FL FC FR BL BR LFE",
    "FL FC FR SL SR BC LFE",
    "FL FC FR SL SR BL BR LFE",
)
"""As Vorbis itself has them (Vorbis I, section 4.3.9), and Opus (RFC 7845, section 5.1.1)."""
AAC_AS_WAV = dict(WAV)
AAC_AS_WAV.update(layouts("FL FR FC BC"))
"""Those of AAC's channel configurations, where a browser's decoder has put them into the order of WAV."""
AAC = layouts(
    "FC FL FR",
    "FC FL FR BC",
    "FC FL FR BL BR",
    "FC FL FR BL BR LFE",
    "FC FLC FRC FL FR BL BR LFE",
)
"""As AAC itself has them (ISO/IEC 14496-3, table 1.19)."""

HALF = math.sqrt(0.5)  # -3 dB
GAINS = {"FL": (1, 0), "FR": (0, 1), "FC": (HALF, HALF), "LFE": (0, 0)}
GAINS.update(dict.fromkeys(("BL", "SL", "FLC", "TFL", "TBL"), (HALF, 0)))
GAINS.update(dict.fromkeys(("BR", "SR", "FRC", "TFR", "TBR"), (0, HALF)))
GAINS.update(dict.fromkeys(("BC", "TC", "TFC", "TBC"), (0.5, 0.5)))
"""Of a speaker in the left channel and in the right one, as ITU-R BS.775-3 has it (annex 4): the centre and each
surround at -3 dB, a single surround at -3 dB once more on each side, and no low-frequency channel. Speakers that it
doesn't have count as surrounds of their side."""


def gains(layout, channels):
    """Of each channel in the left and in the right one; unknown ones are averaged, to both sides alike."""
    if channels <= 2:
        return [(1, 1)] if channels == 1 else [(1, 0), (0, 1)]
    if not layout or len(layout) != channels:
        return [(1 / channels, 1 / channels)] * channels
    return [GAINS[name] for name in layout]


def by_mask(mask, channels):
    """The layout that a mask of WAVE_FORMAT_EXTENSIBLE says; None if it names fewer speakers than there are channels.

    Bits beyond the count of channels are ignored, as the format wants it.
    """
    named = [name for bit, name in enumerate(SPEAKERS) if mask >> bit & 1]
    return named[:channels] if len(named) >= channels else None


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
    """Of little-endian bytes."""
    return sum(byte << 8 * index for index, byte in enumerate(some))


def aac_configuration(config):
    """AAC's number for its channels in an AudioSpecificConfig; 0 if they are described elsewhere, or not at all."""
    bits = "".join("{:08b}".format(byte) for byte in config[:8])
    place = 11 if bits[:5] == "11111" else 5
    place += 28 if bits[place : place + 4] == "1111" else 4
    return int(bits[place : place + 4] or "0", 2)
