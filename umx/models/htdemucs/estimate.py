"""From mixtures to the estimates of targets, by one network or by a bag of them."""

from collections.abc import Iterator, Sequence

import numpy as np

from ...format.safetensors import Tensors
from ...kernels import Engine
from ...kernels.htdemucs import choose
from ...signal.sharing import share_out
from ...types import Float
from .. import Cutting, Progress
from .description import SAMPLE_RATE, Network
from .network import Arena, Forward

OVERLAP = 8
"""Neighbouring segments share an eighth."""


class Estimator:
    """Networks of one shape, each for its own targets, that share the memory which they work in."""

    cutting = Cutting(39 * SAMPLE_RATE // 5, 39 * SAMPLE_RATE // 5 // OVERLAP, fixed=True)
    """That of the makers' models; others have their own."""

    def __init__(self, network: Network, engine: Engine):
        self.network, self._engine = network, engine
        self.cutting = Cutting(network.segment, network.segment // OVERLAP, fixed=True)
        self._kernels, self._arena = choose(engine), Arena(network)
        self._networks: list[tuple[tuple[str, ...], Forward]] = []

    def add(self, targets: Sequence[str], tensors: Tensors) -> None:
        """Add one file's network; targets: its sources, in order."""
        forward = Forward(self.network, tensors, self._engine, self._kernels, self._arena)
        self._networks.append((tuple(targets), forward))

    def estimate(
        self, mixture: Float, wanted: Sequence[str], progress: Progress
    ) -> Iterator[Float]:
        """Separate segments one by one. Networks without a wanted target don't run.

        Where all of them run, what they leave of the mixture is shared out, so that stems add up to the song.

        mixture: float32 (B, 2, samples), no longer than the network's segment. A shorter one is in the middle of a
        segment, silence around it. progress: called between layers with the fraction of the work that is done.
        Yields float32 (wanted, 2, samples).
        """
        samples = mixture.shape[-1]
        before = (self.network.segment - samples) // 2
        behind = self.network.segment - samples - before
        needed = [part for part in self._networks if set(part[0]) & set(wanted)]
        every = [target for targets, _ in needed for target in targets]
        done, whole = 0, len(mixture) * len(needed)
        for signal in mixture:
            padded = np.pad(signal, ((0, 0), (before, behind)))
            out = np.empty((len(every), *padded.shape), np.float32)
            for targets, forward in needed:

                def report(fraction: float, done: int = done) -> None:
                    progress((done + fraction) / whole)

                estimates = forward.estimate(padded, range(len(targets)), report)
                first = every.index(targets[0])
                out[first : first + len(targets)] = estimates
                done += 1
            if needed == self._networks:
                share_out(out, padded)
            yield out[[every.index(target) for target in wanted], :, before : before + samples]
