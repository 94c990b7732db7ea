"""The multichannel Wiener filter: masks and mixture in, complex estimates out.

One iteration of the expectation-maximisation of Nugraha, Liutkus, Vincent, "Multichannel music separation with deep
neural networks", EUSIPCO 2016, as `openunmix.filtering.wiener` computes it, on independent windows of frames: sources
are taken to stand still for as long as a window lasts.
"""

from collections.abc import Iterator

import numpy as np

from ..types import Float

WINDOW = 300
"""Frames filtered together; about seven seconds."""
TRACE = np.float32(1e-6)
"""Added to every mask before shares are taken: where all masks are zero, targets get equal shares."""


def windows(frames: int) -> Iterator[slice]:
    """The windows that cover `frames` frames, in order."""
    return (slice(a, min(a + WINDOW, frames)) for a in range(0, frames, WINDOW))


def with_residual(masks: Float) -> Float:
    """Add a target that takes what the others leave: (targets, …) to (targets + 1, …).

    Its mask may be negative where the others add up to more than the mixture.
    """
    return np.concatenate([masks, 1 - masks.sum(axis=0, keepdims=True)])


def shares(masks: Float) -> Float:
    """Shares of the rest that estimates leave, by target: (targets, …), not negative, in sum 1.

    Shares in proportion to the masks cost no target any SDR on real songs, where giving all of it to *other* costs
    that target more than a decibel.
    """
    raised = masks + TRACE
    out: Float = raised / raised.sum(axis=0)
    return out
