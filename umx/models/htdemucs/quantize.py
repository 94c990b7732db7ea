"""Quantising: float matrices become integers of 13 bits, or of 8, with a scale a row.

A row's step is its largest weight divided by `Preset.largest`, but no less than its deviation divided by
`Preset.deviation`. The second bound limits a file's size whatever its weights are: a Huffman code takes hardly more
than the entropy, and of all distributions with a deviation the normal one has the largest, log2(4.13 deviation) bits,
the deviation in steps.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...format.safetensors import Tensor
from ...types import Float


class Preset(NamedTuple):
    """bits: of a weight in memory. largest: weight, in steps. deviation: of a row, in steps, at most."""

    bits: int
    largest: int
    deviation: int


PRESETS = {
    "web": Preset(16, 4095, 950),
    "best": Preset(16, 4095, 4095),
    "small": Preset(8, 127, 31),
}
"""Bits a weight in a file: 12.0, at most 13, and 7.0. docs/quantising.md has what that makes in MB."""


def quantize(folded: Mapping[str, Float], preset: str) -> dict[str, Tensor]:
    """The tensors that `shapes` names, of those that `fold` returns."""
    out: dict[str, Tensor] = {}
    for key, tensor in folded.items():
        name, _, kind = key.rpartition(".")
        if kind != "weight":
            out[key] = tensor
            continue
        integers, out[f"{name}.scale"] = rounded(tensor, PRESETS[preset])
        if PRESETS[preset].bits == 16:
            low = integers.astype(np.int8)  # wraps around
            out[f"{name}.low"] = low
            integers = (integers - low) >> 8
        out[key] = integers.astype(np.int8)
    return out


def rounded(matrix: Float, preset: Preset) -> tuple[NDArray[np.int16], Float]:
    """matrix ≈ integers * step[:, None]: int16 (rows, columns) and float32 (rows,)."""
    peak = np.maximum(np.abs(matrix).max(axis=1), np.float32(1e-30))
    deviation = np.sqrt(
        np.square(matrix / peak[:, np.newaxis]).mean(axis=1)
    )  # of the largest weight
    largest, most = np.float32(preset.largest), np.float32(preset.deviation)
    step = peak * np.maximum(1 / largest, deviation / most)
    return np.rint(matrix / step[:, np.newaxis]).astype(np.int16), step
