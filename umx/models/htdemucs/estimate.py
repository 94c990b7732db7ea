"""From mixtures to the estimates of targets, by one network or by a bag of them."""

from collections.abc import Iterator, Sequence

import numpy as np

from ...format.safetensors import Tensors
from ...kernels import Engine
from ...kernels.htdemucs import choose
from ...types import Float
from .. import Cutting, Progress
from .description import SAMPLE_RATE, Network
from .network import Arena, Forward

OVERLAP = 8
"""Neighbouring segments share an eighth."""


class Estimator:
    """Networks of one shape, each for its own targets, that share the memory which they work in."""

    cutting = Cutting(39 * SAMPLE_RATE // 5, 39 * SAMPLE_RATE // 5 // OVERLAP)
    """Of the makers' models."""

    def __init__(self, network: Network, engine: Engine):
        self.network, self._engine = network, engine
        self.cutting = Cutting(network.segment, network.segment // OVERLAP)
        self._kernels, self._arena = choose(engine), Arena(network)
        self._networks: list[tuple[tuple[str, ...], Forward]] = []

    def add(self, targets: Sequence[str], tensors: Tensors) -> None:
        """Add one file's network, and which targets its sources are. Raises ValueError for another number of them."""
        if len(targets) != self.network.sources:
            raise ValueError(
                f"A network has estimates of {self.network.sources} of them, not of {len(targets)}."
            )
        forward = Forward(self.network, tensors, self._engine, self._kernels, self._arena)
        self._networks.append((tuple(targets), forward))

    def estimate(
        self, mixture: Float, wanted: Sequence[str], progress: Progress
    ) -> Iterator[Float]:
        """Separate segments one by one; no network runs whose targets nobody wants.

        mixture: float32 (B, 2, samples), no longer than the network's segment. A shorter one is in the middle of a
        segment, silence around it. progress: called between layers with the fraction of the work that is done.
        Yields float32 (wanted, 2, samples).
        """
        samples = mixture.shape[-1]
        before = (self.network.segment - samples) // 2
        behind = self.network.segment - samples - before
        needed = [part for part in self._networks if set(part[0]) & set(wanted)]
        done, whole = 0, len(mixture) * len(needed)
        for signal in mixture:
            padded = np.pad(signal, ((0, 0), (before, behind)))
            out = np.empty((len(wanted), *signal.shape), np.float32)
            for targets, forward in needed:
                chosen = [target for target in wanted if target in targets]

                def report(fraction: float, done: int = done) -> None:
                    progress((done + fraction) / whole)

                estimates = forward.estimate(
                    padded, [targets.index(target) for target in chosen], report
                )
                for target, estimate in zip(chosen, estimates, strict=True):
                    out[wanted.index(target)] = estimate[:, before : before + samples]
                done += 1
            yield out
