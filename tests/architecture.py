"""The smallest architecture that there can be: what another one than Open-Unmix has to bring, and no more.

Its networks share the mixture out: each target gets a fixed part of it, which its file has as 8-bit shares of a whole.
A network may have several targets.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from umx.errors import ConvertError
from umx.format.safetensors import Shapes, Tensors
from umx.kernels import Engine
from umx.models import Cutting, Progress, Rounded, check_numbers
from umx.types import Float


@dataclass(frozen=True)
class Network:
    sources: int
    whole: int

    def check(self) -> None:
        check_numbers(self, ("sources", "whole"))


def shapes(network: Network) -> Shapes:
    return {"shares": ("I8", (network.sources,)), "scale": ("F32", (1,))}


class Estimator:
    cutting = Cutting(segment=5000, overlap=500, batch_size=2)

    def __init__(self, network: Network, engine: Engine):
        self.parts: dict[str, np.float32] = {}

    def add(self, targets: Sequence[str], tensors: Tensors) -> None:
        shares = tensors["shares"] * tensors["scale"]
        self.parts.update(zip(targets, shares, strict=True))

    def estimate(
        self, mixture: Float, wanted: Sequence[str], progress: Progress
    ) -> Iterator[Float]:
        for number, segment in enumerate(mixture):
            progress((number + 1) / len(mixture))
            yield np.stack([self.parts[target] * segment for target in wanted])


def recognises(state: Mapping[str, Any]) -> bool:
    return "shares" in state


def targets(state: Mapping[str, Any]) -> tuple[str, ...]:
    return ()


def describe(
    state: Mapping[str, NDArray[Any]], targets: Sequence[str], preset: str, /, **known: Any
) -> Network:
    if "shares" not in state or state["shares"].ndim != 1:
        raise ConvertError("convert.shares", "its shares are no list.")
    return Network(sources=len(state["shares"]), **known)


def tensors(
    state: dict[str, NDArray[Any]], network: Network, preset: str, targets: Sequence[str]
) -> Rounded:
    shares = state.pop("shares")
    state.clear()
    integers = np.rint(shares * network.whole).astype(np.int8)
    return Rounded(shares=integers, scale=np.array([1 / network.whole], np.float32))
