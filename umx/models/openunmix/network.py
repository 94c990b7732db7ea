"""The network of one target: mixture magnitudes in, a mask out.

Batch norm and the scaling of inputs and outputs are folded into the layers when a checkpoint is converted (see
`convert.fold`), so every layer is y = activation(scale * (weight @ x) + bias).
"""

from dataclasses import dataclass

import numpy as np

from ...format.safetensors import Shapes, Tensors
from ...kernels import Engine
from ...kernels.layers import Linear, LstmLayer
from ...types import Float
from .. import check_numbers
from .lstm import Lstm, State

MOST_LAYERS = 16


@dataclass(frozen=True)
class Network:
    """The shape of a model's networks, from its manifest."""

    n_fft: int
    hop: int
    channels: int
    bins: int
    max_bin: int
    """Bins that the network sees; UMX-L sees those below 16 kHz."""
    hidden_size: int
    layers: int
    bidirectional: bool

    def check(self) -> None:
        """Raise ValueError for anything that is of the wrong type or out of bounds."""
        check_numbers(
            self, ("n_fft", "hop", "channels", "bins", "max_bin", "hidden_size", "layers")
        )
        if type(self.bidirectional) is not bool:
            raise ValueError("bidirectional should be true or false")
        if self.channels != 2:
            raise ValueError("channels should be 2, because only stereo can be separated")
        if self.bins != self.n_fft // 2 + 1 or self.max_bin > self.bins:
            raise ValueError("n_fft, bins and max_bin don't fit together")
        if self.n_fft % self.hop or self.n_fft < 2 * self.hop:
            raise ValueError("n_fft should be a multiple of hop, at least twice as long")
        if self.hidden_size % len(self.directions):
            raise ValueError("hidden_size should be even")
        if self.layers > MOST_LAYERS:  # checked before they are listed, which could fill the memory
            raise ValueError("layers should be fewer")

    @property
    def sources(self) -> int:
        """How many targets each of the model's files is for."""
        return 1

    @property
    def directions(self) -> tuple[str, ...]:
        """Directions in which the LSTM reads a segment."""
        return ("forward", "backward") if self.bidirectional else ("forward",)


def shapes(network: Network) -> Shapes:
    """Every tensor that a target's file holds: its type and shape by name."""
    hidden = network.hidden_size
    width = hidden // len(network.directions)
    out: Shapes = {"input_scale": ("F32", (network.max_bin,))}

    def linear(name: str, outputs: int, inputs: int, bias: bool = True) -> None:
        out[f"{name}.weight"] = ("I8", (outputs, inputs))
        out[f"{name}.scale"] = ("F32", (outputs,))
        if bias:
            out[f"{name}.bias"] = ("F32", (outputs,))

    linear("fc1", hidden, network.channels * network.max_bin)
    for layer in range(network.layers):
        for direction in network.directions:
            linear(f"lstm.{layer}.{direction}.input", 4 * width, hidden)
            linear(f"lstm.{layer}.{direction}.recurrent", 4 * width, width, bias=False)
    linear("fc2", hidden, 2 * hidden)
    linear("fc3", network.channels * network.bins, hidden)
    return out


class OpenUnmix:
    """fc1, tanh, the LSTM's layers, skip connection, fc2, relu, fc3, relu: magnitudes in, a mask out."""

    def __init__(self, tensors: Tensors, network: Network, engine: Engine):
        """tensors: one target's weights by name, as `shapes` has them."""

        self.size = 0  # weights to multiply with for every frame

        def linear(name: str) -> Linear:
            weight = tensors[f"{name}.weight"]
            rows = len(weight)
            self.size += weight.size
            scale = tensors.get(f"{name}.scale", np.ones(rows, np.float32))
            bias = tensors.get(f"{name}.bias", np.zeros(rows, np.float32))
            floats = np.asarray(scale, np.float32), np.asarray(bias, np.float32)
            return engine.pack(Linear(weight, *floats))

        self.engine = engine
        self.output = (network.channels, network.bins)
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
                    for direction in network.directions
                ]
                for layer in range(network.layers)
            ],
            network.hidden_size // len(network.directions),
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
