"""What the reference does otherwise than we, so that the rest can be held to it."""

from collections.abc import Iterator

from umx.kernels.reference import Numpy
from umx.signal import wiener
from umx.types import Complex, Float


class AsTheReference(Numpy):
    """Filters as openunmix does, with or without a residual, and divides nothing that estimates leave."""

    def __init__(self, residual: bool = False):
        self.residual = residual

    def wiener(self, masks: Float, mixture: Complex, complete: bool = False) -> Iterator[Complex]:
        sources = wiener.with_residual(masks) if self.residual else masks
        (estimates,) = super().wiener(sources, mixture)
        yield estimates[: len(masks)]
