"""A file that the visitor chose to 44.1 kHz stereo, by the browser's own decoders."""

import js
from wav import CHANNELS, SAMPLE_RATE


class DecodeError(Exception):
    """A file that the browser can't decode; says which."""


async def decode(file):
    """An AudioBuffer of two channels. Raises DecodeError."""
    context = js.OfflineAudioContext.new(CHANNELS, 1, SAMPLE_RATE)
    try:
        audio = await context.decodeAudioData(await file.arrayBuffer())
    except Exception:
        raise DecodeError("“{}” can't be read as audio by this browser.".format(file.name))
    if audio.length == 0:
        raise DecodeError("“{}” holds no audio.".format(file.name))
    if audio.numberOfChannels == CHANNELS:
        return audio
    return await to_stereo(audio)


async def to_stereo(audio):
    """Up- or down-mix by the rules of Web Audio."""
    context = js.OfflineAudioContext.new(CHANNELS, audio.length, SAMPLE_RATE)
    source = context.createBufferSource()
    source.buffer = audio
    source.connect(context.destination)
    source.start()
    return await context.startRendering()


def cut(audio, starts, length):
    """The mixture of a batch as one Float32Array of (segments, channels, length), zeros past the end."""
    mixture = js.Float32Array.new(len(starts) * CHANNELS * length)
    for index, start in enumerate(starts):
        for channel in range(CHANNELS):
            samples = audio.getChannelData(channel)
            place = (index * CHANNELS + channel) * length
            mixture.set(samples.subarray(start, min(start + length, audio.length)), place)
    return mixture
