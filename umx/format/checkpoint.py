"""Checkpoints (.pth, .th, .safetensors), read into numpy without torch and without running their pickle.

`torch.save` has had two formats: a zip archive (since 1.6) and a sequence of pickles. A pickle is a program. This
module knows the few instructions and names that tensors in dictionaries need, acts them out on plain data, and refuses
all others. Nothing is imported, called or allocated at a file's request.
"""

import pickletools
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, damaged_checkpoint
from . import safetensors

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
LARGEST_PICKLE = 1 << 20  # bytes; an object may take a hundred times the memory of its instruction
ZIP_MAGIC = b"PK\x03\x04"
STORAGES: dict[str, np.dtype[Any]] = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
}


class Checkpoint(dict[str, NDArray[Any]]):
    """The tensors of a state dict by name, and what the file says of the network.

    maker: full name of the network's class; arguments: those that it was made with, as the file has them. Both are
    empty where a file doesn't say.
    """

    maker = ""
    arguments: Mapping[str, Any] = {}


class Ignored:
    """An object that training left behind and nobody reads, such as a metric as a number of numpy's."""


class Name(NamedTuple):
    """A module's name that a pickle would import."""

    path: str


class Storage(NamedTuple):
    """Numbers that lie elsewhere in the file."""

    key: str
    dtype: np.dtype[Any]
    length: int


class View(NamedTuple):
    """A tensor: where its numbers lie in a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> Checkpoint:
    """What a file holds. Raises CheckpointError, naming the file."""
    try:
        with path.open("rb") as file:
            return read_file(file)
    except OSError as error:
        raise CheckpointError(
            "file.unreadable",
            "{file} can't be read: {reason}.",
            file=path,
            reason=error.strerror or error,
        ) from error
    except CheckpointError as error:
        raise error.within(str(path)) from error


def read_file(file: BinaryIO) -> Checkpoint:
    """The same for an open file."""
    file.seek(0)
    if safetensors.is_checkpoint(file.read(9)):
        return _read_safetensors(file)
    if _is_zip(file):
        return _read_zip(file)
    file.seek(0)
    if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
        raise _ends_early()
    file.seek(0)
    return _read_legacy(file)


def _is_zip(file: BinaryIO) -> bool:
    try:
        return zipfile.is_zipfile(file)
    except zipfile.BadZipFile:  # its directory says that it is of several disks
        return True


def _read_safetensors(file: BinaryIO) -> Checkpoint:
    """Demucs's makers write the class and its arguments into the metadata as JSON, a fraction as a dictionary."""
    metadata, tensors = safetensors.read_checkpoint(file)
    checkpoint = Checkpoint(tensors)
    if isinstance(metadata.get("klass"), str):
        checkpoint.maker = metadata["klass"]
    if isinstance(metadata.get("kwargs"), str):
        try:
            arguments = safetensors.load_json(metadata["kwargs"])
        except ValueError as error:
            raise damaged_checkpoint("its list of arguments is no JSON") from error
        if isinstance(arguments, dict):
            checkpoint.arguments = {
                name: _fraction(value["numerator"], value["denominator"])
                if isinstance(value, dict) and {"numerator", "denominator"} <= value.keys()
                else value
                for name, value in arguments.items()
            }
    return checkpoint


def _read_zip(file: BinaryIO) -> Checkpoint:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise _no_checkpoint()
            folder = pickles[0].removesuffix("data.pkl")
            order = folder + "byteorder"
            if order in names and _member(archive, order, 16) != b"little":
                raise _big_endian()

            def load(storage: Storage) -> NDArray[Any]:
                size = storage.length * storage.dtype.itemsize
                data = _member(archive, f"{folder}data/{storage.key}", size)
                if len(data) != size:
                    raise damaged_checkpoint(
                        f"storage {storage.key} has {len(data)} bytes, not {size}"
                    )
                return np.frombuffer(data, storage.dtype)

            program = BytesIO(_member(archive, pickles[0], LARGEST_PICKLE))
            content = _interpret(program)
            views = _views(content)
            # Members may overlap, which not every Python's zipfile notices.
            storages = {view.storage for view in views.values()}
            size = sum(storage.length * storage.dtype.itemsize for storage in storages)
            if size > file.seek(0, 2):
                raise _asks_too_much()
            return _described(Checkpoint(_tensors(views, load)), content)
    except CheckpointError:
        raise
    except (
        zipfile.BadZipFile,
        struct.error,
        KeyError,
        RuntimeError,
        EOFError,
        ValueError,
    ) as error:
        raise damaged_checkpoint(f"the archive is damaged: {error}") from error


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError(
            "checkpoint.compressed", "{name} is compressed, which PyTorch never does", name=name
        )
    if info.file_size > limit:
        raise damaged_checkpoint(
            f"{name} has {info.file_size} bytes, more than the {limit} it should"
        )
    return archive.read(info)


