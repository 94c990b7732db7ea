"""Which speaker each channel of a file is for, and how channels become stereo.

A layout is a list of names from SPEAKERS, one for each channel. The page imports this module, too: pure Python, on
MicroPython as well.
"""

SPEAKERS = "FL FR FC LFE BL BR FLC FRC BC SL SR TC TFL TFC TFR TBL TBC TBR".split()  # noqa: SIM905
"""Front, back, side, top; left, right, centre; low frequencies. In the order of WAVE_FORMAT_EXTENSIBLE's mask."""


def by_count(*layouts: str) -> "dict[int, list[str]]":
    """Layouts by their number of channels. layouts: each a text of its speakers' names."""
    return {len(layout.split()): layout.split() for layout in layouts}


WAV = by_count(
    "FC",
    "FL FR",
    "FL FR FC",
    "FL FR BL BR",
    "FL FR FC BL BR",
    "FL FR FC LFE BL BR",
    "FL FR FC LFE BC SL SR",
    "FL FR FC LFE BL BR SL SR",
)
"""WAV files without a mask, and FLAC (RFC 9639, section 9.1.3)."""
VORBIS = by_count(
    "FC",
    "FL FR",
    "FL FC FR",
    "FL FR BL BR",
    "FL FC FR BL BR",
    "FL FC FR BL BR LFE",
    "FL FC FR SL SR BC LFE",
    "FL FC FR SL SR BL BR LFE",
)
"""Vorbis (Vorbis I, section 4.3.9) and Opus (RFC 7845, section 5.1.1)."""

HALF = 0.5**0.5  # -3 dB
# ITU-R BS.775-3, annex 4, for 3/2 and 3/1 to 2/0: the centre and each surround at -3 dB, a single surround at -3 dB
# once more on each side. The low-frequency channel is left out: the main channels must not need it. Speakers that
# BS.775 doesn't have count as surrounds of their side.
GAINS: "dict[str, tuple[float, float]]" = {
    "FL": (1, 0),
    "FR": (0, 1),
    "FC": (HALF, HALF),
    "LFE": (0, 0),
}
GAINS.update(dict.fromkeys(("BL", "SL", "FLC", "TFL", "TBL"), (HALF, 0)))
GAINS.update(dict.fromkeys(("BR", "SR", "FRC", "TFR", "TBR"), (0, HALF)))
GAINS.update(dict.fromkeys(("BC", "TC", "TFC", "TBC"), (0.5, 0.5)))
"""Gains of each speaker in the left channel and in the right one."""


def gains(layout: "list[str] | None", channels: int) -> "list[tuple[float, float]]":
    """Gains of each channel in the left one and in the right one.

    One channel goes to both sides and two are taken for left and right, whatever the layout says. Channels of an
    unknown layout (None) are averaged, to both sides alike.
    """
    if channels == 1:
        return [(1, 1)]
    if channels == 2:
        return [(1, 0), (0, 1)]
    if not layout or len(layout) != channels:
        return [(1 / channels, 1 / channels)] * channels
    return [GAINS[name] for name in layout]


def by_mask(mask: int, channels: int) -> "list[str] | None":
    """The layout that a mask of WAVE_FORMAT_EXTENSIBLE says; None if it names fewer speakers than there are channels.

    Bits beyond the count of channels are ignored, as the format demands.
    """
    named = [name for bit, name in enumerate(SPEAKERS) if mask >> bit & 1]
    return named[:channels] if len(named) >= channels else None
