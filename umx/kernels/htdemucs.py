"""The inner loops of HTDemucs, behind one interface, and in plain numpy: the reference that the others are held to.

Everything is channels last and float32. Convolutions are products of strided rows: the caller gives a view of an array
with zeros around it, whose rows may overlap, so nothing is copied before the product.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ..types import Float
from . import Engine, library
from .self_test import alike, noise

Then: TypeAlias = Literal["write", "gelu", "glu", "add", "gelu_add"]
"""What is done with a product: it is written as it is, after GELU or after GLU, or added as it is or after GELU.

GLU is the first half of the outputs times the sigmoid of the second half, so it writes half as many.
"""
Packed: TypeAlias = Any
"""Weights in an implementation's own form."""
EPSILON = np.float32(1e-5)
ROWS = 4096
"""Rows that are multiplied at a time."""


class Matrix(NamedTuple):
    """y = scale * (weight @ x) + bias."""

    weight: NDArray[Any]  # (outputs, inputs), floats or 16-bit integers
    scale: Float  # (outputs,)
    bias: Float  # (outputs,)


class Norm(NamedTuple):
    """y = gain * (x - mean) / sqrt(variance + EPSILON) + bias."""

    gain: Float
    bias: Float


class Residual(NamedTuple):
    """One residual branch of a DConv; see `Kernels.dconv`."""

    squeeze: Matrix  # (squeezed, 3 * channels)
    squeeze_norm: Norm
    expand: Matrix  # (2 * channels, squeezed)
    expand_norm: Norm
    layer_scale: Float  # (channels,)


class Kernels(Protocol):
    """What HTDemucs needs computed, beside the transforms of `kernels.Engine`."""

    def pack(self, matrix: Matrix, gated: bool = False) -> Packed:
        """Bring a matrix into the form that `product` multiplies with. gated: whether GLU follows."""

    def pack_residual(self, residual: Residual) -> Packed:
        """The same for `dconv`."""

    def product(self, rows: Float, matrix: Packed, then: Then, out: Float) -> None:
        """Multiply every row with a matrix.

        rows: (outer, inner, pieces, piece), a view; a row is its pieces side by side.
        out: (outer, inner, outputs), a view, too; its last axis is contiguous. For "glu", outputs are halved.
        """

    def dconv(self, x: Float, residual: Packed, reach: int) -> None:
        """x += layer_scale * GLU(norm(expand(GELU(norm(squeeze(x)))))), in place.

        x: (signals, 2 + frames + 2, channels), a view; the first and last two frames are zeros and stay so.
        `squeeze` sees each frame and those `reach` before and after it. Norms are over all frames and channels of a
        signal.
        """

    def layer_norm(self, x: Float, norm: Norm, out: Float) -> None:
        """Normalise every row: (rows, channels)."""

    def group_norm(self, x: Float, norm: Norm) -> None:
        """Normalise (rows, channels) as a whole, in place."""

    def attend(self, query: Float, key: Float, value: Float, heads: int, out: Float) -> None:
        """softmax(query key' / sqrt(width)) value for each head, which is `width` neighbouring channels.

        query: (n, channels); key, value: (m, channels); out: (n, channels). Their last axis is contiguous.
        """


def choose(engine: Engine) -> Kernels:
    """The fastest kernels whose results are right on this device; numpy's use the engine's products."""
    reference = Reference(engine.product)
    if engine.name == "simd":
        from .htdemucs_simd import RESULTS, SIGNATURES, Simd

        for path in library.found("htdemucs"):
            try:
                kernels = Simd(library.load(path, SIGNATURES, RESULTS), engine.threads)
            except OSError:
                continue  # it can't be loaded here
            if agree(kernels, reference):
                return kernels
    return reference


def agree(kernels: Kernels, reference: Kernels) -> bool:
    """Whether two implementations give the same results."""
    return alike(_try(kernels), _try(reference))


def _try(kernels: Kernels) -> Iterator[Float]:
    """Everything that there is to compute, on a little noise."""

    def matrix(outputs: int, inputs: int) -> Matrix:
        weight = (4095 * noise(outputs, inputs)).astype(np.int16)
        return Matrix(weight, np.full(outputs, 2e-4, np.float32), noise(outputs))

    def norm(width: int) -> Norm:
        return Norm(noise(width) + 1, noise(width))

    for then in get_args(Then):
        out = noise(1, 13, 8 if then == "glu" else 16)
        packed = kernels.pack(matrix(16, 136), then == "glu")
        kernels.product(noise(1, 13, 1, 136), packed, then, out)
        yield out
    signals = noise(5, 24, 16)
    signals[:, :2] = signals[:, -2:] = 0
    residual = Residual(matrix(2, 48), norm(2), matrix(32, 2), norm(32), noise(16))
    kernels.dconv(signals, kernels.pack_residual(residual), 2)
    yield signals
    rows = noise(13, 16)
    kernels.layer_norm(rows, norm(16), rows)
    kernels.group_norm(rows, norm(16))
    yield rows
    mixed = np.empty((19, 32), np.float32)
    kernels.attend(noise(19, 32), noise(150, 32), 2 * noise(150, 32), 2, mixed)
    yield mixed


