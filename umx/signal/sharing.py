"""Shares the residual, what estimates leave of the mixture, out among them."""

import numpy as np

from ..types import Float

BLOCK = 1024
"""Samples whose power is taken together."""


def share_out(estimates: Float, mixture: Float) -> None:
    """Have estimates (targets, channels, samples) sum to the mixture (channels, samples), in place.

    Each estimate gets a share of the residual in proportion to its power around a sample, so that silent stems stay
    silent. Both arrays are float32.
    """
    targets, _, samples = estimates.shape
    blocks = -(-samples // BLOCK)
    power = np.zeros((targets, blocks), np.float32)
    for target, estimate in enumerate(estimates):
        squares = np.pad(np.square(estimate).sum(axis=0), (0, blocks * BLOCK - samples))
        power[target] = squares.reshape(blocks, BLOCK).sum(axis=1)
    power += np.float32(1e-6) * power.sum(axis=0) + np.float32(1e-30)
    power /= power.sum(axis=0)
    left = mixture - estimates.sum(axis=0)
    middles = (np.arange(blocks) + 0.5) * BLOCK
    at = np.arange(samples)
    for estimate, shares in zip(estimates, power, strict=True):
        estimate += np.interp(at, middles, shares).astype(np.float32) * left
