"""The inner loops, behind one interface, and the choice between their implementations.

All arrays are C-contiguous, except `out`, of which the last axis is contiguous.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..threads import Threads
from ..types import Complex, Float
from . import library
from .layers import Linear, LstmLayer
from .self_test import alike, noise

Activation: TypeAlias = Literal["none", "tanh", "relu"]


class Engine(Protocol):
    """What the signal path needs computed."""

    name: str
    threads: Threads
    """Threads on which parts of a model may be computed at the same time: calls of the engine release the GIL."""

    def product(self, x: Float, weight: Float) -> Float:
        """x @ weight.T of floats: (rows, inputs) with (outputs, inputs) to (rows, outputs)."""

    def pack(self, linear: Linear) -> Linear:
        """Bring a layer into the form that this engine multiplies with, once when a model is loaded."""

    def linear(self, x: Float, layer: Linear, activation: Activation) -> Float:
        """activation(scale * (x @ weight.T) + bias): float32 (rows, inputs) to (rows, outputs)."""

    def lstm(
        self, x: Float, layer: LstmLayer, state: tuple[Float, Float], reverse: bool, out: Float
    ) -> tuple[Float, Float]:
        """Run one direction of a layer over B sequences.

        x: float32 (B, frames, inputs); state: h and c before the first frame, each (B, width).
        Writes float32 (B, frames, width) into `out`; returns h and c after the last frame (the first, if reverse).
        """

    def magnitude(self, spectrum: Complex) -> Float:
        """|spectrum|: complex64 to float32 of the same shape."""

    def wiener(self, masks: Float, mixture: Complex, complete: bool = False) -> Iterator[Complex]:
        """One iteration of expectation-maximisation on one window of frames, from masks times the mixture.

        masks: float32 (targets, frames, 2, bins), not negative; mixture: complex64 (frames, 2, bins).
        Yields estimates for some frames at a time, complex64 (targets, n, 2, bins). Together they are what
        `openunmix.filtering.wiener` returns after one iteration, without softmask and residual.
        complete: whether the estimates are to sum to the mixture. The residual of `wiener.with_residual` is one more
        source then, and what the targets' estimates leave is divided among them by `wiener.shares`.
        """

    def spectrum(self, padded: Float, n_fft: int, hop: int) -> Complex:
        """As `stft.spectrum`: float32 (channels, samples) to complex64 (frames, channels, bins)."""

    def overlap_add(
        self, spectra: Complex, signal: Float, n_fft: int, hop: int, start: int
    ) -> None:
        """As `stft.overlap_add`: complex64 (frames, channels, bins) into float32 (channels, samples)."""

    def to_int16(self, audio: Float) -> tuple[NDArray[np.int16], int]:
        """As `samples.to_int16`, interleaved: float32 (channels, samples) to int16 (samples, channels)."""

    def peaks(self, audio: Float, step: int) -> Float:
        """The largest magnitude in every `step` samples of all channels. The last step may be shorter; NaN is ignored.

        audio: float32 (channels, samples). Returns float32 (ceil(samples / step),).
        """


def choose(threads: int | None = None) -> Engine:
    """The fastest engine whose results are right on this device: it is tried, since a faulty one may load as well.

    threads: how many may work at a time, by default as many as there are cores. Results don't depend on it.
    """
    from .reference import Numpy

    reference = Numpy()
    for candidate in candidates(Threads(threads)):
        try:
            engine = candidate()
        except OSError:
            continue  # its library isn't there, or can't be loaded here
        if agree(engine, reference):
            return engine
    return reference


def candidates(threads: Threads) -> Iterator[Callable[[], Engine]]:
    """Engines beside the reference, the fastest first; each may raise OSError."""
    from .blas import OpenBlas
    from .simd import RESULTS, SIGNATURES, Simd

    def simd(path: Path) -> Engine:
        return Simd(library.load(path, SIGNATURES, RESULTS), threads)

    yield from (partial(simd, path) for path in library.found("kernels"))
    yield OpenBlas


def agree(engine: Engine, reference: Engine) -> bool:
    """Whether two engines give the same results."""
    return alike(_try(engine), _try(reference))


def _try(engine: Engine) -> tuple[Float, ...]:
    """Everything that an engine computes, on a little noise.

    Returns an LSTM's output, magnitudes, a filtered signal, samples and peaks.
    """

    def layer(rows: int, columns: int) -> Linear:
        weight = (127 * noise(rows, columns)).astype(np.int8)
        scale = np.full(rows, 0.02 / np.sqrt(columns), np.float32)
        return engine.pack(Linear(weight, scale, np.zeros(rows, np.float32)))

    inputs = engine.linear(noise(10, 50), layer(32, 50), "tanh").reshape(2, 5, 32)
    out = np.empty((2, 5, 16), np.float32)
    start = np.zeros((2, 16), np.float32)
    engine.lstm(inputs, LstmLayer(layer(64, 32), layer(64, 16)), (start, start), True, out)
    spectra = engine.spectrum(noise(2, 500), 64, 16)
    masks = np.abs(noise(3, *spectra.shape))
    signal = np.zeros((2, 512), np.float32)
    frame = 0
    for estimates in engine.wiener(masks, spectra, complete=True):
        engine.overlap_add(estimates[0], signal, 64, 16, frame)
        frame += len(estimates[0])
    samples, loud = engine.to_int16(noise(2, 50))
    limited = samples.astype(np.float32) + loud
    return out, engine.magnitude(spectra), signal, limited, engine.peaks(noise(2, 50), 7)
