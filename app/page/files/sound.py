"""Decoded sound: 44.1 kHz stereo in the browser's memory, from which batches are cut."""

import js

from page.files import refusals
from page.files.wav import CHANNELS
from page.promises import RejectedError, settle
from shared.facts import SAMPLE_RATE


async def check_there(file):
    """Raise DecodeError if a file is no longer what the visitor chose."""
    first = file.slice(0, 1)
    try:
        # Chromium gives an empty slice of a file that is gone, and reading that succeeds; so read the file then.
        await settle((first if first.size else file).arrayBuffer())
    except RejectedError:
        raise refusals.gone(file.name)


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

    def close(self):
        """Do nothing: the samples are freed with this object."""


async def buffer(data):
    """The sound of a file's bytes, which are in an ArrayBuffer: an AudioBuffer. Raises RejectedError."""
    context = js.OfflineAudioContext.new(CHANNELS, 1, SAMPLE_RATE)
    return await settle(context.decodeAudioData(data))


async def to_stereo(audio, gains):
    """An AudioBuffer of two channels.

    gains: each channel's in the left and the right one, see `layout`.
    """
    if audio.numberOfChannels == CHANNELS:
        return audio
    context = js.OfflineAudioContext.new(CHANNELS, audio.length, SAMPLE_RATE)
    source = context.createBufferSource()
    source.buffer = audio
    splitter = context.createChannelSplitter(audio.numberOfChannels)
    merger = context.createChannelMerger(CHANNELS)
    source.connect(splitter)
    merger.connect(context.destination)
    for channel, sides in enumerate(gains):
        for side, gain in enumerate(sides):
            if gain:
                node = context.createGain()
                node.gain.value = gain
                splitter.connect(node, channel)
                node.connect(merger, 0, side)
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