def _read_legacy(file: BinaryIO) -> Checkpoint:
    head = BytesIO(file.read(LARGEST_PICKLE))
    if _interpret(head) != LEGACY_MAGIC:
        raise _no_checkpoint()
    if _interpret(head) != LEGACY_PROTOCOL:
        raise CheckpointError(
            "checkpoint.protocol", "it is a PyTorch checkpoint of an unknown protocol"
        )
    system = _interpret(head)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _big_endian()
    content = _interpret(head)
    views = _views(content)
    keys = _interpret(head)
    storages = {view.storage.key: view.storage for view in views.values()}
    are_keys = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not are_keys or sorted(keys) != sorted(storages):
        raise damaged_checkpoint("its list of storages is not that of its tensors")
    file.seek(head.tell())
    loaded = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(file.read(8), "little")
        if count != storage.length:
            raise damaged_checkpoint(
                f"storage {key} has {count} numbers instead of {storage.length}"
            )
        loaded[key] = np.frombuffer(_exactly(file, count * storage.dtype.itemsize), storage.dtype)
    tensors = _tensors(views, lambda storage: loaded[storage.key])
    return _described(Checkpoint(tensors), content)


def _described(checkpoint: Checkpoint, content: Any) -> Checkpoint:
    """Add what Demucs's makers save beside the state: the class and its arguments."""
    match content:
        case {"klass": Name(path), "kwargs": dict(arguments)}:
            checkpoint.maker, checkpoint.arguments = path, arguments
    return checkpoint


def _exactly(file: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, asking first whether the file has so many."""
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    if end - here < size:
        raise _ends_early()
    return file.read(size)


def _views(content: Any) -> dict[str, View]:
    """The tensors in a state dict, or in the one that a checkpoint keeps under "state_dict" or, of Demucs, "state".

    Tensors may use the numbers of a storage twice at most, or a small file could ask for any amount of memory. Twice,
    because Open-Unmix's first models hold the STFT's window under two names.
    """
    for key in ("state_dict", "state"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise _no_tensors()
    views = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, View)}
    if not views:
        raise _no_tensors()
    storages: dict[str, Storage] = {}
    used: Counter[str] = Counter()
    for name, (storage, offset, shape, strides) in views.items():
        if storages.setdefault(storage.key, storage) != storage:
            raise damaged_checkpoint(f"storage {storage.key} has two types or sizes")
        reach = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if prod(shape) and offset + reach >= storage.length:
            raise damaged_checkpoint(f"tensor {name!r} reaches past the end of its storage")
        used[storage.key] += prod(shape)
        if used[storage.key] > 2 * storage.length:
            raise _asks_too_much()
    return views


def _tensors(
    views: Mapping[str, View], load: Callable[[Storage], NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The tensors, copied unless they are a whole storage. load: reads all numbers of a storage."""
    load = lru_cache(maxsize=1)(load)  # the weights of an LSTM may be parts of one storage
    out = {}
    for name, (storage, offset, shape, strides) in views.items():
        numbers = load(storage)
        steps = [stride * storage.dtype.itemsize for stride in strides]
        try:
            view = np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)
        except (ValueError, OverflowError) as error:
            raise damaged_checkpoint(f"tensor {name!r} has an impossible shape: {error}") from error
        is_whole = view.size == numbers.size and view.flags.c_contiguous
        out[name] = view if is_whole else view.copy()
    return out


