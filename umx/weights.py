"""Our weight files: a folder per model, in it `manifest.json` and one gzip-compressed safetensors file per target.

Matrices are 8-bit integers with a float scale per row. Nothing in a file is believed before it is checked: sizes and
hashes against the manifest, names, types and shapes against the network that the manifest describes.

The safetensors package is a compiled one that Pyodide 0.27 doesn't have; the format is a length, a JSON header and the
bytes, so we read it here. https://github.com/huggingface/safetensors
"""

import hashlib
import json
import math
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .stems import RESERVED
from .types import Float, Int8

FORMAT = 1
MANIFEST = "manifest.json"
GZIP_MAGIC = b"\x1f\x8b"
LARGEST_HEADER = 1 << 16
LARGEST_TARGET = 1 << 30  # bytes
MOST_LAYERS = 16
CHUNK = 1 << 20
"""Bytes that are unpacked at a time."""
TARGET = re.compile(r"[\w-]{1,64}")
"""Names that a target may have: files are named after it."""
DTYPES: dict[str, np.dtype[Any]] = {"I8": np.dtype(np.int8), "F32": np.dtype("<f4")}

Tensor: TypeAlias = Int8 | Float
Shapes: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]


class WeightsError(ValueError):
    """A model that can't be found, read or trusted; the message says which and why."""


@dataclass(frozen=True)
class WeightFile:
    """One target's file: sizes in bytes and sha256 in hex, as it travels and unpacked."""

    file: str
    size: int
    sha256: str
    unpacked_size: int
    unpacked_sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a model is: whose, under which licence, of which shape, in which files."""

    name: str
    title: str
    licence: str
    credit: str
    source: str
    preset: str
    sample_rate: int
    n_fft: int
    hop: int
    channels: int
    bins: int
    max_bin: int
    hidden_size: int
    layers: int
    bidirectional: bool
    targets: dict[str, WeightFile]
    quality: dict[str, float] = field(default_factory=dict)  # SDR in dB by target
    quality_note: str = ""

    @classmethod
    def parse(cls, text: str, where: str) -> "Manifest":
        """Read and check a manifest. Raises WeightsError, naming `where` it came from."""
        _refuse_page(text.encode(), where)
        try:
            content = _json(text)
        except ValueError as error:
            raise WeightsError(f"{where} is not a model's manifest: it is no JSON.") from error
        if not isinstance(content, dict) or "format" not in content:
            raise WeightsError(f"{where} is not a model's manifest.")
        version = content.pop("format")
        if version != FORMAT:
            age = "a newer umx" if isinstance(version, int) and version > FORMAT else "an older umx"
            raise WeightsError(
                f"{where} is of format {version!r}, made for {age}; this one reads format {FORMAT}."
            )
        try:
            files = {str(t): WeightFile(**entry) for t, entry in content.pop("targets").items()}
            manifest = cls(targets=files, **content)
            manifest._check()
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            raise WeightsError(f"{where} is not a manifest that can be used: {error}.") from error
        return manifest

    def text(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    def check_network(self) -> None:
        """Raise ValueError for anything but the targets that is of the wrong type or out of bounds."""
        for name, kind in type(self).__annotations__.items():
            value = getattr(self, name)
            if kind is str and not isinstance(value, str):
                raise ValueError(f"{name} should be text")
            if kind is int and not (type(value) is int and 0 < value <= 1 << 20):
                raise ValueError(f"{name} should be a positive number")
        if type(self.bidirectional) is not bool:
            raise ValueError("bidirectional should be true or false")
        if self.channels != 2:
            raise ValueError("channels should be 2, because only stereo can be separated")
        if self.bins != self.n_fft // 2 + 1 or self.max_bin > self.bins:
            raise ValueError("n_fft, bins and max_bin don't fit together")
        if self.n_fft % self.hop or self.n_fft < 2 * self.hop:
            raise ValueError("n_fft should be a multiple of hop, at least twice as long")
        if self.hidden_size % (1 + self.bidirectional):
            raise ValueError("hidden_size should be even")
        if not all(isinstance(v, int | float) for v in self.quality.values()):
            raise ValueError("quality should be numbers")
        if self.layers > MOST_LAYERS:  # before they are listed, which would fill the memory
            raise ValueError("layers should be fewer")
        if self._size() > LARGEST_TARGET:
            raise ValueError("its network is too large")

    def _size(self) -> int:
        """Bytes of a target's tensors."""
        return sum(_bytes(dtype, shape) for dtype, shape in shapes(self).values())

    def _check(self) -> None:
        """Raise ValueError for anything that is of the wrong type or out of bounds."""
        self.check_network()
        if not self.targets:
            raise ValueError("it names no targets")
        needed = self._size()
        for target, entry in self.targets.items():
            if not TARGET.fullmatch(target) or target in RESERVED:
                raise ValueError(f"{target!r} can't be the name of a target")
            if not re.fullmatch(r"[\w-][\w.-]{0,127}", entry.file):
                raise ValueError(f"{entry.file!r} can't be the name of a file")
            for digest in (entry.sha256, entry.unpacked_sha256):
                if not re.fullmatch(r"[0-9a-f]{64}", digest):
                    raise ValueError(f"{digest!r} is no sha256")
            if type(entry.size) is not int or type(entry.unpacked_size) is not int:
                raise ValueError(f"the sizes of {entry.file} should be whole numbers")
            if not needed <= entry.unpacked_size <= needed + LARGEST_HEADER:
                raise ValueError(f"{entry.file} should hold {needed} bytes of weights")
            if not 0 < entry.size <= entry.unpacked_size + LARGEST_HEADER:
                raise ValueError(f"{entry.file} should not grow by compression")


