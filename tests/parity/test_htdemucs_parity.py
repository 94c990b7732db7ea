"""HTDemucs in floats against golden vectors of the PyPI package `demucs` (scripts/golden_htdemucs.py made them)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.htdemucs import ARGUMENTS, GOLDEN, OVERLAPS, STEP, signal, state
from umx.kernels.htdemucs import Reference
from umx.kernels.reference import Numpy
from umx.models.htdemucs.description import Network
from umx.models.htdemucs.fold import fold
from umx.models.htdemucs.network import Arena, Forward

NETWORKS = {
    "four": Network(4, 8, 32, 3, 4, 64, 44100, 16),
    "six": Network(6, 8, 0, 3, 4, 128, 30870, 16),
}


def error(ours: np.ndarray, reference: np.ndarray) -> float:
    """The norm of the difference relative to the reference's."""
    assert ours.shape == reference.shape
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


class Watched(Forward):
    """Keeps what every layer gives, by the makers' names and in their layout, channels first."""

    def _encode(self, branch: str, level: int, report: Callable[..., None]) -> None:
        embedding, self._embedding = self._embedding, np.zeros_like(self._embedding)
        super()._encode(branch, level, report)  # the makers' encoder knows no embedding
        inside = self._arena.grid(branch, level, "skip").inside
        self.seen[f"{'t' * (branch == 'time')}encoder.{level}"] = channels_first(inside)
        self._embedding = embedding
        if branch == "freq" and level == 0:
            inside += embedding

    def _decode(self, branch: str, level: int, report: Callable[..., None]) -> None:
        kind = "skip" if level else "output"
        grid = self._arena.grid(branch, level - 1, kind)
        before = grid.inside.copy()
        super()._decode(branch, level, report)
        grid = self._arena.grid(branch, level - 1, kind)
        result = grid.inside - before if level else grid.inside
        self.seen[f"{'t' * (branch == 'time')}decoder.{3 - level}"] = channels_first(result)

    def _layer(
        self, branch: str, index: int, x: np.ndarray, memory: np.ndarray, report: Any
    ) -> None:
        super()._layer(branch, index, x, memory, report)
        self.seen[f"layers{'_t' * (branch == 'time')}.{index}"] = x.copy()


def channels_first(inside: np.ndarray) -> np.ndarray:
    """(frames, bins, channels) to (channels, bins, frames); (1, samples, channels) to (channels, samples)."""
    return inside.transpose(2, 1, 0).copy().reshape(inside.shape[2], inside.shape[1], -1).squeeze()


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as vectors:
        return dict(vectors)


@pytest.fixture(scope="module", params=list(NETWORKS))
def forward(request: pytest.FixtureRequest) -> Watched:
    network, engine = NETWORKS[request.param], Numpy()
    tensors = fold(state(request.param), network)
    kernels = Reference(engine.product)
    forward = Watched(network, tensors, engine, kernels, Arena(network))
    forward.name, forward.seen = request.param, {}
    return forward


def separate(forward: Forward, mixture: np.ndarray) -> np.ndarray:
    return forward.estimate(mixture, range(forward.network.sources))


def test_segment_and_every_layer(forward: Watched, golden: dict[str, np.ndarray]) -> None:
    estimates = separate(forward, signal(forward.network.segment))
    for name, value in forward.seen.items():
        value = value.reshape(-1)
        expected = golden[f"{forward.name}.mid.{name}"]
        assert error(value[:: max(1, value.size // 400)][:400], expected) < 1e-4, name
    assert len(forward.seen) == 22
    assert error(estimates.reshape(-1)[::STEP], golden[f"{forward.name}.segment"]) < 1e-4


def test_a_short_input_is_followed_by_silence(
    forward: Watched, golden: dict[str, np.ndarray]
) -> None:
    mixture = np.zeros((2, forward.network.segment), np.float32)
    mixture[:, :3000] = signal(3000, 3)
    estimates = separate(forward, mixture)[..., :3000]
    assert error(estimates.reshape(-1)[::28], golden[f"{forward.name}.short"]) < 1e-4


def test_song(forward: Watched, golden: dict[str, np.ndarray]) -> None:
    """Cut and joined as `demucs.apply.apply_model` does, at its level."""
    overlap = OVERLAPS[forward.name]
    segment = forward.network.segment
    song = signal(int(2.3 * segment), 2)
    samples = song.shape[-1]
    mono = song.mean(axis=0)
    mean, deviation = mono.mean(), mono.std(ddof=1)
    weight = np.minimum(np.arange(1, segment + 1), np.arange(segment, 0, -1)).astype(np.float32)
    total = np.zeros(samples)
    out = np.zeros((forward.network.sources, 2, samples))
    for start in range(0, samples, int((1 - overlap) * segment)):
        count = min(segment, samples - start)
        # A short last piece is in the middle of a segment, with what comes before it.
        first = start - (segment - count) // 2
        piece = np.zeros((2, segment), np.float32)
        there = (song[:, max(0, first) : first + segment] - mean) / deviation
        piece[:, max(0, -first) : max(0, -first) + there.shape[-1]] = there
        estimates = separate(forward, piece)[..., start - first : start - first + count]
        out[..., start : start + count] += weight[:count] * estimates
        total[start : start + count] += weight[:count]
    out = out / total * deviation + mean
    assert error(out.reshape(-1)[:: 5 * STEP], golden[f"{forward.name}.song"]) < 1e-4


def test_arguments_are_the_networks() -> None:
    for name, network in NETWORKS.items():
        assert len(ARGUMENTS[name]["sources"]) == network.sources
        network.check()
