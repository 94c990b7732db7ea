"""A long song, decoded a stretch at a time whenever one is needed, so that it never lies in memory as a whole.

A stretch is decoded from a second before it to a second after it: by then a decoder that starts within a file gives
what it gives of the whole, and a change of the sample rate knows what comes before and behind. It begins at a whole
second, where the samples of any two rates coincide, so stretches fit together to the sample.
"""

import gc

import js
from pyscript.ffi import to_js

from page.files import gapless, media_library, refusals
from page.files.sound import buffer, check_there, cut, to_stereo
from page.files.wav import CHANNELS
from page.promises import RejectedError, settle
from shared.facts import SAMPLE_RATE
from umx.signal.layout import gains

MARGIN = 1
"""Seconds before and behind a stretch. An MP3 frame may need the nine before it; Opus is itself after 80 ms."""
CODECS = ("mp3", "aac", "flac")
"""Codecs that can be decoded from anywhere. Vorbis can't: what its decoder drops depends on where it starts."""


async def opened(file, layouts):
    """A file's Stream, or None if this browser can't decode it piece by piece. layouts: see `channels`."""
    data, before, behind = await bare(file)
    if not data:
        return None
    reading, stream = await media_library.opened(data), None
    try:
        track = await settle(reading.source.getPrimaryAudioTrack())
        if await settle(track.canDecode()):
            rate = await settle(track.getSampleRate())
            # Browsers that decode a whole file leave out silence before the first timestamp: so does this.
            begin = max(0, await settle(track.getFirstTimestamp()))
            end = await media_library.end_of(track)
            frames = int((end - begin) * rate + 0.5) - before - behind
            count = await settle(track.getNumberOfChannels())
            sides = gains(layouts.get(count), count)
            stream = Stream(file, reading, rate, begin + before / rate, frames, sides)
        return stream
    finally:
        if not stream:
            reading.close()


async def bare(file):
    """The File or Blob to decode piece by piece, and the samples to leave out before and behind the song.

    The first is None where a codec can't be decoded piece by piece.
    """
    with await media_library.opened(file) as source:
        track = await settle(source.getPrimaryAudioTrack())
        codec = (await settle(track.getCodec()) if track else None) or ""
    if codec == "opus":
        # A decoder told of the pre-skip would drop it wherever it starts: it is set to 0, and dropped once here.
        start = await media_library.head(file)
        place, before = gapless.opus(start)
        if place is None or start[:4] != b"OggS":
            return None, 0, 0
        nothing = js.Uint8Array.new(2)
        parts = [file.slice(0, place), nothing, file.slice(place + 2)]
        return js.Blob.new(to_js(parts)), before, 0
    before, behind = gapless.mp3(await media_library.head(file)) if codec == "mp3" else (0, 0)
    is_possible = codec in CODECS or codec.startswith("pcm-")
    return file if is_possible else None, before, behind


class Stream:
    """Answers what `sound.Sound` does, but may raise DecodeError."""

    def __init__(self, file, reading, rate, begin, frames, gains):
        """reading: the file as the media library reads it; begin: seconds of it before the song.

        rate, frames: samples a second, and how many there are; gains: of its channels, as `sound.to_stereo` takes them.
        """
        self.file, self.reading = file, reading
        self.rate, self.frames, self.begin = rate, frames, begin
        self.length = frames * SAMPLE_RATE // rate  # rounded as browsers do
        # Firefox's reader of WAV files makes noise of five channels, and of seven: then there is a silent one more.
        self.gains = gains + [(0, 0)] if len(gains) > 3 and len(gains) % 2 else gains

    def close(self):
        self.reading.close()

    async def cut(self, starts, length):
        begin, end = starts[0], min(starts[-1] + length, self.length)
        audio, first = await self.stretch(begin, end - begin)
        mixture = cut(audio, [start - first for start in starts], length)
        # Python doesn't know how much browser memory its proxies hold, so it is told to collect.
        del audio
        gc.collect()
        return mixture

    async def windows(self, starts, length):
        # One window at a time: cutting them at once would decode all that lies between them.
        every = js.Float32Array.new(len(starts) * CHANNELS * length)
        for index, start in enumerate(starts):
            every.set(await self.cut([start], length), index * CHANNELS * length)
        return every

    async def stretch(self, start, samples):
        first = max(0, start // SAMPLE_RATE - MARGIN)
        end = -(-(start + samples) // SAMPLE_RATE) + MARGIN
        try:
            audio = await buffer(await self.read(first, end))
            count = audio.numberOfChannels
            # The container of some AAC files doesn't tell the count of channels; the decoder does.
            sides = self.gains if count == len(self.gains) else gains(None, count)
            audio = await to_stereo(audio, sides)
        except RejectedError:
            await check_there(self.file)
            raise refusals.damaged(self.file.name, start // SAMPLE_RATE)
        return audio, first * SAMPLE_RATE

    async def read(self, first, end):
        """From one second to another as a WAV file of floats, at the rate that the file has."""
        library = await media_library.library()
        # Start ¼ sample late. The library rounds, and a start slightly before the first sample makes it fail.
        begin = self.begin + 0.25 / self.rate
        target = library.BufferTarget.new()
        output = {"format": library.WavOutputFormat.new(), "target": target}
        options = {
            "input": self.reading.source,
            "output": library.Output.new(to_js(output)),
            "tracks": "primary",
            "audio": {"codec": "pcm-f32", "numberOfChannels": len(self.gains)},
            "video": {"discard": True},
            "trim": {"start": begin + first, "end": begin + end},
            "copy": False,
            "tags": {},
            "showWarnings": False,
        }
        # Reflect.get returns the class unbound; as an attribute it would be a bound copy without its static members.
        kind = js.Reflect.get(library, "Conversion")
        conversion = await settle(kind.init(to_js(options)))
        await settle(conversion.execute())
        return target.buffer
