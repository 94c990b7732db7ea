"""A streaming, stacked LSTM: it takes a chunk of frames and the state it left off with, and returns the new state.

The gates are in the engine's `lstm`: `kernels/reference.py` and `kernels/kernels.c`.

One chunk of everything equals `torch.nn.LSTM`. Many chunks in forward direction equal one; a backward direction can
only begin at the end of the chunk that it is given, so chunks of a bidirectional network should overlap.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ...kernels import Engine
from ...kernels.layers import LstmLayer
from ...types import Float

State: TypeAlias = list[list[tuple[Float, Float]]]
"""h and c, each (B, h) float32, by layer and direction."""


class Lstm:
    """Layers in order, each with one direction (forward) or two (forward, backward)."""

    def __init__(self, layers: Sequence[Sequence[LstmLayer]], width: int, engine: Engine):
        """width: hidden size of one direction; the layers must be packed by `engine`."""
        self.layers, self.width, self.engine = layers, width, engine

    def initial_state(self, sequences: int) -> State:
        zeros = np.zeros((sequences, self.width), np.float32)
        return [[(zeros, zeros) for _ in directions] for directions in self.layers]

    def __call__(self, x: Float, state: State | None = None) -> tuple[Float, State]:
        """Run a chunk of B sequences through all layers.

        x: float32 (B, frames, inputs). Returns float32 (B, frames, directions * width) and the new state.
        """
        state = state or self.initial_state(len(x))
        after: State = []
        for directions, before in zip(self.layers, state, strict=True):
            out = np.empty((*x.shape[:2], len(directions) * self.width), np.float32)

            def run(
                d: int,
                x: Float = x,
                out: Float = out,
                directions: Sequence[LstmLayer] = directions,
                before: Sequence[tuple[Float, Float]] = before,
            ) -> tuple[Float, Float]:
                part = out[..., d * self.width : (d + 1) * self.width]
                return self.engine.lstm(x, directions[d], before[d], bool(d), part)

            after.append(list(self.engine.threads.map(run, range(len(directions)))))
            x = out
        return x, after
