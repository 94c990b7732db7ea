"""The inner loops, behind one interface, and the choice between their implementations.

All arrays are C-contiguous but for `out`, whose last axis is.
"""

from typing import Literal, Protocol, TypeAlias

from ..types import Complex, Float
from .layers import Linear, LstmLayer

Activation: TypeAlias = Literal["none", "tanh", "relu"]


class Engine(Protocol):
    """What the signal path needs computed."""

    name: str

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

    def wiener(self, masks: Float, mixture: Complex) -> Complex:
        """One iteration of expectation-maximisation on one window of frames, from masks times the mixture.

        masks: float32 (targets, frames, channels, bins); mixture: complex64 (frames, channels, bins).
        Returns the estimates, complex64 (targets, frames, channels, bins), as `openunmix.filtering.wiener` does with
        one iteration, no softmask and no residual.
        """


def choose() -> Engine:
    """The fastest engine that works here."""
    from .reference import Numpy

    return Numpy()
