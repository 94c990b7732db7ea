"""File formats that stems are saved in."""

import js
from pyscript.ffi import to_js

from page.promises import RejectedError, settle
from shared.facts import SAMPLE_RATE

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
FLAC_RATES = MP3_RATES + (88200, 96000, 176400, 192000)


class Format:
    def __init__(self, ending, kind, container, codec, rates=(), bitrate=None):
        """kind: of its samples, and of those that are kept for it, see wav.FORMATS.

        container, codec: their names in the media library. rates: the sample rates that it can have; () for any.
        bitrate: bits a second.
        """
        self.ending, self.kind = ending, kind
        self.container, self.codec, self.bitrate = container, codec, bitrate
        self.rates = rates

    def rate(self, wanted):
        """Sample rate of its files if `wanted` is asked for."""
        for rate in (wanted, SAMPLE_RATE):
            if not self.rates or rate in self.rates:
                return rate
        return self.rates[-1]


FORMATS = {
    "16": Format("wav", "16", "Wav", "pcm-s16"),
    "24": Format("wav", "24", "Wav", "pcm-s24"),
    "float": Format("wav", "float", "Wav", "pcm-f32"),
    "flac": Format("flac", "16", "Flac", "flac", FLAC_RATES),
    "flac-24": Format("flac", "24", "Flac", "flac", FLAC_RATES),
    "mp3": Format("mp3", "16", "Mp3", "mp3", MP3_RATES, 256000),
    "opus": Format("opus", "16", "Ogg", "opus", (48000,), 160000),
}
"""Formats by the values of the page's menu."""
KINDS = ("16", "24", "float")
"""Kinds of samples, from coarse to fine."""


def possible(kind):
    """Formats for which samples of a kind are fine enough."""
    return [name for name, form in FORMATS.items() if KINDS.index(form.kind) <= KINDS.index(kind)]


async def can_encode(codec, rate):
    """Whether the browser can encode stereo by a codec of WebCodecs. The page itself brings those of other formats."""
    encoder = getattr(js, "AudioEncoder", None)
    if not encoder:
        return False
    config = {"codec": codec, "sampleRate": rate, "numberOfChannels": 2}
    try:
        return bool((await settle(encoder.isConfigSupported(to_js(config)))).supported)
    except RejectedError:
        return False