@dataclass(frozen=True)
class Model:
    """A manifest and every target's tensors by name."""

    manifest: Manifest
    targets: Mapping[str, Mapping[str, Tensor]]


def shapes(manifest: Manifest) -> Shapes:
    """Every tensor that a target's file holds: its type and shape by name."""
    hidden = manifest.hidden_size
    directions = ("forward", "backward") if manifest.bidirectional else ("forward",)
    width = hidden // len(directions)
    out: Shapes = {"input_scale": ("F32", (manifest.max_bin,))}

    def linear(name: str, outputs: int, inputs: int, bias: bool = True) -> None:
        out[f"{name}.weight"] = ("I8", (outputs, inputs))
        out[f"{name}.scale"] = ("F32", (outputs,))
        if bias:
            out[f"{name}.bias"] = ("F32", (outputs,))

    linear("fc1", hidden, manifest.channels * manifest.max_bin)
    for layer in range(manifest.layers):
        for direction in directions:
            linear(f"lstm.{layer}.{direction}.input", 4 * width, hidden)
            linear(f"lstm.{layer}.{direction}.recurrent", 4 * width, width, bias=False)
    linear("fc2", hidden, 2 * hidden)
    linear("fc3", manifest.channels * manifest.bins, hidden)
    return out


def read_target(
    data: bytes | bytearray, entry: WeightFile, manifest: Manifest
) -> dict[str, Tensor]:
    """Unpack and check one target's file.

    data: as it travels, or already decompressed, as some servers and browsers leave it.
    Returns int8 and float32 arrays by name; they are views of one buffer.
    Raises WeightsError; never allocates more than the network that the manifest describes.
    """
    _refuse_page(data, entry.file)
    if data[:2] == GZIP_MAGIC:
        _expect(data, _hash(data), entry.size, entry.sha256, entry.file)
        data = _unpack(data, entry)
    return read_unpacked(data, _hash(data), entry, manifest)


def read_unpacked(
    data: bytes | bytearray, sha256: str, entry: WeightFile, manifest: Manifest
) -> dict[str, Tensor]:
    """As `read_target`, of decompressed data whose sha256 is known already, in hex."""
    where = f"{entry.file}, unpacked,"
    _expect(data, sha256, entry.unpacked_size, entry.unpacked_sha256, where)
    return _parse(data, shapes(manifest), entry.file)


def load_model(folder: Path) -> Model:
    """Read a model's folder. Raises WeightsError."""
    manifest = read_manifest(folder)
    targets = {}
    for target, entry in manifest.targets.items():
        try:
            data = (folder / entry.file).read_bytes()
        except OSError as error:
            raise WeightsError(f"{folder / entry.file} can't be read: {error.strerror}.") from error
        targets[target] = read_target(data, entry, manifest)
    return Model(manifest, targets)


def read_manifest(folder: Path) -> Manifest:
    """Read a model's manifest only. Raises WeightsError."""
    path = folder / MANIFEST
    try:
        return Manifest.parse(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} can't be read: {error}.") from error


