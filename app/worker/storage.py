"""The origin's private file system, for workers: the page has no quick way to write there."""

from collections.abc import Iterator
from contextlib import contextmanager

import js
from pyodide.ffi import JsException, create_proxy, to_js

# Pyodide takes what has no stack for no error, and whoever awaits it waits for ever; Chromium's QuotaExceededError from
# the file system has none. Assigning would not do: in Firefox, the prototype has one that only its instances can set.
STACK = {"value": "", "writable": True, "configurable": True}
js.Object.defineProperty(
    js.DOMException.prototype, "stack", to_js(STACK, dict_converter=js.Object.fromEntries)
)

CHUNK = 1 << 20
"""Bytes written at a time: to find room for more at once takes some kernels longer than for as many bit by bit."""


@contextmanager
def lent(data: bytes) -> Iterator[js.Uint8Array]:
    """Python's own bytes as a Uint8Array, without a copy, for as long as the block lasts."""
    proxy = create_proxy(data)
    buffer = proxy.getBuffer("u8")
    try:
        yield buffer.data
    finally:
        buffer.release()
        proxy.destroy()


async def folder(*names: str, create: bool = False):
    """The folder at a path. Raises JsException where it isn't there, or the browser keeps nothing."""
    place = await js.navigator.storage.getDirectory()
    for name in names:
        place = await place.getDirectoryHandle(name, create=create)
    return place


async def write(place, name: str, *parts: bytes):
    """Write a file into a folder and give it, a File. Raises OSError where there is no room for it, else JsException.

    parts: one after the other; each is bytes, or an array of them.
    """
    try:
        handle = await place.getFileHandle(name, create=True)
        access = await handle.createSyncAccessHandle()
        try:
            access.truncate(0)
            for part in parts:
                with lent(part) as data:
                    for start in range(0, len(part), CHUNK):
                        some = data.subarray(start, start + CHUNK)
                        if access.write(some) != some.length:
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
