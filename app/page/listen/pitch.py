"""Keeps the pitch of what is played faster or slower: a shifter, which is fetched only when it is wanted."""

import math

import js
from promises import settle
from pyscript import js_import
from pyscript.ffi import to_js

SCRIPT = "app/vendor/signalsmith-stretch/SignalsmithStretch.mjs"


def is_possible():
    """Browsers have audio worklets only over https, or from the computer itself."""
    return bool(getattr(js.window, "AudioWorkletNode", None))


async def shifter(context):
    """A node that shifts the pitch of all that is connected to it. Raises RejectedError if it can't be fetched."""
    address = js.URL.new(SCRIPT, js.document.baseURI).href
    module = (await settle(js_import(address)))[0]
    # Itself: an attribute would be another, bound to the module.
    make = js.Reflect.get(module, "default")
    make.moduleUrl = address  # else every context gets a Blob of it, which nobody revokes
    return await settle(make(context))


async def keep(node, rate):
    """Have a shifter take back what playing at a rate does to the pitch. Gives the seconds by which it is late."""
    semitones = -12 * math.log(rate) / math.log(2)
    # Up to no frequency only (0): all of them went up or down alike.
    wanted = {"active": True, "semitones": semitones, "tonalityHz": 0}
    await settle(node.schedule(to_js(wanted)))
    return await settle(node.latency())