def write_model(
    folder: Path, targets: Mapping[str, Mapping[str, Tensor]], **fields: Any
) -> Manifest:
    """Write a model's folder; the same tensors give the same bytes.

    fields: the manifest's other fields. Returns the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = {}
    for target, tensors in targets.items():
        entries[target], data = pack(target, tensors)
        (folder / entries[target].file).write_bytes(data)
    manifest = Manifest.parse(Manifest(targets=entries, **fields).text(), str(folder / MANIFEST))
    (folder / MANIFEST).write_text(manifest.text(), "utf-8")
    return manifest


def pack(target: str, tensors: Mapping[str, Tensor]) -> tuple[WeightFile, bytes]:
    """One target as it travels: its entry in the manifest, and the content of the file that it names."""
    plain = serialise(tensors)
    # Huffman codes only: repetitions among weights are chance, and a match costs more than it saves.
    packer = zlib.compressobj(9, wbits=31, strategy=zlib.Z_HUFFMAN_ONLY)
    packed = packer.compress(plain) + packer.flush()
    name = f"{target}.safetensors.gz"
    return WeightFile(name, len(packed), _hash(packed), len(plain), _hash(plain)), packed


def serialise(tensors: Mapping[str, Tensor]) -> bytes:
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


def find_model(name: str | Path) -> Path:
    """The folder of a model: a path to it, or its name in this checkout, the user's models or the package.

    Raises WeightsError, saying where it looked.
    """
    places = [Path(name).parent, *model_places()]
    for place in places:
        folder = place / Path(name).name
        if (folder / MANIFEST).is_file():
            return folder
    looked = ", ".join(str(place) for place in places)
    raise WeightsError(f"There is no model {str(name)!r} in any of {looked}.")


def model_places() -> list[Path]:
    """Where models are looked for by name: the checkout, the user's data folder, the installed package."""
    package = Path(__file__).parent
    return [package.parent / "weights", user_models(), package / "models"]


def user_models() -> Path:
    """Where this user's models are kept."""
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "umx"


def _unpack(data: bytes | bytearray, entry: WeightFile) -> bytearray:
    """Decompress a file into memory of the size that the manifest names.

    It is done a stretch at a time: all at once would take twice the memory for a moment.
    """
    unpacker, out, end = zlib.decompressobj(wbits=31), bytearray(entry.unpacked_size), 0
    try:
        for begin in range(0, len(data), CHUNK):
            stretch = memoryview(data)[begin : begin + CHUNK]
            piece = unpacker.decompress(stretch, len(out) - end + 1)
            out[end : end + len(piece)] = piece  # a file that is too long makes it grow by a byte
            end += len(piece)
            if end > entry.unpacked_size:
                break
    except zlib.error as error:
        raise WeightsError(f"{entry.file} is damaged: {error}.") from error
    if end != entry.unpacked_size or not unpacker.eof or unpacker.unused_data:
        raise WeightsError(f"{entry.file} does not unpack to the size that the manifest names.")
    return out


def _parse(data: bytes | bytearray, expected: Shapes, where: str) -> dict[str, Tensor]:
    """Views of the tensors in a safetensors file, all of `expected` and no others."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(LARGEST_HEADER, len(data) - 8):
        raise WeightsError(f"{where} is no safetensors file.")
    try:
        header = _json(data[8 : 8 + length])
    except ValueError as error:
        raise WeightsError(f"{where} is no safetensors file: its header is no JSON.") from error
    if not isinstance(header, dict):
        raise WeightsError(f"{where} is no safetensors file.")
    header.pop("__metadata__", None)
    if header.keys() != expected.keys():
        odd = sorted(header.keys() ^ expected.keys())[0]
        raise WeightsError(f"{where} is not of the network that its manifest describes: {odd!r}.")
    body = memoryview(data)[8 + length :]
    tensors: dict[str, Tensor] = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: _begin(item[1])):
        dtype, shape = expected[name]
        begin, end = end, end + _bytes(dtype, shape)
        if entry != {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}:
            raise WeightsError(f"{where} holds {name!r} in another form than its manifest says.")
        if end > len(body):
            raise WeightsError(f"{where} ends before {name!r} does.")
        tensors[name] = np.frombuffer(body[begin:end], DTYPES[dtype]).reshape(shape)
    if end != len(body):
        raise WeightsError(f"{where} goes on after its last tensor.")
    return tensors


def _json(text: str | bytes | bytearray) -> Any:
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


def _hash(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()


def _refuse_page(data: bytes | bytearray, where: str) -> None:
    """Raise WeightsError for what many hosts serve in place of a file that they don't have."""
    if re.match(rb"\s*<[!?a-zA-Z]", data):
        raise WeightsError(f"{where} is not there: a web page came instead; fetch it again.")


def _expect(data: bytes | bytearray, found: str, size: int, sha256: str, where: str) -> None:
    if len(data) != size:
        raise WeightsError(f"{where} has {len(data)} bytes instead of {size}; fetch it again.")
    if found != sha256:
        raise WeightsError(f"{where} is not the file that the manifest names; fetch it again.")
