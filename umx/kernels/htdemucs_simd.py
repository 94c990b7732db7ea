"""The inner loops of HTDemucs in C: `htdemucs.c`, a library that is loaded with such a model."""

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numpy.ctypeslib import ndpointer
from numpy.typing import NDArray

from ..threads import ONE, Threads, parts
from ..types import Float
from .htdemucs import Matrix, Norm, Residual, Then

# As in htdemucs.c
LANES, CHUNK, LEVELS = 4, 128, 4095
KEYS, QUERIES = 128, 16
THEN: dict[Then, int] = {"write": 0, "gelu": 1, "glu": 2, "add": 3, "gelu_add": 4}
TOGETHER = 192
"""Channels of neighbouring signals in a DConv that are done at a time."""

INT, NUMBER = ctypes.c_int, ctypes.c_float
FLOAT, INT16 = (ndpointer(dtype, flags="C_CONTIGUOUS") for dtype in (np.float32, np.int16))
STRIDED = ndpointer(np.float32)
SIGNATURES: dict[str, list[Any]] = {
    "block_size": [],
    "product": [
        *[STRIDED, *[INT] * 7, INT16, FLOAT, FLOAT, INT, INT],
        *[STRIDED, INT, INT, INT16],
    ],
    "dconv": [
        *[STRIDED, *[INT] * 6, INT16, *[FLOAT] * 4, INT, INT],
        *[INT16, *[FLOAT] * 6, INT, FLOAT, FLOAT, INT16],
    ],
    "layer_norm": [FLOAT, INT, INT, FLOAT, FLOAT, FLOAT],
    "group_norm": [FLOAT, INT, INT, FLOAT, FLOAT],
    "attend": [
        *[STRIDED, INT, INT, STRIDED, STRIDED, INT, INT, INT, NUMBER, STRIDED, INT],
        *[INT16, FLOAT, INT16, FLOAT, FLOAT, INT16, INT16, FLOAT],
    ],
}
RESULTS = {"block_size": INT}
WORTH = 1 << 20
"""Multiply-adds that are worth to be shared among threads."""
EIGHTS = 8
"""Numbers of channels are multiples of it."""


class PackedResidual(NamedTuple):
    """A residual branch, its inner channels padded to eights."""

    squeeze: Matrix
    squeeze_norm: Norm
    squeezed: int
    expand: Matrix
    expand_norm: Norm
    layer_scale: Float
    known: Float  # what the statistics of expand's outputs need, see htdemucs.c


