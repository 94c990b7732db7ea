"""Step sizes: how coarsely each row of weights is rounded, for files to be small and stems to sound the same.

Rounding to steps of Δ adds noise of Δ²/12 to every weight, and each doubling of Δ saves a bit of each weight's Huffman
code; our gzip files consist of such codes. For a given number of bits, the output is best when one more bit would help
as much in any place, that is, when each weight's noise times its effect on the output is the same:

- Rows of a matrix: how much noise in a row's output counts is its importance, which the architecture knows.
- Matrices: how much noise in a matrix becomes noise in the output, the architecture has measured on music
  (docs/quantising.md). The more weights a matrix has, the less each of them matters.
"""

from collections.abc import Mapping
from heapq import heappop, heappush

import numpy as np

from ..types import Float

SAMPLE = 8
"""Code lengths are estimated from every 8th row."""
BLOCK = 16383
"""Weights that share a Huffman code in a gzip file; one more symbol ends each such block."""
LARGEST = 127
"""The largest weight in steps; -128 is not used."""


def coarse_steps(
    matrices: Mapping[str, Float],
    importance: Mapping[str, Float],
    effect: Mapping[str, float],
    bits: float,
) -> dict[str, Float]:
    """The step of every row, float32 (rows,) by matrix, for Huffman codes of `bits` a weight on average.

    matrices: float32 (rows, columns); importance: float32 (rows,), not negative; effect: the output's noise in dB for
    steps as large as a matrix's typical weight. All by the matrix's name.
    The file's size is thus known beforehand. The weights decide how coarse the steps are.
    """
    unit = {
        name: _unit(weight, importance[name], effect[name]) for name, weight in matrices.items()
    }
    low, high = 1e-3, 1e3
    for _ in range(16):
        middle = (low * high) ** 0.5
        if _code_length(matrices, unit, middle) > bits:
            low = middle
        else:
            high = middle
    return {name: _steps(matrices[name], row, high) for name, row in unit.items()}


def _unit(weight: Float, importance: Float, effect: float) -> Float:
    """Relative steps: the rows' steps up to a factor that all matrices share."""
    importance = np.maximum(importance, 1e-6 * importance.max() + 1e-30)
    typical = np.sqrt(np.einsum("ij,ij->i", weight, weight) / weight.shape[1])
    share = np.sqrt(weight.size / 1e6) * 10 ** (-effect / 20)
    unit: Float = (share * np.median(typical * importance) / importance).astype(np.float32)
    return unit


def _steps(weight: Float, unit: Float, factor: float) -> Float:
    """Steps within bounds: no weight has more than LARGEST steps, no step exceeds the row's largest weight."""
    peak = np.maximum(weight.max(axis=1), -weight.min(axis=1))  # without a copy of all magnitudes
    peak = np.maximum(peak, np.float32(1e-30))
    steps: Float = np.clip(unit * np.float32(factor), peak / LARGEST, peak).astype(np.float32)
    return steps


def _code_length(matrices: Mapping[str, Float], unit: Mapping[str, Float], factor: float) -> float:
    """Bits per weight at a factor, with a Huffman code for each matrix."""
    total = weights = 0.0
    for name, row in unit.items():
        weight = matrices[name]
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
