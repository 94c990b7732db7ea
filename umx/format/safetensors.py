"""Tensors in a safetensors file: a length, a JSON header, and the bytes. https://github.com/huggingface/safetensors

The safetensors package is a compiled one that Pyodide 0.27 doesn't have, so the format is read here. Nothing in a file
is believed before it is checked: names, types and shapes against those that the network has.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from ..errors import WeightsError
from ..types import Float, Int8

LARGEST_HEADER = 1 << 16
DTYPES: dict[str, np.dtype[Any]] = {"I8": np.dtype(np.int8), "F32": np.dtype("<f4")}

Tensor: TypeAlias = Int8 | Float
Tensors: TypeAlias = Mapping[str, Tensor]
Shapes: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]
"""The type, as DTYPES names it, and the shape of every tensor of a file, by the tensor's name."""


def size(shapes: Shapes) -> int:
    """Bytes of all these tensors."""
    return sum(_bytes(dtype, shape) for dtype, shape in shapes.values())


def serialise(tensors: Tensors) -> bytes:
    """Tensors as the bytes of a safetensors file, sorted by name."""
    codes = {dtype: code for code, dtype in DTYPES.items()}
    header, parts, end = {}, [], 0
    for name, tensor in sorted(tensors.items()):
        part = np.ascontiguousarray(tensor).tobytes()
        begin, end = end, end + len(part)
        header[name] = {
            "dtype": codes[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
        parts.append(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def parse(data: bytes | bytearray, expected: Shapes, where: str) -> dict[str, Tensor]:
    """Views of the tensors in a safetensors file, all of `expected` and no others.

    Raises WeightsError, naming `where` the file is.
    """

    def refuse(code: str, sentence: str, **fields: object) -> WeightsError:
        return WeightsError(f"weights.{code}", "{file} " + sentence, file=where, **fields)

    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(LARGEST_HEADER, len(data) - 8):
        raise refuse("no-safetensors", "is no safetensors file.")
    try:
        header = load_json(data[8 : 8 + length])
    except ValueError as error:
        raise refuse("no-safetensors", "is no safetensors file: its header is no JSON.") from error
    if not isinstance(header, dict):
        raise refuse("no-safetensors", "is no safetensors file.")
    header.pop("__metadata__", None)
    if header.keys() != expected.keys():
        odd = sorted(header.keys() ^ expected.keys())[0]
        raise refuse(
            "other-network",
            "is not of the network that its manifest describes: {tensor!r}.",
            tensor=odd,
        )
    body = memoryview(data)[8 + length :]
    tensors: dict[str, Tensor] = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: _begin(item[1])):
        dtype, shape = expected[name]
        begin, end = end, end + _bytes(dtype, shape)
        if entry != {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}:
            raise refuse(
                "other-network",
                "holds {tensor!r} in another form than its manifest says.",
                tensor=name,
            )
        if end > len(body):
            raise refuse("ends-early", "ends before {tensor!r} does.", tensor=name)
        tensors[name] = np.frombuffer(body[begin:end], DTYPES[dtype]).reshape(shape)
    if end != len(body):
        raise refuse("too-long", "goes on after its last tensor.")
    return tensors


def load_json(text: str | bytes | bytearray) -> Any:
    """Parse JSON. Raises ValueError for what is none."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _begin(entry: Any) -> int:
    """Where a header entry says that its tensor begins; -1 where it says nothing of the kind."""
    try:
        begin = entry["data_offsets"][0]
    except (TypeError, KeyError, IndexError):
        return -1
    return begin if type(begin) is int else -1


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * DTYPES[dtype].itemsize