class Reference:
    """Every product is the engine's; 16-bit weights become float just before, so they stay small in memory."""

    def __init__(self, multiply: Callable[[Float, Float], Float]):
        """multiply: x @ weight.T, (rows, inputs) with (outputs, inputs)."""
        self._multiply = multiply

    def pack(self, matrix: Matrix, gated: bool = False) -> Matrix:
        return matrix

    def pack_residual(self, residual: Residual) -> Residual:
        return residual

    def product(self, rows: Float, matrix: Matrix, then: Then, out: Float) -> None:
        outer, inner, pieces, piece = rows.shape
        weight = matrix.weight.astype(np.float32, copy=False)
        several = max(1, ROWS // inner)
        for first in range(0, outer, several):
            for start in range(0, inner, ROWS):
                part = slice(first, first + several), slice(start, start + ROWS)
                x = rows[part].reshape(-1, pieces * piece)
                y = self._multiply(x, weight) * matrix.scale + matrix.bias
                if then == "glu":
                    y = glu(y)
                if then in ("gelu", "gelu_add"):
                    y = gelu(y)
                y = y.reshape(out[part].shape)
                if then in ("add", "gelu_add"):
                    out[part] += y
                else:
                    out[part] = y

    def dconv(self, x: Float, residual: Residual, reach: int) -> None:
        squeeze, squeeze_norm, expand, expand_norm, layer_scale = residual
        for signal in x:
            frames = len(signal) - 4
            taps = [signal[2 + k * reach : 2 + k * reach + frames] for k in (-1, 0, 1)]
            y = self._linear(np.concatenate(taps, axis=-1), squeeze)
            y = gelu(normalise(y, squeeze_norm, axis=None))
            y = glu(normalise(self._linear(y, expand), expand_norm, axis=None))
            signal[2:-2] += layer_scale * y

    def layer_norm(self, x: Float, norm: Norm, out: Float) -> None:
        out[:] = normalise(x, norm, axis=-1)

    def group_norm(self, x: Float, norm: Norm) -> None:
        x[:] = normalise(x, norm, axis=None)

    def attend(self, query: Float, key: Float, value: Float, heads: int, out: Float) -> None:
        width = query.shape[-1] // heads
        for start in range(0, query.shape[-1], width):
            head = slice(start, start + width)
            scores = self._multiply(query[:, head], key[:, head]) / np.float32(np.sqrt(width))
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            out[:, head] = self._multiply(scores, value[:, head].T)

    def _linear(self, x: Float, matrix: Matrix) -> Float:
        weight = matrix.weight.astype(np.float32, copy=False)
        return self._multiply(x, weight) * matrix.scale + matrix.bias


def normalise(x: Float, norm: Norm, axis: int | None) -> Float:
    """Mean 0 and deviation 1 over the last axis, or (None) over all; then gain and bias of each channel."""
    mean = x.mean(axis=axis, keepdims=True, dtype=np.float64).astype(np.float32)
    centred = x - mean
    variance = np.square(centred).mean(axis=axis, keepdims=True, dtype=np.float64)
    inverse = (1 / np.sqrt(variance + EPSILON)).astype(np.float32)
    y: Float = centred * inverse * norm.gain + norm.bias
    return y


def gelu(x: Float) -> Float:
    """x times the normal distribution's cumulative function."""
    y: Float = np.float32(0.5) * x * (1 + erf(x * np.float32(2**-0.5)))
    return y


def erf(x: Float) -> Float:
    """The error function, to 2e-7 (Abramowitz and Stegun, 7.1.26): numpy has none."""
    a = np.abs(x)
    t: Float = np.reciprocal(1 + np.float32(0.3275911) * a)
    series = np.zeros_like(t)
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(coefficient)) * t
    y: Float = np.copysign(1 - series * np.exp(-a * a), x)
    return y


def glu(x: Float) -> Float:
    """The first half of the channels times the sigmoid of the second half."""
    first, second = np.split(x, 2, axis=-1)
    y: Float = first * (np.float32(0.5) * np.tanh(np.float32(0.5) * second) + np.float32(0.5))
    return y
