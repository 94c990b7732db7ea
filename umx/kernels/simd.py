"""The engine in C, `kernels.c`: compiled for WebAssembly or for processors, it works on numpy's own memory."""

import ctypes
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.ctypeslib import ndpointer
from numpy.typing import NDArray

from ..signal.stft import hann
from ..threads import ONE, Threads
from ..types import Complex, Float
from . import Activation
from .layers import Linear, LstmLayer
from .reference import Numpy

# As in kernels.c
CHUNK, COVARIANCE = 128, 4
FILTERED = 20
"""Frames whose estimates are in memory together."""
ACTIVATIONS: dict[Activation, int] = {"none": 0, "tanh": 1, "relu": 2}

INT = ctypes.c_int
INT8, INT16, FLOAT, COMPLEX = (
    ndpointer(dtype, flags="C_CONTIGUOUS")
    for dtype in (np.int8, np.int16, np.float32, np.complex64)
)
STRIDED = ndpointer(np.float32)
SIGNATURES: dict[str, list[Any]] = {
    "block_size": [],
    "pack": [INT8, INT, INT, INT8],
    "linear": [FLOAT, INT, INT, INT8, FLOAT, FLOAT, INT, INT, FLOAT, INT16, INT16],
    "lstm": [
        *[FLOAT, INT, INT, INT, INT, INT8, FLOAT, FLOAT, INT8, FLOAT, INT],
        *[FLOAT, FLOAT, STRIDED, INT, FLOAT, INT16, INT16, INT16],
    ],
    "magnitude": [COMPLEX, INT, FLOAT],
    "wiener_model": [FLOAT, COMPLEX, INT, INT, INT, INT, FLOAT],
    "wiener_filter": [FLOAT, COMPLEX, INT, INT, INT, INT, FLOAT, INT, INT, COMPLEX],
    "spectrum": [STRIDED, INT, INT, INT, INT, FLOAT, COMPLEX, COMPLEX, FLOAT],
    "overlap_add": [COMPLEX, INT, INT, INT, FLOAT, COMPLEX, STRIDED, INT, FLOAT],
    "to_int16": [STRIDED, INT, INT, INT16],
    "peaks": [STRIDED, INT, INT, INT, FLOAT],
}
RESULTS = {"block_size": INT, "to_int16": INT}


