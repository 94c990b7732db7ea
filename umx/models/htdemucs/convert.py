"""Converting: a network as its makers leave it becomes the tensors of our file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...types import Float, Int8
from .description import BRANCHES, STRIDE, Network, shapes, values
from .fold import fold
from .makers import describe
from .quantize import PRESETS, quantize


def convert(
    arguments: Mapping[str, Any],
    state: Mapping[str, NDArray[Any]],
    preset: str,
    targets: Sequence[str] = (),
) -> tuple[Network, tuple[str, ...], dict[str, Float | Int8]]:
    """The network, the targets that it estimates, and its tensors.

    arguments: those that the makers' class was made with; state: its state dict. targets: which of the sources to
    estimate, for a bag of which each network is for some of them; () for all. Raises ValueError, saying what is wrong.
    """
    network, sources, folded = prepare(arguments, state, preset, targets)
    return network, sources, quantize(folded, preset)


def prepare(
    arguments: Mapping[str, Any],
    state: Mapping[str, NDArray[Any]],
    preset: str,
    targets: Sequence[str] = (),
) -> tuple[Network, tuple[str, ...], dict[str, Float]]:
    """As `convert`, with float matrices and without their scales."""
    sources, network = describe(arguments, PRESETS[preset].bits)
    try:
        folded = fold(state, network)
    except KeyError as error:
        raise ValueError(f"it has no {error}, so it is no HTDemucs") from error
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"its tensors don't fit together: {error}") from error
    _check(folded, network)
    if targets:
        missing = [target for target in targets if target not in sources]
        if missing:
            raise ValueError(f"it doesn't estimate {', '.join(missing)}")
        choose(folded, [sources.index(target) for target in targets], len(sources))
        network, sources = replace(network, sources=len(targets)), list(targets)
    return network, tuple(sources), folded


def choose(folded: dict[str, Float], wanted: Sequence[int], sources: int) -> None:
    """Leave away what the last layers estimate of the other sources, in place."""
    for branch in BRANCHES:
        for kind in ("weight", "bias"):
            name = f"{branch}.decoder.0.conv.{kind}"
            parts = folded[name].reshape(STRIDE, sources, values(branch), -1)[:, wanted]
            shape = (-1, *folded[name].shape[1:])
            folded[name] = np.ascontiguousarray(parts).reshape(shape)


def _check(folded: Mapping[str, Float], network: Network) -> None:
    """Raise ValueError unless these are the network's tensors, and finite."""
    expected = {
        name: shape
        for name, (_, shape) in shapes(network).items()
        if not name.endswith((".low", ".scale"))
    }
    found = {name: tensor.shape for name, tensor in folded.items()}
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            raise ValueError(
                f"its {name} has shape {found.get(name)} instead of {expected.get(name)}"
            )
        if not np.isfinite(folded[name]).all():
            raise ValueError(f"its {name} holds numbers that are not finite")
