"""Quantising: matrices of floats become 8-bit integers with a step a row, which take fewer bits in a gzip file."""

from collections.abc import Mapping

import numpy as np

from ..errors import ConvertError
from ..types import Float
from .safetensors import Shapes, Tensor, Tensors
from .step_sizes import LARGEST

PRESETS = {"web": 3.0, "fine": 4.0, "best": None}
"""Bits per weight in a gzip file. None: as many as 8-bit integers need."""

BLOCK = 256
"""Rows that are rounded together."""


def check(tensors: Tensors, expected: Shapes) -> None:
    """Raise ConvertError unless these tensors, still floats, are finite and of the shapes that a file must have."""
    found = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        shape = expected[name][1] if name in expected else None
        if found.get(name) != shape:
            raise ConvertError(
                "convert.tensor-shape", "its {tensor} has shape {found} instead of {shape}.",
                tensor=name, found=found.get(name), shape=shape,
            )  # fmt: skip
        if not np.isfinite(tensors[name]).all():
            raise ConvertError(
                "convert.not-finite", "its {tensor} holds numbers that are not finite.", tensor=name
            )


def round_weights(
    folded: Mapping[str, Float], steps: Mapping[str, Float], means: Mapping[str, Float]
) -> dict[str, Tensor]:
    """Round matrices to the given steps, or with `quantize_rows` where there are none.

    steps: float32 (rows,) by matrix, no smaller than the row's largest weight divided by 127.
    means: average inputs, float32 (inputs,) by matrix, for biases to make up for what rounding does to an average input
    (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019).
    """
    out: dict[str, Tensor] = dict(folded)
    for key, weight in folded.items():
        if key.endswith(".weight"):
            name = key.removesuffix(".weight")
            mean = means.get(name)
            integers = np.empty(weight.shape, np.int8)
            step, lost = np.empty((2, len(weight)), np.float32)
            # All rows at once would be in memory several times.
            for start in range(0, len(weight), BLOCK):
                rows = slice(start, start + BLOCK)
                if name in steps:
                    step[rows] = steps[name][rows]
                    integers[rows] = np.rint(weight[rows] / step[rows, np.newaxis])
                else:
                    integers[rows], step[rows] = quantize_rows(weight[rows])
                if mean is not None:
                    lost[rows] = (weight[rows] - integers[rows] * step[rows, np.newaxis]) @ mean
            out[key], out[f"{name}.scale"] = integers, folded[f"{name}.scale"] * step
            if mean is not None:
                out[f"{name}.bias"] = folded[f"{name}.bias"] + folded[f"{name}.scale"] * lost
    return out


def quantize_rows(matrix: Float) -> tuple[Tensor, Float]:
    """matrix ≈ integers * step[:, None]: int8 (rows, columns) and float32 (rows,).

    A row's step is the one of a few candidates with the least squared error. It may limit a single large weight if that
    makes the others more precise.
    """
    peak = np.maximum(np.abs(matrix).max(axis=1), np.float32(1e-30))
    best = np.full(len(matrix), np.inf, np.float32)
    integers = np.zeros(matrix.shape, np.int8)
    steps = np.ones(len(matrix), np.float32)
    for part in (1.0, 0.9, 0.8, 0.7, 0.6):
        step = (peak * np.float32(part / LARGEST)).astype(np.float32)
        rounded = np.clip(np.rint(matrix / step[:, np.newaxis]), -LARGEST, LARGEST)
        error = np.square(rounded * step[:, np.newaxis] - matrix).sum(axis=1)
        better = error < best
        integers[better], steps[better], best[better] = rounded[better], step[better], error[better]
    return integers, steps
