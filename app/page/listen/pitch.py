"""Pitch at another speed or in another key: an audio worklet shifts it. It is fetched when it is first needed."""

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
"""Samples of a file at another speed or in another key: the browser renders it in one go, in 8 bytes a sample."""
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


async def tune(node, shift):
    """Have a shifter do what `tuning.shifts` says. Gives its latency in seconds, which is the same for all."""
    await settle(node.schedule(to_js(shift)))
    return await settle(node.latency())


def tuned_length(length, speed):
    """How many samples `length` of them are at another speed. Raises ValueError if they are more than LONGEST."""
    count = int(length / speed + 0.5)
    if count > LONGEST:
        text = tr(
            "At another speed or in another key, a file has at most {} minutes: save a loop instead."
        )
        raise ValueError(text.format(LONGEST // SAMPLE_RATE // 60))
    return count


async def tuned(library, parts, length, kind, speed, shift):
    """Samples as they are heard at a speed and after a shift: a Blob of `tuned_length` 32-bit floats a channel.

    library: the media library; parts: `length` samples of a kind in Blobs; shift: as `tuning.shifts` has it, or None.
    Raises ValueError as `tuned_length` does, RejectedError where the shifter can't be had.
    """
    count = tuned_length(length, speed)
    context = js.OfflineAudioContext.new(CHANNELS, count + LATEST, SAMPLE_RATE)
    target, delay = context.destination, 0
    if shift:
        target = await shifter(context)
        target.connect(context.destination)
        delay = int(await tune(target, shift) * SAMPLE_RATE + 0.5)
    silence = (
        context.createConstantSource()
    )  # without any input the shifter would stop before its end
    silence.offset.value = 0
    data = await settle(wav_blob(parts, length, kind).arrayBuffer())
    song = context.createBufferSource()
    song.buffer = await settle(context.decodeAudioData(data))
    song.playbackRate.value = speed
    for source in (silence, song):
        source.connect(target)
        source.start()
    audio = await settle(context.startRendering())
    planes = [
        audio.getChannelData(index).subarray(delay, delay + count) for index in range(CHANNELS)
    ]
    return interleaved(library, planes, count)
