"""Tensors in a safetensors file: a length, a JSON header, and the bytes. https://github.com/huggingface/safetensors

The package safetensors is compiled, and Pyodide 0.27 doesn't have it, so the format is read here. Nothing in a file is
believed unchecked: names, types and shapes must be those of the network.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, WeightsError, damaged_checkpoint
from ..types import Float, Int8

LARGEST_HEADER = 1 << 18
"""Bytes; HTDemucs has 800 tensors, and 70 kB of them."""
DTYPES: dict[str, np.dtype[Any]] = {"I8": np.dtype(np.int8), "F32": np.dtype("<f4")}
"""Types of numbers in our files."""
FLOATS: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
"""Types of numbers in checkpoints."""

Tensor: TypeAlias = Int8 | Float
Tensors: TypeAlias = Mapping[str, Tensor]
Shapes: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]
"""The type, as DTYPES names it, and the shape of every tensor of a file, by the tensor's name."""


class Bytes(Protocol):
    """A file's content, wherever it lies: bytes, or in the browser an array outside of Python's memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes | bytearray | memoryview: ...


class Place(NamedTuple):
    """Where a tensor lies in a file."""

    begin: int
    end: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Stored(Mapping[str, Tensor]):
    """Tensors that stay in the file until they are asked for, one by one."""

    def __init__(self, content: Bytes, places: dict[str, Place]):
        self._content, self._places = content, places

    def __getitem__(self, name: str) -> Tensor:
        begin, end, dtype, shape = self._places[name]
        return np.frombuffer(self._content[begin:end], dtype).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


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


def parse(data: Bytes, expected: Shapes, where: str) -> Tensors:
    """The tensors in a safetensors file, all of `expected` and no others; of bytes, they are views.

    Raises WeightsError, naming `where` the file is.
    """

    def refuse(code: str, sentence: str, **fields: object) -> WeightsError:
        return WeightsError(f"weights.{code}", "{file} " + sentence, file=where, **fields)

    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(LARGEST_HEADER, len(data) - 8):
        raise refuse("no-safetensors", "is no safetensors file.")
    try:
        header = load_json(bytes(data[8 : 8 + length]))
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
    content = memoryview(data) if isinstance(data, bytes | bytearray) else data
    places: dict[str, Place] = {}
    start = end = 8 + length
    for name, entry in sorted(header.items(), key=lambda item: _begin(item[1])):
        dtype, shape = expected[name]
        begin, end = end, end + _bytes(dtype, shape)
        if entry != {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [begin - start, end - start],
        }:
            raise refuse(
                "other-network",
                "holds {tensor!r} in another form than its manifest says.",
                tensor=name,
            )
        if end > len(data):
            raise refuse("ends-early", "ends before {tensor!r} does.", tensor=name)
        places[name] = Place(begin, end, DTYPES[dtype], shape)
    if end != len(data):
        raise refuse("too-long", "goes on after its last tensor.")
    return Stored(content, places)


def is_checkpoint(head: bytes) -> bool:
    """Whether a file with this beginning may be a safetensors file."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LARGEST_HEADER


def read_checkpoint(file: BinaryIO) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The metadata and the tensors of a safetensors file that others wrote.

    Nothing is allocated before the file is known to hold it. Raises CheckpointError.
    """

    def damaged(what: str) -> CheckpointError:
        return damaged_checkpoint(f"it is no whole safetensors file ({what})")

    end = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(LARGEST_HEADER, end - 8):
        raise damaged("its header has another length")
    try:
        header = load_json(file.read(length))
    except ValueError as error:
        raise damaged("its header is no JSON") from error
    if not isinstance(header, dict):
        raise damaged("its header holds no names")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise damaged("its metadata are none")
    tensors: dict[str, NDArray[Any]] = {}
    place = 8 + length
    for name, entry in sorted(header.items(), key=lambda item: _begin(item[1])):
        dtype, shape = _form(entry)
        if dtype is None:
            raise damaged(f"its tensor {name[:64]!r} is of no type or shape that can be read")
        begin, size = place - 8 - length, math.prod(shape) * dtype.itemsize
        if entry["data_offsets"] != [begin, begin + size] or place + size > end:
            raise damaged(f"its tensor {name[:64]!r} does not lie where it should")
        tensors[name] = np.frombuffer(file.read(size), dtype).reshape(shape)
        place += size
    if place != end:
        raise damaged("it goes on after its last tensor")
    return metadata, tensors


def _form(entry: Any) -> tuple[np.dtype[Any] | None, list[int]]:
    """Type and shape of a checkpoint's tensor: None and [] where they make no sense."""
    match entry:
        case {"dtype": "F16" | "F32" as dtype, "shape": list(shape), "data_offsets": _}:
            if len(shape) <= 8 and all(type(n) is int and 0 <= n < 1 << 32 for n in shape):
                return FLOATS[dtype], shape
    return None, []


def load_json(text: str | bytes | bytearray) -> Any:
    """Parse JSON. Raises ValueError for other texts."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _begin(entry: Any) -> int:
    """First byte of a header entry's tensor; -1 where the entry doesn't say."""
    try:
        begin = entry["data_offsets"][0]
    except (TypeError, KeyError, IndexError):
        return -1
    return begin if type(begin) is int else -1


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * DTYPES[dtype].itemsize
