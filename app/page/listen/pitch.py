"""Pitch at other speeds: an audio worklet shifts it back. It is fetched when it is first needed."""

import math

import js
from pyscript import js_import
from pyscript.ffi import to_js

from page import view
from page.files.encode import interleaved, wav_blob
from page.files.wav import CHANNELS
from page.promises import settle
from page.text.texts import tr
from shared.facts import SAMPLE_RATE

SCRIPT = "app/vendor/signalsmith-stretch/SignalsmithStretch.mjs"

LONGEST = 20 * 60 * SAMPLE_RATE
"""Samples of a file at another speed: the browser renders it in one go, in 8 bytes a sample."""
LATEST = SAMPLE_RATE
"""Largest latency of a shifter, in samples. Real ones are a fraction of it."""


def is_possible():
    """Whether the browser has audio worklets: only over https, or from the computer itself."""
    return bool(getattr(js.window, "AudioWorkletNode", None))


async def shifter(context):
    """A node that shifts the pitch of all that is connected to it. Raises RejectedError if it can't be fetched."""
    address = view.address(SCRIPT)
    module = (await settle(js_import(address)))[0]
    # Reflect.get returns the function unbound; `module.default` would be a bound copy without our `moduleUrl`.
    make = js.Reflect.get(module, "default")
    make.moduleUrl = (
        address  # otherwise each context makes a Blob URL of the module, and never revokes it
    )
    return await settle(make(context))


async def compensate(node, rate):
    """Set a shifter to undo the change of pitch that a rate brings. Gives the shifter's latency in seconds."""
    semitones = -12 * math.log(rate) / math.log(2)
    # No tonality limit (0): the rate has shifted all frequencies alike.
    wanted = {"active": True, "semitones": semitones, "tonalityHz": 0}
    await settle(node.schedule(to_js(wanted)))
    return await settle(node.latency())


async def at_speed(library, parts, length, kind, rate):
    """Samples at another speed and the same pitch, as they are heard: a Blob of 32-bit floats, and how many they are.

    library: the media library; parts: `length` samples of a kind in Blobs. Raises ValueError for more than LONGEST,
    RejectedError where the shifter can't be had.
    """
    count = int(length / rate + 0.5)
    if count > LONGEST:
        text = tr("At another speed, a file has at most {} minutes: save a loop instead.")
        raise ValueError(text.format(LONGEST // SAMPLE_RATE // 60))
    context = js.OfflineAudioContext.new(CHANNELS, count + LATEST, SAMPLE_RATE)
    node = await shifter(context)
    node.connect(context.destination)
    delay = int(await compensate(node, rate) * SAMPLE_RATE + 0.5)
    silence = (
        context.createConstantSource()
    )  # without any input the shifter would stop before its end
    silence.offset.value = 0
    data = await settle(wav_blob(parts, length, kind).arrayBuffer())
    song = context.createBufferSource()
    song.buffer = await settle(context.decodeAudioData(data))
    song.playbackRate.value = rate
    for source in (silence, song):
        source.connect(node)
        source.start()
    audio = await settle(context.startRendering())
    planes = [
        audio.getChannelData(index).subarray(delay, delay + count) for index in range(CHANNELS)
    ]
    return interleaved(library, planes, count), count
