"""The engine against golden vectors of the PyPI package `openunmix` (scripts/golden.py makes them anew)."""

from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import GOLDEN_NETWORK
from tests.reference import AsTheReference
from umx.format.library import Model
from umx.format.manifest import Manifest
from umx.kernels.reference import Numpy
from umx.models.openunmix.convert import fold
from umx.models.openunmix.network import OpenUnmix
from umx.separator import Separator
from umx.signal import stft

TARGETS = ("vocals", "drums", "bass", "other")


def error(ours: np.ndarray, reference: np.ndarray) -> float:
    """The norm of the difference relative to the reference's."""
    assert ours.shape == reference.shape
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("network.npz")) as vectors:
        return dict(vectors)


@pytest.fixture(scope="module")
def model(golden: dict[str, np.ndarray]) -> Model:
    """The reference's weights, folded but not quantised."""
    manifest = Manifest(
        name="tiny",
        title="Tiny",
        licence="CC0-1.0",
        credit="",
        source="",
        preset="best",
        architecture="openunmix",
        sample_rate=44100,
        network=GOLDEN_NETWORK,
        files=(),
    )
    networks = {}
    for target in TARGETS:
        state = {
            key.removeprefix(f"{target}."): value
            for key, value in golden.items()
            if key.startswith(f"{target}.")
        }
        networks[target,] = fold(state)
    return Model(manifest, networks)


@pytest.fixture(scope="module")
def network(model: Model) -> OpenUnmix:
    return OpenUnmix(model.networks["vocals",], model.manifest.network, Numpy())


@pytest.fixture(scope="module")
def magnitude(golden: dict[str, np.ndarray]) -> np.ndarray:
    return np.abs(golden["spectrum"])[np.newaxis]


def test_stft(golden: dict[str, np.ndarray]) -> None:
    assert error(stft.stft(golden["mixture"], 128, 32), golden["spectrum"]) < 1e-6


def test_fc1(golden: dict[str, np.ndarray], network: OpenUnmix, magnitude: np.ndarray) -> None:
    rows = (magnitude[0, ..., :47] * network.input_scale).reshape(-1, 94)
    assert error(network.engine.linear(rows, network.fc1, "tanh"), golden["layers.fc1"]) < 1e-4


def test_lstm(golden: dict[str, np.ndarray], network: OpenUnmix) -> None:
    out, _ = network.lstm(golden["layers.fc1"][np.newaxis])
    assert error(out[0], golden["layers.lstm"]) < 1e-4


def test_fc2(golden: dict[str, np.ndarray], network: OpenUnmix, magnitude: np.ndarray) -> None:
    encoded, _ = network.encode(magnitude[..., :47])
    assert error(encoded[0], golden["layers.fc2"]) < 1e-4


def test_whole_network(
    golden: dict[str, np.ndarray], network: OpenUnmix, magnitude: np.ndarray
) -> None:
    encoded, _ = network.encode(magnitude[..., :47])
    estimate = network.mask(encoded[0]) * magnitude[0]
    assert error(estimate, golden["layers.estimate"]) < 1e-4


@pytest.mark.parametrize("level", ["quiet", "loud"])
def test_wiener(level: str) -> None:
    with np.load(Path(__file__).with_name("wiener.npz")) as vectors:
        mixture = vectors[f"{level}.mixture"]
        reference = vectors[f"{level}.estimates"]
        (estimates,) = Numpy().wiener(
            vectors[f"{level}.masks"], (mixture[..., 0] + 1j * mixture[..., 1]).astype(np.complex64)
        )
    assert error(np.stack([estimates.real, estimates.imag], axis=-1), reference) < 1e-4


def test_separated_waveforms(golden: dict[str, np.ndarray], model: Model) -> None:
    separator = Separator(model, AsTheReference())
    (estimates,) = separator.process(golden["mixture"][np.newaxis])
    assert error(estimates, golden["estimates"]) < 1e-4


def test_residual_beside_the_targets(golden: dict[str, np.ndarray], model: Model) -> None:
    separator = Separator(model, AsTheReference(residual=True), residual=True)
    (estimates,) = separator.process(golden["mixture"][np.newaxis])
    assert error(estimates[:4], golden["residual"][:4]) < 1e-4
    np.testing.assert_allclose(estimates.sum(axis=0), golden["mixture"], atol=1e-6)


def test_our_waveforms_differ_by_what_the_reference_leaves(
    golden: dict[str, np.ndarray], model: Model
) -> None:
    (estimates,) = Separator(model, Numpy()).process(golden["mixture"][np.newaxis])
    np.testing.assert_allclose(estimates.sum(axis=0), golden["mixture"], atol=1e-6)
    left = golden["mixture"] - golden["residual"][:4].sum(axis=0)
    assert error((estimates - golden["residual"][:4]).sum(axis=0), left) < 1e-3
