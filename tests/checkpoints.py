"""Checkpoints as `torch.save` writes them, made without torch."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from umx.models.openunmix.network import Network

GOLDEN = Path(__file__).parent / "parity" / "network.npz"
"""Random networks of four targets, and what the reference implementation makes of them."""
GOLDEN_NETWORK = Network(
    n_fft=128,
    hop=32,
    channels=2,
    bins=65,
    max_bin=47,
    hidden_size=16,
    layers=3,
    bidirectional=True,
)
"""Their shape."""


def golden_state(target: str) -> dict[str, np.ndarray]:
    """One target's state dict."""
    with np.load(GOLDEN) as golden:
        prefix = target + "."
        return {
            key.removeprefix(prefix): golden[key] for key in golden.files if key.startswith(prefix)
        }


def random_state(hidden: int, bins: int, max_bin: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The state dict of a network whose weights spread as those of trained ones do, over a few orders of magnitude."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        spread = np.exp(0.5 * rng.standard_normal((rows, columns)))
        return rng.standard_normal((rows, columns)) * spread / np.sqrt(columns)

    mean = rng.uniform(1, 2, max_bin) * np.geomspace(10, 1, max_bin)
    state = {"input_mean": -mean, "input_scale": 1 / mean}
    state |= {name: rng.uniform(0.5, 1, bins) for name in ("output_scale", "output_mean")}
    for name, size in (("bn1", hidden), ("bn2", hidden), ("bn3", 2 * bins)):
        state[f"{name}.weight"] = rng.uniform(0.5, 1.5, size)
        state[f"{name}.bias"] = rng.uniform(-0.5, 0.5, size)
        state[f"{name}.running_mean"] = rng.uniform(-0.5, 0.5, size)
        state[f"{name}.running_var"] = rng.uniform(0.5, 1.5, size)
    state["fc1.weight"] = matrix(hidden, 2 * max_bin)
    state["fc2.weight"] = matrix(hidden, 2 * hidden)
    state["fc3.weight"] = matrix(2 * bins, hidden)
    for end in (f"l{layer}{suffix}" for layer in range(3) for suffix in ("", "_reverse")):
        state[f"lstm.weight_ih_{end}"] = matrix(2 * hidden, hidden)
        state[f"lstm.weight_hh_{end}"] = matrix(2 * hidden, hidden // 2)
        state[f"lstm.bias_ih_{end}"] = state[f"lstm.bias_hh_{end}"] = np.zeros(2 * hidden)
    return {key: value.astype(np.float32) for key, value in state.items()}


def pth(state: Mapping[str, np.ndarray]) -> bytes:
    """A state dict of float32 tensors as a checkpoint in the zip format."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", _pickle(state))
        archive.writestr("archive/byteorder", "little")
        for number, value in enumerate(state.values()):
            archive.writestr(f"archive/data/{number}", np.asarray(value, "<f4").tobytes())
    return file.getvalue()


def th(state: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> bytes:
    """What Demucs's makers save: the class, its arguments, the state in half precision, and what training measured."""
    metrics = b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n(" + _text("f8") + b"\x89\x88tR("
    metrics += _number(3) + _text("<") + b"NNN" + _number(-1) * 2 + _number(0) + b"tb"
    metrics += b"c_codecs\nencode\n" + _text("8 bytes?") + _text("latin1") + b"\x86R\x86R"
    program = (
        b"\x80\x02}(" + _text("klass") + b"cdemucs.htdemucs\nHTDemucs\n" + _text("args") + b")"
    )
    program += _text("kwargs") + _plain(dict(arguments))
    program += _text("state") + _pickle(state, "HalfStorage")[2:-1]
    program += _text("metrics") + metrics + b"u."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        for number, value in enumerate(state.values()):
            archive.writestr(f"archive/data/{number}", np.asarray(value, "<f2").tobytes())
    return file.getvalue()


def safetensors(
    state: Mapping[str, np.ndarray], arguments: Mapping[str, Any], **more: Any
) -> bytes:
    """The same as the makers' safetensors file. more: entries of the metadata that differ."""

    def fraction(value: Fraction) -> dict[str, Any]:
        numbers = {"numerator": value.numerator, "denominator": value.denominator}
        return {"_type": "fraction", **numbers}

    said = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]"}
    said["kwargs"] = json.dumps(arguments, default=fraction)
    header: dict[str, Any] = {"__metadata__": said | more}
    parts, end = [], 0
    for name, tensor in state.items():
        part = np.asarray(tensor, "<f2").tobytes()
        place = [end, end + len(part)]
        header[name] = {"dtype": "F16", "shape": tensor.shape, "data_offsets": place}
        end += len(part)
        parts.append(part)
    text = json.dumps(header).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def _plain(value: Any) -> bytes:
    """The instructions that build plain data."""
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return _number(value)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return _text(value)
        case Fraction():
            numbers = _number(value.numerator) + _number(value.denominator)
            return b"cfractions\nFraction\n" + numbers + b"\x86R"
        case list() | tuple():
            return b"](" + b"".join(map(_plain, value)) + b"e"
        case dict():
            items = (_text(key) + _plain(part) for key, part in value.items())
            return b"}(" + b"".join(items) + b"u"
    raise TypeError(type(value).__name__)


def _pickle(state: Mapping[str, np.ndarray], storage_type: str = "FloatStorage") -> bytes:
    """{key: _rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())}, an instruction at a time."""
    out = b"\x80\x02}("
    for number, (key, value) in enumerate(state.items()):
        strides = [stride // value.itemsize for stride in np.ascontiguousarray(value).strides]
        storage = (
            _text("storage") + b"ctorch\n" + storage_type.encode() + b"\n" + _text(str(number))
        )
        storage += _text("cpu") + _number(value.size)
        out += _text(key) + b"ctorch._utils\n_rebuild_tensor_v2\n("
        out += b"(" + storage + b"tQ" + _number(0)
        out += b"(" + b"".join(map(_number, value.shape)) + b"t"
        out += b"(" + b"".join(map(_number, strides[: value.ndim])) + b"t"
        out += b"\x89ccollections\nOrderedDict\n)RtR"
    return out + b"u."


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _number(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)
