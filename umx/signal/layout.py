"""Which speaker each channel of a file is for, and how channels become stereo."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..types import Float

Layout = Sequence[str]
"""The speaker of each channel: a name from SPEAKERS."""

SPEAKERS = str.split("FL FR FC LFE BL BR FLC FRC BC SL SR TC TFL TFC TFR TBL TBC TBR")
"""Front, back, side, top; left, right, centre; low frequencies. In the order of WAVE_FORMAT_EXTENSIBLE's mask."""


def _by_count(*layouts: str) -> Mapping[int, Layout]:
    return {len(layout.split()): layout.split() for layout in layouts}


WAV = _by_count(
    "FC",
    "FL FR",
    "FL FR FC",
    "FL FR BL BR",
    "FL FR FC BL BR",
    "FL FR FC LFE BL BR",
    "FL FR FC LFE BC SL SR",
    "FL FR FC LFE BL BR SL SR",
)
"""WAV files without a mask, and FLAC (RFC 9639, section 9.1.3): by count of channels."""
VORBIS = _by_count(
    "FC",
    "FL FR",
    "FL FC FR",
    "FL FR BL BR",
    "FL FC FR BL BR",
    "FL FC FR BL BR LFE",
    "FL FC FR SL SR BC LFE",
    "FL FC FR SL SR BL BR LFE",
)
"""Vorbis (Vorbis I, section 4.3.9) and Opus (RFC 7845, section 5.1.1): by count of channels."""

HALF = np.sqrt(0.5)  # -3 dB
LEFT, RIGHT, BOTH, BEHIND = (HALF, 0), (0, HALF), (HALF, HALF), (0.5, 0.5)
GAINS: Mapping[str, tuple[float, float]] = {
    # ITU-R BS.775-3, annex 4, for 3/2 and 3/1 to 2/0: the centre and each surround at -3 dB, a single surround at -3 dB
    # once more on each side. The low-frequency channel is left out: the main channels must not need it. Speakers
    # that BS.775 doesn't have count as surrounds of their side.
    "FL": (1, 0),
    "FR": (0, 1),
    "FC": BOTH,
    "LFE": (0, 0),
    **dict.fromkeys(("BL", "SL", "FLC", "TFL", "TBL"), LEFT),
    **dict.fromkeys(("BR", "SR", "FRC", "TFR", "TBR"), RIGHT),
    **dict.fromkeys(("BC", "TC", "TFC", "TBC"), BEHIND),
}


def by_mask(mask: int, channels: int) -> Layout | None:
    """The layout that a mask of WAVE_FORMAT_EXTENSIBLE says; None if it names fewer speakers than there are channels.

    Bits beyond the count of channels are ignored, as the format wants it.
    """
    named = [name for bit, name in enumerate(SPEAKERS) if mask >> bit & 1]
    return named[:channels] if len(named) >= channels else None


def downmix(layout: Layout | None, channels: int) -> Float:
    """What to multiply channels with for stereo: float32 (2, channels).

    One channel goes to both sides and two are taken for left and right, whatever the layout says. Channels of an
    unknown layout (None) are averaged, to both sides alike.
    """
    if channels == 1:
        gains = np.ones((2, 1))
    elif channels == 2:
        gains = np.eye(2)
    elif layout is None or len(layout) != channels:
        gains = np.full((2, channels), 1 / channels)
    else:
        gains = np.array([GAINS[name] for name in layout]).T
    return gains.astype(np.float32)
