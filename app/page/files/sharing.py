"""Hands files to other programs of a phone, where downloads end up in places that few people find."""

import js
from pyscript.ffi import to_js

from page.promises import RejectedError, settle

FINGERS = "(hover: none) and (pointer: coarse)"


def is_wanted():
    """Whether this is a phone or a tablet whose browser can share a file."""
    can = getattr(js.navigator, "canShare", None)
    example = js.File.new(to_js(["x"]), "x.wav", to_js({"type": "audio/wav"}))
    return bool(can and js.matchMedia(FINGERS).matches and js.navigator.canShare(given([example])))


def given(files):
    return to_js({"files": files})


async def shared(files):
    """Have the visitor pick a program for some files, as `downloads.stem_files` has them. Returns whether one got them.

    To be called by a click's handler, which browsers ask for. Raises RejectedError.
    """
    some = [js.File.new(to_js([blob]), name, to_js({"type": blob.type})) for _, name, blob in files]
    try:
        await settle(js.navigator.share(given(some)))
    except RejectedError as error:
        if error.name == "AbortError":
            return False  # the visitor has closed the dialog
        raise
    return True
