"""A file that the visitor chose to 44.1 kHz stereo, by the browser's own decoders."""

import js
import media
from promises import RejectedError, settle
from texts import tr
from wav import CHANNELS, SAMPLE_RATE

WITH_RULES = (1, 2, 4, 6)
"""Channel counts that Web Audio mixes to stereo by itself."""
LARGEST = 1 << 30
"""Bytes of a file that is read as a whole."""


class DecodeError(Exception):
    """A file that the browser can't decode; says which."""


async def decode(file):
    """An AudioBuffer of two channels. Raises DecodeError."""
    # Not its size: numbers above 2³¹ lose their first digits on the way to Python.
    if file.slice(LARGEST, LARGEST + 1).size:
        text = tr("“{}” is too large to be read at once: save its sound alone, as WAV.")
        raise DecodeError(text.format(file.name))
    context = js.OfflineAudioContext.new(CHANNELS, 1, SAMPLE_RATE)
    try:
        audio = await settle(context.decodeAudioData(await settle(file.arrayBuffer())))
    except RejectedError:
        raise DecodeError(tr("“{}” can't be read as audio by this browser.").format(file.name))
    if audio.length == 0:
        raise DecodeError(tr("“{}” holds no audio.").format(file.name))
    if audio.numberOfChannels == CHANNELS:
        return audio
    return await to_stereo(audio)


async def own_rate(file, audio):
    """Samples a second of a file that was decoded to `audio`, and how many it has of each channel."""
    try:
        source = await media.opened(file)
        try:
            track = await settle(source.getPrimaryAudioTrack())
            rate = await settle(track.getSampleRate())
        finally:
            source.dispose()
        if rate != SAMPLE_RATE:
            # Only a decoder knows what a container's times leave out.
            context = js.OfflineAudioContext.new(CHANNELS, 1, rate)
            own = await settle(context.decodeAudioData(await settle(file.arrayBuffer())))
            return rate, own.length
    except Exception:
        pass  # what the library can't tell, or the browser can't play
    return SAMPLE_RATE, audio.length


async def to_stereo(audio):
    """Up- or down-mix by the rules of Web Audio.

    It has none for some counts of channels: of those, as in `umx.audio`, the odd ones' mean goes to the left and the
    even ones' to the right.
    """
    context = js.OfflineAudioContext.new(CHANNELS, audio.length, SAMPLE_RATE)
    source = context.createBufferSource()
    source.buffer = audio
    count = audio.numberOfChannels
    if count in WITH_RULES:
        source.connect(context.destination)
    else:
        splitter, merger = context.createChannelSplitter(count), context.createChannelMerger(2)
        source.connect(splitter)
        for channel in range(count):
            side = channel % 2
            gain = context.createGain()
            gain.gain.value = 1 / ((count + 1 - side) // 2)
            splitter.connect(gain, channel)
            gain.connect(merger, 0, side)
        merger.connect(context.destination)
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
