"""The engine in plain numpy: the readable reference that the others are held to."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..signal import stft, wiener
from ..signal.samples import to_int16
from ..threads import ONE, Threads
from ..types import Complex, Float
from . import Activation
from .layers import Linear, LstmLayer

EPSILON = np.float32(1e-10)
ROOT_EPSILON = np.sqrt(EPSILON)


def sigmoid(x: Float) -> Float:
    # tanh doesn't overflow, as exp would.
    y: Float = np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)
    return y


class Numpy:
    """Every product is numpy's. 8-bit weights become float just before their product, so they stay small in memory."""

    name = "numpy"
    threads: Threads = ONE
    """numpy's products bring threads of their own."""

    def pack(self, linear: Linear) -> Linear:
        return linear

    def product(self, x: Float, weight: Float) -> Float:
        """x @ weight.T: (rows, inputs) with (outputs, inputs) to (rows, outputs)."""
        return x @ weight.T

    def linear(self, x: Float, layer: Linear, activation: Activation) -> Float:
        y = self.product(x, layer.weight.astype(np.float32))
        y = y * layer.scale + layer.bias
        if activation == "tanh":
            return np.tanh(y)
        if activation == "relu":
            return np.maximum(y, np.float32(0))
        return y

    def lstm(
        self,
        x: Float,
        layer: LstmLayer,
        state: tuple[Float, Float],
        reverse: bool,
        out: Float,
    ) -> tuple[Float, Float]:
        sequences, frames, inputs = x.shape
        gates = self.linear(x.reshape(-1, inputs), layer.input, "none")
        gates = gates.reshape(sequences, frames, len(layer.input.scale))
        recurrent = layer.recurrent.weight * layer.recurrent.scale[:, np.newaxis]
        h, c = state
        for t in reversed(range(frames)) if reverse else range(frames):
            i, f, g, o = np.split(gates[:, t] + self.product(h, recurrent), 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out[:, t] = h
        return h, c

    def magnitude(self, spectrum: Complex) -> Float:
        return np.abs(spectrum)

    def wiener(self, masks: Float, mixture: Complex, complete: bool = False) -> Iterator[Complex]:
        targets = masks
        if complete:
            masks = wiener.with_residual(targets)
        # openunmix.filtering.atan2 writes 1 into the mixture where it is exactly zero, and filters that.
        x = np.where(mixture == 0, np.complex64(1), mixture)
        y = masks * mixture
        level = max(np.float32(1), np.fmax.reduce(np.abs(x), axis=None) / np.float32(10))
        x, y = x / level, y / level
        power = np.mean(y.real**2 + y.imag**2, axis=2)  # (targets, frames, bins)
        # Spatial covariance of each target and bin, over all frames: (targets, channels, channels, bins)
        covariance = np.einsum("jtaf,jtbf->jabf", y, y.conj())
        covariance /= (power.sum(axis=1) + EPSILON)[:, np.newaxis, np.newaxis]
        # Covariance of the mixture as the model has it: (channels, channels, frames, bins)
        model = np.einsum("jtf,jabf->abtf", power, covariance)
        left, right = (model[c, c].real + ROOT_EPSILON for c in (0, 1))
        # Its inverse times the mixture, by elimination: where both channels hold the same, rounding errors are larger
        # than the determinant. Elimination's error lies in a direction that the covariances, singular too, suppress.
        part = model[1, 0] / left
        least = ROOT_EPSILON * (1 + (right - ROOT_EPSILON) / left)
        rest = np.maximum(right - (part * model[0, 1]).real, least)
        second = (x[:, 1] - part * x[:, 0]) / rest
        first = (x[:, 0] - model[0, 1] * second) / left
        whitened = np.stack([first, second])
        estimates = np.einsum("jtf,jabf,btf->jtaf", power, covariance, whitened)
        estimates = (estimates[: len(targets)] * level).astype(np.complex64)
        if complete:
            estimates += wiener.shares(targets) * (mixture - estimates.sum(axis=0))
        yield estimates

    def spectrum(self, padded: Float, n_fft: int, hop: int) -> Complex:
        return stft.spectrum(padded, n_fft, hop)

    def overlap_add(
        self, spectra: Complex, signal: Float, n_fft: int, hop: int, start: int
    ) -> None:
        stft.overlap_add(spectra, signal, n_fft, hop, start)

    def to_int16(self, audio: Float) -> tuple[NDArray[np.int16], int]:
        return to_int16(np.ascontiguousarray(audio.T))

    def peaks(self, audio: Float, step: int) -> Float:
        magnitudes = np.fmax.reduce(np.abs(audio), axis=0, initial=0)
        starts = np.arange(0, len(magnitudes), step)
        return np.fmax.reduceat(magnitudes, starts) if len(starts) else magnitudes
