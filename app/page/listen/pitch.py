"""Pitch at other speeds: an audio worklet shifts it back. It is fetched when it is first needed."""

import math

import js
from pyscript import js_import
from pyscript.ffi import to_js

from page import view
from page.promises import settle

SCRIPT = "app/vendor/signalsmith-stretch/SignalsmithStretch.mjs"


def is_possible():
    """Browsers have audio worklets only over https, or from the computer itself."""
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