def _interpret(file: BinaryIO) -> Any:
    """Act out one pickle on plain data: Name, Storage and View stand for what it would import and build."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    argument: Any

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    try:
        for opcode, argument, _ in pickletools.genops(file):
            match opcode.name:
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return stack.pop()
                case "MARK":
                    marks.append(len(stack))
                case "NONE":
                    stack.append(None)
                case "NEWTRUE" | "NEWFALSE":
                    stack.append(opcode.name == "NEWTRUE")
                case (
                    "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE"
                    | "SHORT_BINUNICODE" | "BINSTRING" | "SHORT_BINSTRING"
                ):  # fmt: skip
                    stack.append(argument)
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_LIST":
                    stack.append([])
                case "EMPTY_TUPLE":
                    stack.append(())
                case "TUPLE":
                    stack.append(tuple(since_mark()))
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    count = int(opcode.name[-1])
                    stack[-count:] = [tuple(stack[-count:])]
                case "APPEND":
                    value = stack.pop()
                    _a(list, stack[-1]).append(value)
                case "APPENDS":
                    items = since_mark()
                    _a(list, stack[-1]).extend(items)
                case "SETITEM":
                    value, key = stack.pop(), stack.pop()
                    _put(stack[-1], [key], [value])
                case "SETITEMS":
                    items = since_mark()
                    _put(stack[-1], items[::2], items[1::2])
                case "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "GLOBAL":
                    stack.append(Name(argument.replace(" ", ".")))
                case "STACK_GLOBAL":
                    name, module = _a(str, stack.pop()), _a(str, stack.pop())
                    stack.append(Name(f"{module}.{name}"))
                case "BINPERSID":
                    stack.append(_storage(stack.pop()))
                case "REDUCE":
                    arguments, function = stack.pop(), stack.pop()
                    stack.append(_call(function, arguments))
                case "BUILD":
                    stack.pop()  # a state dict's _metadata, or what an ignored number is made of
                    if type(stack[-1]) is not Ignored:
                        _a(dict, stack[-1])
                case other:
                    raise _hostile(f"its pickle has the instruction {other}")
    except CheckpointError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise damaged_checkpoint(f"its pickle is damaged or none at all ({error})") from error
    raise damaged_checkpoint("its pickle has no end")


def _a(kind: type, value: Any) -> Any:
    """Return `value`. Raises CheckpointError unless it is of exactly this type, not of a subclass."""
    if type(value) is not kind:
        found, wanted = type(value).__name__, kind.__name__
        raise _hostile(f"its pickle uses a {found} as if it were a {wanted}")
    return value


def _put(target: Any, keys: list[Any], values: list[Any]) -> None:
    """Put items into a dictionary. Keys are never tuples: hashing one can take for ever, or all of the stack."""
    if not all(type(key) in (str, int) for key in keys):
        raise _hostile("its pickle has a key that is neither a name nor a number")
    _a(dict, target).update(zip(keys, values, strict=True))


def _storage(reference: Any) -> Storage:
    match reference:
        case ("storage", Name(path), str(key), _, int(length), *_) if (
            path in STORAGES and length >= 0
        ):
            return Storage(key, STORAGES[path], length)
    kind = reference[1] if type(reference) is tuple and len(reference) > 1 else reference
    raise _hostile(f"its pickle refers to {_title(kind)}, which is no storage of numbers")


def _call(function: Any, arguments: Any) -> Any:
    """Result that the pickle expects of `function`, for the few functions that tensors need."""
    match function, arguments:
        case Name("collections.OrderedDict"), ():
            return {}
        case Name("torch._utils._rebuild_parameter"), (View() as view, *_):
            return view
        case Name("fractions.Fraction"), (int(over), int(under)):
            return _fraction(over, under)
        case Name("fractions.Fraction"), (str(written),):  # Python before 3.11
            if re.fullmatch(r"[0-9]{1,6}(/[0-9]{1,6})?", written):
                parts = written.split("/")
                return _fraction(int(parts[0]), int(parts[-1]) if parts[1:] else 1)
        case Name("_codecs.encode"), (str(), "latin1"):
            return Ignored()
        case Name("numpy.dtype"), (str(), *_):
            return Ignored()
        case (
            Name("numpy.core.multiarray.scalar" | "numpy._core.multiarray.scalar"),
            (Ignored(), Ignored()),
        ):
            return Ignored()
        case (
            Name("torch._utils._rebuild_tensor_v2"),
            (Storage() as storage, int(offset), tuple(shape), tuple(strides), *_),
        ):
            numbers = (offset, *shape, *strides)
            if len(shape) == len(strides) and all(type(n) is int and n >= 0 for n in numbers):
                return View(storage, offset, shape, strides)
    raise _hostile(f"its pickle calls {_title(function)}, which is not needed for tensors")


def _fraction(over: Any, under: Any) -> Fraction:
    """A fraction of two reasonable whole numbers. Raises CheckpointError for any others."""
    if type(over) is int and type(under) is int and 0 < over < 1 << 20 and 0 < under < 1 << 20:
        return Fraction(over, under)
    raise damaged_checkpoint("it holds a fraction that is none")


def _title(value: Any) -> str:
    """A value's description in error messages: never the value itself, which may be endless."""
    return value.path if isinstance(value, Name) else f"a {type(value).__name__}"


def _hostile(reason: str) -> CheckpointError:
    """The error for a pickle that does more than tensors need."""
    return CheckpointError("checkpoint.hostile", "{reason}", reason=reason)


def _asks_too_much() -> CheckpointError:
    return CheckpointError(
        "checkpoint.asks-too-much", "its tensors ask for more numbers than it holds"
    )


def _big_endian() -> CheckpointError:
    return CheckpointError(
        "checkpoint.big-endian", "its numbers are big-endian, which is not supported"
    )


def _ends_early() -> CheckpointError:
    return CheckpointError("checkpoint.ends-early", "it ends early; fetch it again")


def _no_checkpoint() -> CheckpointError:
    return CheckpointError("checkpoint.none", "it is no PyTorch checkpoint")


def _no_tensors() -> CheckpointError:
    return CheckpointError("checkpoint.no-tensors", "it holds no tensors")
