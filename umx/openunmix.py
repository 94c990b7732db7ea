"""The Open-Unmix network of one target: mixture magnitudes in, a mask out.

Stöter, Uhlich, Liutkus, Mitsufuji: "Open-Unmix – A Reference Implementation for Music Source Separation", JOSS 2019.
The reference is the PyPI package `openunmix`. Batch norm and the scaling of inputs and outputs are folded into the
layers when a checkpoint is converted (see `quantize`), so every layer is y = activation(scale * (weight @ x) + bias).
"""

from collections.abc import Mapping

import numpy as np

from .kernels import Engine
from .kernels.layers import Linear, LstmLayer
from .lstm import Lstm, State
from .types import Float
from .weights import Manifest, Tensor


class OpenUnmix:
    """fc1, tanh, three LSTM layers, skip connection, fc2, relu, fc3, relu."""

    def __init__(self, tensors: Mapping[str, Tensor], manifest: Manifest, engine: Engine):
        """tensors: one target's weights by name, as `weights.load_model` returns them."""

        self.size = 0  # weights to multiply with for every frame

        def linear(name: str) -> Linear:
            weight = tensors[f"{name}.weight"]
            rows = len(weight)
            self.size += weight.size
            scale = tensors.get(f"{name}.scale", np.ones(rows, np.float32))
            bias = tensors.get(f"{name}.bias", np.zeros(rows, np.float32))
            floats = np.asarray(scale, np.float32), np.asarray(bias, np.float32)
            return engine.pack(Linear(weight, *floats))

        directions = ("forward", "backward") if manifest.bidirectional else ("forward",)
        self.engine = engine
        self.output = (manifest.channels, manifest.bins)
        # A copy: a view would keep the whole file in memory.
        self.input_scale: Float = np.array(tensors["input_scale"], np.float32)
        self.fc1, self.fc2, self.fc3 = linear("fc1"), linear("fc2"), linear("fc3")
        self.lstm = Lstm(
            [
                [
                    LstmLayer(
                        linear(f"lstm.{layer}.{direction}.input"),
                        linear(f"lstm.{layer}.{direction}.recurrent"),
                    )
                    for direction in directions
                ]
                for layer in range(manifest.layers)
            ],
            manifest.hidden_size // len(directions),
            engine,
        )

    def encode(self, magnitude: Float, state: State | None = None) -> tuple[Float, State]:
        """All layers but the last. The LSTM among them needs all frames of a segment at once.

        magnitude: float32 (B, frames, channels, max_bin), |STFT| of the mixture.
        Returns float32 (B, frames, hidden_size) and the LSTM's state after the last frame.
        """
        sequences, frames = magnitude.shape[:2]
        x = np.empty((sequences, frames, len(self.fc1.scale)), np.float32)
        for sequence, spectra in zip(x, magnitude, strict=True):
            # Sequences are scaled one at a time: all of them would be the largest array in memory.
            sequence[:] = self.engine.linear(self._scaled(spectra), self.fc1, "tanh")
        y, state = self.lstm(x, state)
        for into, after in zip(x, y, strict=True):
            skip = np.concatenate([into, after], axis=-1)
            into[:] = self.engine.linear(skip, self.fc2, "relu")
        return x, state

    def _scaled(self, magnitude: Float) -> Float:
        """Frames as rows of the first layer's input: (frames, channels, max_bin) to (frames, channels * max_bin)."""
        return (magnitude * self.input_scale).reshape(len(magnitude), -1)

    def mask(self, encoded: Float) -> Float:
        """The last layer: (frames, hidden_size) to the mask, float32 (frames, channels, bins), not negative."""
        return self.engine.linear(encoded, self.fc3, "relu").reshape(-1, *self.output)
