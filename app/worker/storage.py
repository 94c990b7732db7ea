"""The origin's private file system, for workers. The page itself has no fast way to write there.

A full disk is an OSError: `worker.stored` keeps the piece in memory then, and `converting` tells the visitor.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import js
from pyodide.ffi import JsException, create_proxy

from shared.facts import MODEL_SCHEME, MODELS_FOLDER
from umx.errors import WeightsError

CHUNK = 1 << 20
"""Bytes written at a time. Some kernels find room for many small writes sooner than for a large one."""

Folder = Any
"""A FileSystemDirectoryHandle."""


@contextmanager
def lent(data: bytes) -> Iterator[Any]:
    """A Uint8Array of Python's own bytes, without a copy; it lasts as long as the block."""
    proxy = create_proxy(data)
    buffer = proxy.getBuffer("u8")
    try:
        yield buffer.data
    finally:
        buffer.release()
        proxy.destroy()


async def folder(*names: str, create: bool = False) -> Folder:
    """The folder at a path. Raises JsException where it isn't there, or the browser keeps nothing."""
    place = await js.navigator.storage.getDirectory()
    for name in names:
        place = await place.getDirectoryHandle(name, create=create)
    return place


async def write(place: Folder, name: str, *parts: Any) -> Any:
    """Write a file into a folder, and return it, a File. Raises OSError where there is no room, else JsException.

    parts: bytes or arrays of uint8, written one after the other.
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


async def remove(place: Folder, name: str) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    try:
        await place.removeEntry(name, recursive=True)
    except JsException as error:
        if error.name != "NotFoundError":
            raise


async def model_folder(name: str, create: bool = False) -> Folder:
    """The folder of a model on the device. Raises JsException where it isn't there."""
    return await folder(MODELS_FOLDER, name, create=create)


async def model_file(address: str) -> Any:
    """The File at an address that begins with MODEL_SCHEME. Raises WeightsError if it isn't there."""
    name, file = address.removeprefix(MODEL_SCHEME).split("/")
    try:
        handle = await (await model_folder(name)).getFileHandle(file)
        return await handle.getFile()
    except JsException as error:
        raise WeightsError(
            "weights.gone",
            "{model} is no longer on this device ({reason}).",
            model=name,
            reason=error,
        ) from error


async def remove_model(name: str) -> None:
    """Remove a model's folder, if it is there."""
    await remove(await folder(MODELS_FOLDER, create=True), name)
