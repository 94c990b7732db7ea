"""The origin's private file system, where the browser has one."""

import js
from pyscript.ffi import to_js

from page.promises import in_time, outcome


async def folder(name):
    """One of its folders, made if need be. None where there is no such storage, as over plain http, or no answer."""
    storage = getattr(js.navigator, "storage", None)
    if not getattr(storage, "getDirectory", None):
        return None
    return await in_time(made(storage, name))


async def made(storage, name):
    root = await outcome(storage.getDirectory())
    return root and await outcome(root.getDirectoryHandle(name, to_js({"create": True})))


async def names(folder):
    """Names in a folder, as far as it can be read."""
    found, keys = [], folder.keys()
    while True:
        step = await outcome(keys.next())
        if not step or step.done:
            return found
        found.append(step.value)
