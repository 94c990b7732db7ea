"""Checkpoints as `torch.save` writes them, made without torch."""

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "parity" / "network.npz"
"""Random networks of four targets, and what the reference implementation makes of them."""


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


def _pickle(state: Mapping[str, np.ndarray]) -> bytes:
    """{key: _rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())}, an instruction at a time."""
    out = b"\x80\x02}("
    for number, (key, value) in enumerate(state.items()):
        strides = [stride // value.itemsize for stride in np.ascontiguousarray(value).strides]
        storage = _text("storage") + b"ctorch\nFloatStorage\n" + _text(str(number))
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
