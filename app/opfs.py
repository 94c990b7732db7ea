"""The origin's private file system, for workers: the page has no quick way to write there."""

import js
from pyodide.ffi import JsException, to_js

# Pyodide takes what has no stack for no error, and whoever awaits it waits for ever; Chromium's QuotaExceededError from
# the file system has none. Assigning would not do: in Firefox, the prototype has one that only its instances can set.
STACK = {"value": "", "writable": True, "configurable": True}
js.Object.defineProperty(
    js.DOMException.prototype, "stack", to_js(STACK, dict_converter=js.Object.fromEntries)
)


async def folder(*names: str, create: bool = False):
    """The folder at a path. Raises JsException where it isn't there, or the browser keeps nothing."""
    place = await js.navigator.storage.getDirectory()
    for name in names:
        place = await place.getDirectoryHandle(name, create=create)
    return place


async def write(place, name: str, data: bytes):
    """Write a file into a folder and give it, a File. Raises OSError where there is no room for it, else JsException.

    data: bytes, or an array of them.
    """
    try:
        handle = await place.getFileHandle(name, create=True)
        access = await handle.createSyncAccessHandle()
        try:
            access.truncate(0)
            if access.write(to_js(data)) != len(data):
                raise OSError("The disk is full.")
            access.flush()
        finally:
            access.close()
        return await handle.getFile()
    except JsException as error:
        if error.name == "QuotaExceededError":
            raise OSError("The disk is full.") from error
        raise


async def remove(place, name: str) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    try:
        await place.removeEntry(name, recursive=True)
    except JsException as error:
        if error.name != "NotFoundError":
            raise
