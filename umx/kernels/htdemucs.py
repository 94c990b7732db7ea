"""The inner loops of HTDemucs, behind one interface, and in plain numpy: the reference that the others are held to.

Everything is channels last and float32. Convolutions are products of strided rows: the caller gives a view of an array
with zeros around it, whose rows may overlap, so nothing is copied before the product.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..types import Float

Then: TypeAlias = Literal["write", "gelu", "glu", "add", "gelu_add"]
"""What becomes of a product: it is written as it is, after GELU or GLU, or is added to what is there, after GELU or as
it is. GLU is the first half of the outputs times the sigmoid of the second half, so it writes half as many."""
Packed: TypeAlias = Any
"""What an implementation makes of weights, for itself."""
EPSILON = np.float32(1e-5)
ROWS = 4096
"""Rows that are multiplied at a time."""


class Matrix(NamedTuple):
    """y = scale * (weight @ x) + bias."""

    weight: Float | NDArray[np.int16]  # (outputs, inputs)
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
    return centred * inverse * norm.gain + norm.bias


def gelu(x: Float) -> Float:
    """x times the normal distribution's cumulative function."""
    y: Float = np.float32(0.5) * x * (1 + erf(x * np.float32(2**-0.5)))
    return y


def erf(x: Float) -> Float:
    """The error function, to 2e-7 (Abramowitz and Stegun, 7.1.26): numpy has none."""
    a = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * a)
    series = np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + np.float32(coefficient)
    return np.copysign(1 - series * t * np.exp(-a * a), x)


def glu(x: Float) -> Float:
    """The first half of the channels times the sigmoid of the second half."""
    first, second = np.split(x, 2, axis=-1)
    y: Float = first * (np.float32(0.5) * np.tanh(np.float32(0.5) * second) + np.float32(0.5))
    return y
