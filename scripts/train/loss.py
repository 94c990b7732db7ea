"""What training lowers, and its gradient, written by hand: one example at a time stays in the processor's cache.

For each target two errors relative to the mixture's power, in the logarithm, as decibels are: of the magnitude that its
own mask leaves, and of the sound where masks are weighed against each other as the Wiener filter does, each by its
square over the sum of the squares. A faint target thus counts as much as a loud one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .dataset import Batch

FLOOR = 0.012  # of the mixture's power: errors smaller than that need not become smaller
FAINT = 1e-3  # the square of a mask, added to all of them


Layers = tuple[Tensor, Tensor, Tensor]
"""Of one target's network: what the last layer sees (frames, batch, hidden), its matrices (2, hidden, bins) and
biases (2, 1, bins), or gradients by these."""


def backward(
    outputs: Sequence[Layers], batch: Batch, examples: range
) -> tuple[Tensor, list[Layers]]:
    """Errors of some examples of a batch, (examples, 2, targets), and the gradients of their logarithms' sum."""
    found = []
    matrices = [weight.bfloat16() for _, weight, _ in outputs]
    biases = torch.stack([bias for _, _, bias in outputs])
    gradients = [tuple(torch.zeros_like(part, dtype=torch.float32) for part in o) for o in outputs]
    for i in examples:
        seen = [hidden[:, i].bfloat16() for hidden, _, _ in outputs]
        masks = torch.stack([x @ matrix for x, matrix in zip(seen, matrices, strict=True)]).float()
        masks += biases
        masks.relu_()
        error, slopes = errors(
            masks, batch.mixture[i], batch.stems[i], batch.products[i], batch.judged[i]
        )
        slopes *= masks > 0
        found.append(error)
        for x, matrix, slope, (hidden, weight, bias) in zip(
            seen, matrices, slopes, gradients, strict=True
        ):
            small = slope.bfloat16()
            hidden[:, i] = (small @ matrix.mT).sum(dim=0)
            weight += x.mT @ small
            bias += slope.sum(dim=1, keepdim=True)
    return torch.stack(found), gradients


def errors(
    found: Tensor, mixture: Tensor, stems: Tensor, products: Tensor, judged: Tensor
) -> tuple[Tensor, Tensor]:
    """Both errors of masks (targets, 2, frames, bins), as (2, targets), and the gradient of their logarithms' sum.

    mixture: (2, frames, bins); stems, products and judged: as `dataset.Batch`'s, of one example. What is not judged
    has errors of 1, so that means are comparable, and no part in the gradient.
    """
    power = mixture.square()
    total = power.sum() + 1e-3
    axes = (1, 2, 3)
    missed = found * mixture
    missed -= stems
    own = missed.square().sum(dim=axes) / total
    gradient = missed.mul_(mixture)  # of half the error
    gradient *= (judged / (own + FLOOR) / total)[:, None, None, None]

    shares = found.square().add_(FAINT)
    shares /= shares.sum(dim=0)
    slope = shares * power
    slope -= products  # half the derivative with respect to a share
    weighed = (shares * (slope - products)).sum(dim=axes) + stems.square().sum(dim=axes)
    weighed /= total
    slope *= (judged / (weighed + FLOOR) / total)[:, None, None, None]
    common = (slope * shares).sum(dim=0)
    slope -= common
    # d share / d mask = 2 mask / Σ squares; Σ squares = (mask² + FAINT) / share
    slope *= shares
    slope *= 2 * found / (found.square().add_(FAINT))
    gradient += slope
    found_errors = torch.stack([own, weighed])
    return torch.where(judged > 0, found_errors, 1.0), gradient.mul_(2)