class Simd(Numpy):
    """Weights stay 8-bit; activations become 16-bit integers with a scale a row. Sums of products are exact.

    All libraries give the same bits.
    """

    name = "simd"

    def __init__(self, library: Any, threads: Threads = ONE):
        """library: the functions of `kernels.c`, taking numpy arrays."""
        self._library, self.threads = library, threads
        self._block = library.block_size()

    def pack(self, linear: Linear) -> Linear:
        outputs, inputs = linear.weight.shape
        if linear.weight.dtype != np.int8:
            raise TypeError(
                f"The kernel multiplies with 8-bit weights, not with {linear.weight.dtype}."
            )
        padded = _up(outputs, self._block)
        packed = np.empty((padded, _up(inputs, 8)), np.int8)
        self._library.pack(np.ascontiguousarray(linear.weight), outputs, inputs, packed)
        # The kernel reads whole blocks: the views end before their memory does.
        scale, bias = np.zeros((2, padded), np.float32)
        scale[:outputs], bias[:outputs] = linear.scale, linear.bias
        return Linear(packed, scale[:outputs], bias[:outputs])

    def linear(self, x: Float, layer: Linear, activation: Activation) -> Float:
        (rows, inputs), outputs = x.shape, len(layer.scale)
        out = np.empty((rows, outputs), np.float32)
        self._library.linear(
            *(x, rows, inputs, layer.weight, layer.scale, layer.bias, outputs),
            *(ACTIVATIONS[activation], out, _integers(CHUNK, inputs)),
            _integers(self._block, inputs),
        )
        return out

    def lstm(
        self, x: Float, layer: LstmLayer, state: tuple[Float, Float], reverse: bool, out: Float
    ) -> tuple[Float, Float]:
        sequences, frames, inputs = x.shape
        if not 0 < sequences <= CHUNK:
            raise ValueError(f"The kernel takes 1 to {CHUNK} sequences at a time, not {sequences}.")
        width = out.shape[-1]
        h, c = (np.array(part) for part in state)
        gates = np.empty((CHUNK, 4 * width), np.float32)
        first, second = layer
        # The kernel steps through all sequences' frames as one.
        stride = out.strides[1] // out.itemsize
        self._library.lstm(
            *(x, sequences, frames, inputs, width, first.weight, first.scale, first.bias),
            *(second.weight, second.scale, int(reverse), h, c, out, stride),
            *(gates, _integers(CHUNK, max(inputs, width)), _integers(self._block, inputs)),
            _integers(_up(4 * width, self._block), width),
        )
        return h, c

    def magnitude(self, spectrum: Complex) -> Float:
        out = np.empty(spectrum.shape, np.float32)
        self._library.magnitude(spectrum, spectrum.size, out)
        return out

    def wiener(self, masks: Float, mixture: Complex, complete: bool = False) -> Iterator[Complex]:
        targets, frames, _, bins = masks.shape
        if bins < 4:
            yield from super().wiener(masks, mixture, complete)
            return
        model = np.empty((targets + complete) * COVARIANCE * bins + 1, np.float32)
        given = (masks, mixture, targets, int(complete), frames, bins, model)
        self._library.wiener_model(*given)
        for start in range(0, frames, FILTERED):
            count = min(FILTERED, frames - start)
            out = np.empty((targets, count, 2, bins), np.complex64)
            self._library.wiener_filter(*given, start, count, out)
            yield out

    def spectrum(self, padded: Float, n_fft: int, hop: int) -> Complex:
        channels, samples = padded.shape
        if not _transforms(channels, n_fft):
            return super().spectrum(padded, n_fft, hop)
        frames = 1 + (samples - n_fft) // hop
        out = np.empty((frames, channels, n_fft // 2 + 1), np.complex64)
        self._library.spectrum(
            *(padded, _stride(padded), frames, n_fft, hop),
            *(hann(n_fft), _roots(n_fft), out, _work(n_fft)),
        )
        return out

    def overlap_add(
        self, spectra: Complex, signal: Float, n_fft: int, hop: int, start: int
    ) -> None:
        if not _transforms(len(signal), n_fft):
            return super().overlap_add(spectra, signal, n_fft, hop, start)
        rest = signal[:, start * hop :]
        self._library.overlap_add(
            *(spectra, len(spectra), n_fft, hop, hann(n_fft), _roots(n_fft)),
            *(rest, _stride(signal), _work(n_fft)),
        )
        return None

    def to_int16(self, audio: Float) -> tuple[NDArray[np.int16], int]:
        if len(audio) != 2:
            return super().to_int16(audio)
        out = np.empty(audio.shape[::-1], np.int16)
        loud = self._library.to_int16(audio, _stride(audio), len(out), out)
        return out, loud

    def peaks(self, audio: Float, step: int) -> Float:
        if len(audio) != 2:
            return super().peaks(audio, step)
        samples = audio.shape[-1]
        out = np.empty(-(-samples // step), np.float32)
        self._library.peaks(audio, _stride(audio), samples, step, out)
        return out


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _stride(audio: Float) -> int:
    """Distance from one channel to the next, in floats."""
    return audio.strides[0] // audio.itemsize


def _integers(rows: int, inputs: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Scratch for rows or weights as 16-bit integers."""
    return np.empty((rows, _up(inputs, 8)), np.int16)


def _transforms(channels: int, n_fft: int) -> bool:
    """Whether the kernel has such transforms: of stereo, and of a power of two."""
    return channels == 2 and n_fft >= 8 and n_fft & (n_fft - 1) == 0


@cache
def _roots(n_fft: int) -> Complex:
    """The roots of unity, clockwise."""
    roots: Complex = np.exp(-2j * np.pi / n_fft * np.arange(n_fft)).astype(np.complex64)
    return roots


def _work(n_fft: int) -> Float:
    """Scratch for four complex transforms and their results."""
    return np.empty((4, 4, n_fft), np.float32)
