"""Decoded sound: 44.1 kHz stereo in the browser's memory, and what batches are cut from."""

import js
from promises import settle
from wav import CHANNELS, SAMPLE_RATE

WITH_RULES = (1, 2, 4, 6)
"""Channel counts that Web Audio mixes to stereo by itself."""


class DecodeError(Exception):
    """A file that the browser can't decode; says which."""


class Sound:
    """A song that lies in memory as a whole. A long one does not: see `stream.Stream`, which answers the same calls."""

    def __init__(self, audio):
        """audio: an AudioBuffer of two channels."""
        self.audio = audio
        self.length = audio.length  # samples

    async def cut(self, starts, length):
        """The mixture of a batch, a Float32Array of (segments, channels, length), zeros past the end."""
        return cut(self.audio, starts, length)

    async def windows(self, starts, length):
        """As `cut`, of pieces that lie apart."""
        return cut(self.audio, starts, length)

    async def stretch(self, start, samples):
        """An AudioBuffer that holds at least a stretch, and the place of its first sample in the song."""
        return self.audio, 0


async def decoded(data):
    """What the bytes of a file, in an ArrayBuffer, sound like: an AudioBuffer of two channels. Raises RejectedError."""
    context = js.OfflineAudioContext.new(CHANNELS, 1, SAMPLE_RATE)
    audio = await settle(context.decodeAudioData(data))
    if audio.numberOfChannels == CHANNELS or not audio.length:
        return audio
    return await to_stereo(audio)


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
    return await settle(context.startRendering())


def cut(audio, starts, length):
    """See `Sound.cut`; starts: in samples of `audio`."""
    mixture = js.Float32Array.new(len(starts) * CHANNELS * length)
    for index, start in enumerate(starts):
        for channel in range(CHANNELS):
            samples = audio.getChannelData(channel)
            place = (index * CHANNELS + channel) * length
            mixture.set(samples.subarray(start, min(start + length, audio.length)), place)
    return mixture
