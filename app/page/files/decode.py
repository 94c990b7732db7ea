"""Decodes a file that the visitor chose to 44.1 kHz stereo, with the browser's own decoders."""

import js
from pyscript.ffi import create_proxy

from page.files import channels, media_library, refusals, stream
from page.files.sound import Sound, buffer, check_there, to_stereo
from page.files.wav import CHANNELS
from page.promises import RejectedError, settle
from shared.facts import SAMPLE_RATE
from umx.signal.layout import gains

LONG = 480
"""Seconds from which on a song is decoded piece by piece: the samples of eight minutes take 170 MB, and twice that
while they are decoded."""
LARGE = 100000000
"""Bytes of a file from which on it is decoded piece by piece: a video's picture needn't be in memory."""
A_GIGABYTE = 900
"""Seconds of a song that may be decoded as a whole, for each gigabyte of the device's memory. Their samples take a
third of it, and a browser holds them twice while it decodes."""
LONGEST = 7200
"""The limit on any device. Browsers have no buffer of more than 2 GB, which a channel may take at three hours."""
LARGEST = 1 << 30
"""Bytes of a file that may be read as a whole."""
PATIENCE = 5
"""Seconds that a browser's player has to find out how long a file is."""


async def decode(file):
    """A Sound, or for a long file a Stream. Raises DecodeError."""
    await check_there(file)
    seconds, layouts, is_surround = await facts(file)
    if seconds > LONG or is_surround or file.slice(LARGE, LARGE + 1).size:
        try:
            long = await stream.opened(file, layouts)
        except RejectedError:
            long = None  # the browser's own decoder may accept the damaged file
        if long and long.length > 0:
            return long
        if long:
            long.close()
        check_room(file, seconds)
    # A slice instead of the size: MicroPython truncates integers above 2³¹ on the way to Python.
    if file.slice(LARGEST, LARGEST + 1).size:
        raise refusals.too_large(file.name)
    try:
        audio = await buffer(await settle(file.arrayBuffer()))
    except RejectedError:
        await check_there(file)
        raise refusals.unreadable(file.name)
    if audio.length == 0:
        raise refusals.empty(file.name)
    count = audio.numberOfChannels
    return Sound(await to_stereo(audio, gains(layouts.get(count), count)))


def check_room(file, seconds):
    """Raise DecodeError if there is no memory for all of a song's samples at once."""
    most = min(LONGEST, A_GIGABYTE * (getattr(js.navigator, "deviceMemory", None) or 4))
    if seconds > most:
        raise refusals.too_long(file.name, seconds, most)


async def facts(file):
    """A file's length in seconds, approximately, 0 if nobody can tell; its channels' layouts, see `channels`; whether
    it has samples of more than two channels.

    Such files are decoded piece by piece, too: Firefox's own reader of WAV files makes noise of five and of seven.
    """
    try:
        with await media_library.opened(file) as source:
            track = await settle(source.getPrimaryAudioTrack())
            said = await settle(track.getDurationFromMetadata()) or await media_library.end_of(
                track
            )
            layouts = await channels.layouts(file, source, track)
            codec = await settle(track.getCodec()) or ""
            is_surround = await settle(track.getNumberOfChannels()) > CHANNELS
            return said, layouts, is_surround and codec.startswith("pcm-")
    except Exception:
        return await played(file), {}, False  # the library can't read it


async def played(file):
    """A file's length in seconds by the browser's player, 0 if it can't tell."""
    if not file.slice(0, 1).size:
        return 0  # the player would log an error about an empty file
    player, url = js.document.createElement("audio"), js.URL.createObjectURL(file)

    def executor(resolve, reject):
        player.onloadedmetadata = player.onerror = resolve
        js.setTimeout(resolve, 1000 * PATIENCE)

    try:
        known = js.Promise.new(create_proxy(executor))
        player.preload = "metadata"
        player.src = url
        await known
        return player.duration if js.isFinite(player.duration) else 0
    finally:
        player.removeAttribute("src")
        player.load()
        js.URL.revokeObjectURL(url)


async def own_rate(file, sound):
    """Sample rate of a file that was decoded to `sound`, and its number of samples a channel."""
    if isinstance(sound, stream.Stream):
        return sound.rate, sound.frames
    try:
        with await media_library.opened(file) as source:
            track = await settle(source.getPrimaryAudioTrack())
            rate = await settle(track.getSampleRate())
        if rate != SAMPLE_RATE:
            # Decode to count the samples: a container's times don't tell what the decoder drops.
            context = js.OfflineAudioContext.new(CHANNELS, 1, rate)
            own = await settle(context.decodeAudioData(await settle(file.arrayBuffer())))
            return rate, own.length
    except Exception:
        pass  # the library can't tell, or the browser can't play it
    return SAMPLE_RATE, sound.length
