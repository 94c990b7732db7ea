"""The stems that people ask for, and the targets that are estimated for them.

A song is its targets; karaoke is all of it but the vocals. Where only some of the targets are estimated, the residual
is all that they leave.
"""

from collections.abc import Sequence

import numpy as np

from .names import KARAOKE, RESIDUAL, TITLES, VOCALS, title_of
from .types import Float

RESERVED = frozenset({KARAOKE, *TITLES, *TITLES.values()} - {"other"})
"""Names that no model may give a target."""


def titles_of(targets: Sequence[str]) -> list[str]:
    """The stems that a model of these targets can give, as people call them."""
    return [title_of(target) for target in targets] + [KARAOKE] * (VOCALS in targets)


def targets_for(stems: Sequence[str], available: Sequence[str]) -> list[str]:
    """The targets that make up stems, named as people or the field call them, in the model's order.

    Raises ValueError for a stem that a model of the available targets can't give.
    """
    titles = titles_of(available)
    needed = set()
    for stem in stems:
        title = title_of(stem)
        if title not in titles:
            raise ValueError(f"There is no stem {stem!r}; choose from {', '.join(titles)}.")
        needed.add(VOCALS if title == KARAOKE else title)
    return [target for target in available if title_of(target) in needed]


def named(estimates: Float, targets: Sequence[str], available: Sequence[str]) -> dict[str, Float]:
    """Estimates by name, and karaoke where they suffice for it.

    estimates: (targets, …), in the order of `targets`, of which the last may be the residual.
    available: all of the model's targets.
    """
    stems = dict(zip(targets, estimates, strict=True))
    others = [name for name in targets if name != VOCALS]
    with_vocals = VOCALS in stems and (RESIDUAL in stems or set(available) <= set(targets))
    without = VOCALS in available and set(available) - {VOCALS} <= set(targets)
    if without and not with_vocals:
        others = [name for name in others if name != RESIDUAL]  # the vocals are in it
    if (with_vocals or without) and others:
        stems[KARAOKE] = np.sum([stems[name] for name in others], axis=0)
    return stems
