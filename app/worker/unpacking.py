"""Unpacks and hashes weight files with the browser's own code, several times as fast as Python in WebAssembly."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import js
from pyodide.ffi import JsException

from umx.format.manifest import Manifest, WeightFile
from umx.format.packing import GZIP_MAGIC, damaged, read_unpacked, read_weights
from umx.format.safetensors import Tensors

LARGEST = 32 << 20
"""Bytes that the browser hashes: it copies them as a whole, and frees the copy late."""
CHUNK = 1 << 20
"""Bytes that are hashed at a time where Python does it."""


@asynccontextmanager
async def opened(blob: Any, entry: WeightFile, manifest: Manifest) -> AsyncIterator[Tensors]:
    """As `packing.read_weights`, for a Blob. The tensors are gone at the end.

    That function does it where the file isn't packed, or the browser lacks something, as on pages without HTTPS.
    """
    start = (await blob.slice(0, len(GZIP_MAGIC)).arrayBuffer()).to_bytes()
    if start != GZIP_MAGIC or not hasattr(js, "DecompressionStream") or not subtle():
        yield read_weights((await blob.arrayBuffer()).to_bytes(), entry, manifest)
        return
    data = Outside(await unpacked(blob, entry))
    try:
        yield read_unpacked(data, await data.sha256(), entry, manifest)
    finally:
        data.free()


class Outside:
    """Bytes in the browser's memory, copied where they are asked for: Pyodide's heap never shrinks again."""

    def __init__(self, data: Any):
        """data: a Uint8Array."""
        self._data = data

    def __len__(self) -> int:
        return int(self._data.length)

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(len(self))
        whole: bytes = self._data.subarray(begin, end).to_bytes()
        return whole

    async def sha256(self) -> str:
        """In hex."""
        if len(self) <= LARGEST:
            digest: bytes = (await subtle().digest("SHA-256", self._data)).to_bytes()
            return digest.hex()
        hashed = hashlib.sha256()
        for begin in range(0, len(self), CHUNK):
            hashed.update(self[begin : begin + CHUNK])
        return hashed.hexdigest()

    def free(self) -> None:
        """Give the memory back at once, where browsers can."""
        if hasattr(self._data.buffer, "transfer"):
            self._data.buffer.transfer(0)


def subtle() -> Any:
    """The browser's cryptography; None on pages without HTTPS."""
    return getattr(js.crypto, "subtle", None)


async def unpacked(blob: Any, entry: WeightFile) -> Any:
    """The unpacked bytes, a Uint8Array, at most one more than the manifest states. Raises WeightsError."""
    out, end = js.Uint8Array.new(entry.unpacked_size + 1), 0
    reader = blob.stream().pipeThrough(js.DecompressionStream.new("gzip")).getReader()
    try:
        while end < out.length and not (step := await reader.read()).done:
            piece = step.value.subarray(0, out.length - end)
            out.set(piece, end)
            end += piece.length
        await reader.cancel()
    except JsException as error:
        raise damaged(entry, error) from error
    return out.subarray(0, end)
