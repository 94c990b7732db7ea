"""Quantising: a checkpoint's float tensors become ours, first folded into fewer layers, then 8 bits per weight or less.

Folding: batch norm after a matrix is a scale and a bias per row, and so are output scale and mean. The input's shift
goes into the first bias. Its scale ranges over orders of magnitude, so it stays a vector of its own.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .steps import LARGEST, coarse_steps
from .types import Float
from .weights import Tensor

BATCH_NORM_EPSILON = 1e-5  # torch.nn.BatchNorm1d's
PRESETS = {"web": 3.0, "best": None}
"""Bits per weight in a gzip file. None: as many as 8-bit integers need."""

BLOCK = 256
"""Rows that are rounded at a time."""


class ShapeError(ValueError):
    """A checkpoint that isn't an Open-Unmix."""


def fold(state: Mapping[str, Float]) -> dict[str, Float]:
    """Turn one target's state dict into our layers, still in float32.

    Returns the tensors that `weights.shapes` names, with float weights. Raises ShapeError, naming what is missing.
    """
    try:
        return _fold({key: _precise(value) for key, value in state.items()})
    except KeyError as error:
        raise ShapeError(f"it has no {error}, so it is no Open-Unmix.") from error
    except ValueError as error:
        raise ShapeError(f"its tensors don't fit together: {error}.") from error


def mean_inputs(state: Mapping[str, NDArray[Any]]) -> dict[str, Float]:
    """Average inputs of fc1 and fc3, float32 (inputs,) by name, as a state dict tells them.

    fc1's inputs are magnitudes, whose mean the network holds. fc3's are rectified outputs of a batch norm: nearly
    normally distributed, with the norm's weight as deviation and its bias as mean.
    """
    channels = state["fc1.weight"].shape[1] // len(state["input_scale"])
    magnitudes = np.tile(-state["input_mean"] * state["input_scale"], channels)
    z = np.linspace(-5, 5, 101)
    density = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    normal = state["bn2.bias"][:, np.newaxis] + state["bn2.weight"][:, np.newaxis] * z
    rectified = np.maximum(normal, 0) @ density
    return {"fc1": magnitudes.astype(np.float32), "fc3": rectified.astype(np.float32)}


def quantize(
    folded: Mapping[str, Float], preset: str, means: Mapping[str, Float] | None = None
) -> dict[str, Tensor]:
    """Give every matrix 8-bit integers; its rows' scales take up the step sizes.

    preset: one of PRESETS; means: `mean_inputs`, for biases to make up for what rounding does to an average input
    (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019).
    """
    return round_weights(folded, choose_steps(folded, preset), means or {})


def choose_steps(folded: Mapping[str, Float], preset: str) -> dict[str, Float]:
    """What `round_weights` takes for one of PRESETS."""
    bits = PRESETS[preset]
    return coarse_steps(folded, bits) if bits else {}


def round_weights(
    folded: Mapping[str, Float], steps: Mapping[str, Float], means: Mapping[str, Float]
) -> dict[str, Tensor]:
    """Round matrices to the given steps, or with `quantize_rows` where there are none.

    steps: float32 (rows,) by matrix, no smaller than the row's largest weight divided by 127; means: as `quantize`'s.
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

    A row's step is the one of a few candidates with the least squared error: a single large weight may be cut off
    where that serves the others.
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


def _precise(value: NDArray[Any]) -> NDArray[Any]:
    """Vectors become float64. Matrices stay float32, and aren't copied."""
    return np.asarray(value, np.float32 if value.ndim > 1 else np.float64)


def _fold(state: Mapping[str, np.ndarray]) -> dict[str, Float]:
    out: dict[str, np.ndarray] = {"input_scale": state["input_scale"]}

    def norm(name: str) -> tuple[np.ndarray, np.ndarray]:
        scale = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"] + BATCH_NORM_EPSILON)
        return scale, state[f"{name}.bias"] - state[f"{name}.running_mean"] * scale

    def put(name: str, weight: np.ndarray, scale: np.ndarray, bias: np.ndarray | None) -> None:
        out[f"{name}.weight"], out[f"{name}.scale"] = weight, scale
        if bias is not None:
            out[f"{name}.bias"] = bias

    scale, bias = norm("bn1")
    channels = state["fc1.weight"].shape[1] // len(state["input_scale"])
    shift = np.tile(state["input_mean"] * state["input_scale"], channels)
    # Multiplied in double precision, a sixteenth at a time: as float64 the matrix would take twice its memory.
    parts = np.array_split(state["fc1.weight"], 16)
    put(
        "fc1", state["fc1.weight"], scale, bias + scale * np.concatenate([p @ shift for p in parts])
    )

    layer = 0
    while f"lstm.weight_ih_l{layer}" in state:
        for direction, suffix in (("forward", ""), ("backward", "_reverse")):
            end = f"l{layer}{suffix}"
            if f"lstm.weight_ih_{end}" not in state:
                continue
            weight, recurrent = state[f"lstm.weight_ih_{end}"], state[f"lstm.weight_hh_{end}"]
            ones = np.ones(len(weight))
            bias = state[f"lstm.bias_ih_{end}"] + state[f"lstm.bias_hh_{end}"]
            put(f"lstm.{layer}.{direction}.input", weight, ones, bias)
            put(f"lstm.{layer}.{direction}.recurrent", recurrent, ones, None)
        layer += 1

    put("fc2", state["fc2.weight"], *norm("bn2"))
    scale, bias = norm("bn3")
    output_scale = np.tile(state["output_scale"], channels)
    output_mean = np.tile(state["output_mean"], channels)
    put("fc3", state["fc3.weight"], scale * output_scale, bias * output_scale + output_mean)
    return {key: np.ascontiguousarray(value, np.float32) for key, value in out.items()}
