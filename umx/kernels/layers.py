"""What the engines compute with: one matrix with its scales, and one direction of an LSTM layer."""

from typing import NamedTuple

from ..types import Float, Int8


class Linear(NamedTuple):
    """y = scale * (weight @ x) + bias."""

    weight: Int8 | Float  # (outputs, inputs)
    scale: Float  # (outputs,)
    bias: Float  # (outputs,)


class LstmLayer(NamedTuple):
    """One direction; gates in torch's order: input, forget, cell, output. The biases are in `input`."""

    input: Linear  # (4 * width, inputs)
    recurrent: Linear  # (4 * width, width)
