"""Step sizes: how coarsely each row of weights is rounded, for files to be small and stems to sound the same.

Rounding to steps of Δ adds noise of Δ²/12 to every weight, and each doubling of Δ saves a bit of each weight's Huffman
code; our gzip files consist of such codes. For a given number of bits, the output is best when one more bit would help
as much in any place, that is, when each weight's noise times its effect on the output is the same:

- Rows of a matrix: a row's scale says how much noise in its output counts. The last layer's rows are frequency bins,
  whose loudness counts too; `input_scale` tells it. Its square root is taken, because the ear doesn't add up energies
  over frequency as the signal-to-noise ratio does.
- Matrices: how much noise in a matrix becomes noise in the output was measured on music (docs/quantising.md). The more
  weights a matrix has, the less each of them matters.
"""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

import numpy as np

from .types import Float

EFFECT = {"fc1": -34, "input": -35, "recurrent": -41, "fc2": -28, "fc3": -30}
"""The output's noise in dB for steps as large as a matrix's typical weight, by the end of the matrix's name."""
SAMPLE = 8
"""Code lengths are estimated from every 8th row."""
BLOCK = 16383
"""Weights that share a Huffman code in a gzip file; one more symbol ends each such block."""
LARGEST = 127
"""The largest weight in steps; -128 is not used."""


def coarse_steps(folded: Mapping[str, Float], bits: float) -> dict[str, Float]:
    """The step of every row, float32 (rows,) by matrix, for Huffman codes of `bits` a weight on average.

    The file's size is thus known beforehand. The weights decide how coarse the steps are.
    """
    unit = {name: _unit(name, folded) for name in _matrices(folded)}
    low, high = 1e-3, 1e3
    for _ in range(16):
        middle = (low * high) ** 0.5
        if _code_length(folded, unit, middle) > bits:
            low = middle
        else:
            high = middle
    return {name: _steps(folded[f"{name}.weight"], row, high) for name, row in unit.items()}


def _matrices(folded: Mapping[str, Float]) -> Iterator[str]:
    return (key.removesuffix(".weight") for key in folded if key.endswith(".weight"))


def _unit(name: str, folded: Mapping[str, Float]) -> Float:
    """Relative steps: the rows' steps up to a factor that all matrices share."""
    weight = folded[f"{name}.weight"]
    importance = np.abs(folded[f"{name}.scale"])
    if name == "fc3":
        importance = importance * np.sqrt(_loudness(folded))
    importance = np.maximum(importance, 1e-6 * importance.max() + 1e-30)
    typical = np.sqrt(np.einsum("ij,ij->i", weight, weight) / weight.shape[1])
    effect = EFFECT[name.rpartition(".")[2]]
    share = np.sqrt(weight.size / 1e6) * 10 ** (-effect / 20)
    unit: Float = (share * np.median(typical * importance) / importance).astype(np.float32)
    return unit


def _loudness(folded: Mapping[str, Float]) -> Float:
    """Loudness of music in each of fc3's rows: the deviation in its bin; above max_bin, that at max_bin."""
    scale = np.abs(folded["input_scale"])
    channels = folded["fc1.weight"].shape[1] // len(scale)
    bins = len(folded["fc3.weight"]) // channels
    deviation = 1 / np.maximum(scale, 1e-6 * scale.max() + 1e-30)
    return np.tile(np.pad(deviation, (0, bins - len(scale)), "edge"), channels)


def _steps(weight: Float, unit: Float, factor: float) -> Float:
    """Steps within bounds: no weight exceeds LARGEST steps, and no step exceeds the row's largest weight."""
    peak = np.maximum(weight.max(axis=1), -weight.min(axis=1))  # without a copy of all magnitudes
    peak = np.maximum(peak, np.float32(1e-30))
    steps: Float = np.clip(unit * np.float32(factor), peak / LARGEST, peak).astype(np.float32)
    return steps


def _code_length(folded: Mapping[str, Float], unit: Mapping[str, Float], factor: float) -> float:
    """Bits per weight at a factor, with a Huffman code for each matrix."""
    total = weights = 0.0
    for name, row in unit.items():
        weight = folded[f"{name}.weight"]
        part = weight[::SAMPLE]
        integers = np.rint(part / _steps(part, row[::SAMPLE], factor)[:, np.newaxis])
        counts = np.bincount(integers.astype(np.int8).view(np.uint8).ravel())
        ends = 1 + part.size // BLOCK
        total += weight.size / part.size * huffman([ends, *counts[counts > 0].tolist()])
        weights += weight.size
    return total / weights


def huffman(counts: list[int]) -> int:
    """Length in bits of a text in its Huffman code. counts: how often each symbol occurs; two symbols or more."""
    heap = sorted(counts)
    total = 0
    while len(heap) > 1:
        both = heappop(heap) + heappop(heap)
        heappush(heap, both)
        total += both
    return total
