"""From the makers' checkpoints to our tensors: folded into matrices, then rounded."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import misfit, unusable
from ...format.quantising import check
from ...types import Float
from .. import Rounded
from .arguments import CLASS, parse
from .description import BRANCHES, STRIDE, Network, shapes, values
from .fidelity import fidelity
from .fold import fold
from .quantize import PRESETS, quantize


def recognises(state: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is an HTDemucs, whole or damaged."""
    return _maker(state) == CLASS or any(name.startswith("crosstransformer.") for name in state)


def targets(state: Mapping[str, Any]) -> tuple[str, ...]:
    """The sources that a checkpoint says it estimates. Raises ConvertError where it doesn't say."""
    return _parsed(state)[0]


def describe(
    state: Mapping[str, Any], targets: Sequence[str] = (), preset: str = "web", /, **known: Any
) -> Network:
    """The network of a file for some of a checkpoint's targets, or for all of them; see `models.Architecture`."""
    sources, network = _parsed(state)
    for target in targets:
        if target not in sources:
            raise unusable(f"it doesn't estimate {target}")
    if preset not in PRESETS:
        raise unusable(f"it knows no preset {preset}")
    count = len(targets) if targets else len(sources)
    return replace(network, sources=count, weight_bits=PRESETS[preset].bits)


def tensors(
    state: dict[str, NDArray[Any]], network: Network, preset: str, targets: Sequence[str] = ()
) -> Rounded:
    """Fold a state dict, which is emptied, and give every matrix integers; see `models.Architecture`."""
    folded = folded_for(state, network, targets)
    state.clear()
    rounded = Rounded(quantize(folded, preset))
    rounded.snr = fidelity(network, folded, rounded)
    return rounded


def folded_for(
    state: Mapping[str, NDArray[Any]], network: Network, targets: Sequence[str] = ()
) -> dict[str, Float]:
    """The tensors of a file as `fold` returns them, checked, for some of the targets or for all of them."""
    sources = _parsed(state)[0]
    whole = replace(network, sources=len(sources))
    try:
        folded = fold(state, whole)
    except KeyError as error:
        raise unusable(f"it has no {error}") from error
    except (ValueError, IndexError, TypeError) as error:
        raise misfit(error) from error
    expected = shapes(whole)
    check(
        folded,
        {name: form for name, form in expected.items() if name in folded or not _is_made(name)},
    )
    if targets:
        choose(folded, [sources.index(target) for target in targets], len(sources))
    return folded


def choose(folded: dict[str, Float], wanted: Sequence[int], sources: int) -> None:
    """Remove the other sources' outputs from the last layers, in place."""
    for branch in BRANCHES:
        for kind in ("weight", "bias"):
            name = f"{branch}.decoder.0.conv.{kind}"
            parts = folded[name].reshape(STRIDE, sources, values(branch), -1)[:, wanted]
            shape = (-1, *folded[name].shape[1:])
            folded[name] = np.ascontiguousarray(parts).reshape(shape)


def _is_made(name: str) -> bool:
    """Whether rounding makes a tensor, so that `fold` doesn't return it."""
    return name.endswith((".low", ".scale"))


def _maker(state: Mapping[str, Any]) -> str:
    return getattr(state, "maker", "")


def _parsed(state: Mapping[str, Any]) -> tuple[tuple[str, ...], Network]:
    """Sources and network. Raises ConvertError where the checkpoint doesn't tell them, or can't be used."""
    if _maker(state) != CLASS:
        raise unusable("its file doesn't say that it is an HTDemucs, and how it was made")
    try:
        return parse(getattr(state, "arguments", {}))
    except ValueError as error:
        raise unusable(error) from error
