"""Unpacks and hashes weight files with the browser's own code, several times as fast as Python in WebAssembly."""

from typing import Any

import js
from pyodide.ffi import JsException

from umx.format.manifest import Manifest, WeightFile
from umx.format.packing import GZIP_MAGIC, damaged, read_unpacked, read_weights
from umx.format.safetensors import Tensors


async def read(blob: Any, entry: WeightFile, manifest: Manifest) -> Tensors:
    """As `packing.read_weights`, for a Blob.

    That function does it where the file isn't packed, or the browser lacks something, as on pages without HTTPS.
    """
    start = (await blob.slice(0, len(GZIP_MAGIC)).arrayBuffer()).to_bytes()
    if start != GZIP_MAGIC or not hasattr(js, "DecompressionStream") or not subtle():
        return read_weights((await blob.arrayBuffer()).to_bytes(), entry, manifest)
    data = await unpacked(blob, entry)
    digest = (await subtle().digest("SHA-256", data)).to_bytes()
    return read_unpacked(Outside(data), digest.hex(), entry, manifest)


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
