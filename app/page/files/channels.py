"""Which speakers the channels of a decoded file are for: by the file's headers, in this browser's order."""

import js

from page import view
from page.files import channel_headers, media_library
from page.files.sound import buffer
from page.promises import settle
from umx.signal import layout

OWN = {
    "vorbis": ("app/page/files/centre/vorbis.ogg", layout.VORBIS),
    "opus": ("app/page/files/centre/opus.ogg", layout.VORBIS),
    "aac": ("app/page/files/centre/aac.aac", channel_headers.AAC),
}
"""By codec: a file of 5.1 channels that has sound in the centre alone, and the layouts in the codec's own order.

Most decoders put channels into the order of WAV. Firefox's Vorbis decoder doesn't, and no browser says what its own do.
"""


async def layouts(file, source, track):
    """The layouts of a file's channels as they are decoded, by their count; empty where nobody knows.

    source, track: the file's, as the media library reads them.
    """
    try:
        codec = await settle(track.getCodec()) or ""
        channels = await settle(track.getNumberOfChannels())
        if codec.startswith("pcm-"):
            return masked(channel_headers.wav_mask(await media_library.head(file)), channels)
        if codec == "flac":
            raw = (await settle(source.getMetadataTags())).raw
            text = getattr(raw, "WAVEFORMATEXTENSIBLE_CHANNEL_MASK", None)
            return masked(int(text, 16) if text else None, channels)
        if codec not in OWN or not await is_known(codec, track):
            return {}
        if await keeps_own_order(codec):
            return OWN[codec][1]
        return channel_headers.AAC_AS_WAV if codec == "aac" else layout.WAV
    except Exception:
        return {}


def masked(mask, channels):
    return layout.WAV if mask is None else {channels: layout.by_mask(mask, channels)}


async def is_known(codec, track):
    """Whether the codec's own layouts apply."""
    config = await settle(track.getDecoderConfig())
    description = getattr(config, "description", None)
    said = bytes(js.Uint8Array.new(description)) if description else b""
    if codec == "opus":
        return not said or said[18] <= 1  # the other families have no speakers
    if codec == "aac":
        return not said or 1 <= channel_headers.aac_configuration(said) <= 7
    return True


async def keeps_own_order(codec):
    """Whether this browser's decoder gives a codec's channels in the codec's own order rather than in WAV's."""
    path, own = OWN[codec]
    response = await settle(js.fetch(view.address(path)))
    centre = await buffer(await settle(response.arrayBuffer()))
    return loudest(centre, own[6].index("FC")) > loudest(centre, layout.WAV[6].index("FC"))


def loudest(audio, channel):
    return js.Math.max.apply(None, audio.getChannelData(channel))