class Simd:
    """Weights are 16-bit integers of at most LEVELS. So are activations, with a scale a row.

    All libraries give the same bits.
    """

    def __init__(self, library: Any, threads: Threads = ONE):
        """library: the functions of `htdemucs.c`, taking numpy arrays."""
        self._library, self._threads = library, threads
        self._block = library.block_size()

    def pack(self, matrix: Matrix, gated: bool = False) -> Matrix:
        weight, scale, bias = matrix
        outputs, inputs = weight.shape
        if weight.dtype != np.int16:
            raise TypeError(f"The kernel multiplies with 16-bit weights, not with {weight.dtype}.")
        if np.abs(weight).max() > LEVELS:
            raise ValueError(f"A weight exceeds {LEVELS} steps.")
        if gated:
            order = gated_order(outputs, self._block)
            weight, scale, bias = weight[order], scale[order], bias[order]
        blocks = -(-outputs // self._block)
        more = blocks * self._block - outputs
        padded = np.pad(weight, ((0, more), (0, 0)))
        packed = padded.reshape(blocks, self._block, inputs // 2, 2).transpose(0, 2, 1, 3)
        # The kernel reads whole blocks: the views end before their memory does.
        vectors = (np.pad(vector, (0, more))[:outputs] for vector in (scale, bias))
        return Matrix(np.ascontiguousarray(packed), *vectors)

    def pack_residual(self, residual: Residual) -> PackedResidual:
        squeeze, squeeze_norm, expand, expand_norm, layer_scale = residual
        squeezed = len(squeeze.weight)
        more = -squeezed % EIGHTS

        def padded(vector: Float) -> Float:
            return np.pad(vector, (0, more))

        narrow = Matrix(
            np.pad(squeeze.weight, ((0, more), (0, 0))),
            padded(squeeze.scale),
            padded(squeeze.bias),
        )
        wide = expand._replace(weight=np.pad(expand.weight, ((0, 0), (0, more))))
        exact = wide.weight * wide.scale[:, np.newaxis].astype(np.float64)
        bias = wide.bias.astype(np.float64)
        known = [exact.T @ exact, exact.sum(axis=0), bias @ exact, bias.sum(), bias @ bias]
        order = gated_order(len(expand.weight), self._block)
        return PackedResidual(
            self.pack(narrow),
            Norm(*map(padded, squeeze_norm)),
            squeezed,
            self.pack(wide, gated=True),
            Norm(*(vector[order] for vector in expand_norm)),
            layer_scale,
            np.concatenate([np.ravel(part) for part in known]).astype(np.float32),
        )

    def product(self, rows: Float, matrix: Matrix, then: Then, out: Float) -> None:
        outer, inner, pieces, piece = rows.shape
        if outer * inner * pieces * piece * len(matrix.scale) < WORTH:
            self._product(rows, matrix, then, out)
            return
        axis = int(outer < 2 * self._threads.count)

        def multiply(some: slice) -> None:
            part = (slice(None), some)[1 - axis :]
            self._product(rows[part], matrix, then, out[part])

        self._threads.run(multiply, parts(rows.shape[axis], self._threads.count))

    def _product(self, rows: Float, matrix: Matrix, then: Then, out: Float) -> None:
        outer, inner, pieces, piece = rows.shape
        outer_step, inner_step, piece_step, _ = _steps(rows)
        out_outer_step, out_inner_step, _ = _steps(out)
        self._library.product(
            *(rows, outer, inner, outer_step, inner_step, pieces, piece_step, piece),
            *(*matrix, len(matrix.scale), THEN[then], out, out_outer_step, out_inner_step),
            np.empty((CHUNK, pieces * piece), np.int16),
        )

    def dconv(self, x: Float, residual: PackedResidual, reach: int) -> None:
        def add(some: slice) -> None:
            self._dconv(x[some], residual, reach)

        self._threads.run(add, parts(len(x), self._threads.count))

    def _dconv(self, x: Float, residual: PackedResidual, reach: int) -> None:
        signals, frames, width = x.shape
        frames -= 4
        signal_step, frame_step, _ = _steps(x)
        narrow, squeeze_norm, squeezed, wide, expand_norm, layer_scale, known = residual
        inner = len(narrow.scale)
        group = min(signals, max(1, TOGETHER // width))
        self._library.dconv(
            *(x, signals, frames, signal_step, frame_step, width, reach),
            *(*narrow, *squeeze_norm, squeezed, inner),
            *(*wide, *expand_norm, layer_scale, known, group),
            np.empty((group, frames, inner), np.float32),
            np.empty((2, 2 * width), np.float32),
            np.empty((CHUNK, max(3 * width, inner)), np.int16),
        )

    def layer_norm(self, x: Float, norm: Norm, out: Float) -> None:
        def normalise(some: slice) -> None:
            part = x[some]
            self._library.layer_norm(part, *part.shape, *norm, out[some])

        self._threads.run(normalise, parts(len(x), self._threads.count))

    def group_norm(self, x: Float, norm: Norm) -> None:
        self._library.group_norm(x, *x.shape, *norm)

    def attend(self, query: Float, key: Float, value: Float, heads: int, out: Float) -> None:
        width = query.shape[1] // heads

        def attend(some: slice) -> None:
            part = (slice(None), slice(some.start * width, some.stop * width))
            self._attend(query[part], key[part], value[part], width, out[part])

        self._threads.run(attend, parts(heads, self._threads.count))

    def _attend(self, query: Float, key: Float, value: Float, width: int, out: Float) -> None:
        queries, keys = len(query), len(key)
        padded = -(-keys // KEYS) * KEYS
        columns = -(-width // self._block) * self._block
        sizes = (padded * width, padded * columns, QUERIES * padded)
        integers = [np.empty(size, np.int16) for size in sizes]
        numbers = [np.empty(size, np.float32) for size in (padded, padded // KEYS * columns)]
        scores = np.empty((QUERIES, padded), np.float32)
        tiles = np.empty((QUERIES, width), np.int16)
        factor = np.empty((QUERIES // LANES, 2, padded // KEYS, LANES), np.float32)
        for start in range(0, query.shape[1], width):
            head = slice(start, start + width)
            q, k, v, to = query[:, head], key[:, head], value[:, head], out[:, head]
            self._library.attend(
                *(q, queries, _steps(q)[0], k, v, keys, _steps(k)[0], width, width**-0.5),
                *(to, _steps(to)[0], integers[0], numbers[0], integers[1], numbers[1]),
                *(scores, integers[2], tiles, factor),
            )


def gated_order(outputs: int, block: int) -> NDArray[np.intp]:
    """Outputs before GLU as the kernel wants them: half a block of the first half and half of the second in turn."""
    return np.arange(outputs).reshape(2, -1, block // 2).transpose(1, 0, 2).ravel()


def _steps(view: Float) -> tuple[int, ...]:
    """Distance between neighbours along each axis, in floats."""
    return tuple(stride // view.itemsize for stride in view.strides)
