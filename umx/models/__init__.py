"""The architectures that umx knows: the interface of each, and the registry.

An architecture is a package here whose `__init__.py` has the names of `Architecture`. To add one, write it, and add its
name to ARCHITECTURES; manifests name it in their field "architecture".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..types import Float

if TYPE_CHECKING:
    from ..format.safetensors import Shapes, Tensor, Tensors
    from ..kernels import Engine

ARCHITECTURES = ("openunmix", "htdemucs")
Progress = Callable[[float], None]
"""Called with the fraction of the work that is done, 0 to 1."""


@dataclass(frozen=True)
class Cutting:
    """How songs are cut for a network; lengths in samples."""

    segment: int
    """The longest segment."""
    overlap: int
    """Samples that neighbouring segments share."""
    batch_size: int = 1
    """Segments that are separated in lockstep, to save time."""
    fixed: bool = False
    """Whether the network always takes `segment` samples: then it may hear the song around a piece at no cost."""


class Rounded(dict[str, "Tensor"]):
    """A network's tensors as a file of ours holds them."""

    snr: float | None = None
    """Signal-to-noise ratio in dB of the stems that a network makes with these tensors, against those that it makes
    with the checkpoint's floats; None if it wasn't measured."""


class Network(Protocol):
    """An architecture's own fields of the manifest: a frozen dataclass of numbers."""

    @property
    def sources(self) -> int:
        """How many targets each of the model's files is for."""

    def check(self) -> None:
        """Raise ValueError for a number that is of the wrong type or out of bounds."""


class Estimator(Protocol):
    """A model's networks at work."""

    cutting: Cutting

    def add(self, targets: Sequence[str], tensors: "Tensors") -> None:
        """Take one more network of the model; targets: those that it estimates."""

    def estimate(
        self, mixture: Float, wanted: Sequence[str], progress: Progress
    ) -> Iterator[Float]:
        """Separate B segments: float32 (B, 2, samples), at the level that `level.gain` brings songs to.

        Yields float32 (wanted targets, 2, samples) for each segment, in order. All targets together are the mixture.
        progress may raise an exception, which ends the work.
        """


class Architecture(Protocol):
    """Names that a module of this package has."""

    Network: Callable[..., Any]
    """Type of the manifest's field "network"; satisfies the protocol of that name."""
    Estimator: Callable[[Any, "Engine"], Estimator]
    """Called with the manifest's `network` and an engine."""

    def shapes(self, network: Any) -> "Shapes":
        """Every tensor that a network's file holds."""

    def recognises(self, state: Mapping[str, Any]) -> bool:
        """Whether a checkpoint's tensors are those of such a network, be it whole or damaged."""

    def targets(self, state: Mapping[str, Any]) -> tuple[str, ...]:
        """Targets that a checkpoint names; () where checkpoints don't name them."""

    def describe(
        self, state: Mapping[str, Any], targets: Sequence[str], preset: str, /, **known: Any
    ) -> Any:
        """The network of the file that a checkpoint becomes for these targets.

        preset: one of `format.quantising.PRESETS`; known: fields that checkpoints don't tell.
        Raises ConvertError for a checkpoint that isn't of this architecture, or has no such targets.
        """

    def tensors(
        self, state: dict[str, Any], network: Any, preset: str, targets: Sequence[str]
    ) -> Rounded:
        """A checkpoint's tensors, rounded. `state` is emptied on the way, to save memory.

        Raises ConvertError.
        """


def find(name: str) -> Architecture:
    """An architecture by its name, loaded when it is first asked for. Raises ValueError for an unknown one."""
    if name not in ARCHITECTURES:
        raise ValueError(f"its architecture {name!r} isn't known, only {', '.join(ARCHITECTURES)}")
    return cast(Architecture, import_module(f".{name}", __package__))


def check_numbers(fields: object, names: Sequence[str]) -> None:
    """Raise ValueError for a field that isn't a positive number of reasonable size."""
    for name in names:
        value = getattr(fields, name)
        if not (type(value) is int and 0 < value <= 1 << 20):
            raise ValueError(f"{name} should be a positive number")
