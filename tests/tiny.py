"""A model of two tiny networks, and what refusing its hostile relatives is held to."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.memory import MEGABYTE, cheaply
from umx.errors import WeightsError
from umx.format.manifest import Manifest, WeightFile
from umx.models.openunmix.network import Network, shapes

NETWORK = Network(
    n_fft=16,
    hop=4,
    channels=2,
    bins=9,
    max_bin=6,
    hidden_size=4,
    layers=2,
    bidirectional=True,
)
FIELDS: dict[str, Any] = {
    "name": "tiny",
    "title": "A tiny model",
    "licence": "CC0-1.0",
    "credit": "nobody",
    "source": "",
    "preset": "best",
    "architecture": "openunmix",
    "sample_rate": 44100,
    "network": NETWORK,
    "quality": {"vocals": 1.5},
    "quality_note": "guessed",
}
SEEDS = {("vocals",): 1, ("drums",): 2}
"""The targets of its networks, and what their weights are drawn from."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def tensors(seed: int) -> dict[str, np.ndarray]:
    """A network's weights."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(-127, 128, shape, np.int8)
        if dtype == "I8"
        else rng.standard_normal(shape).astype(np.float32)
        for name, (dtype, shape) in shapes(NETWORK).items()
    }


def format_1(manifest: Manifest) -> dict[str, Any]:
    """The content that a manifest of an Open-Unmix has in the first format."""
    content = json.loads(manifest.text())
    assert content.pop("architecture") == "openunmix"
    content |= {"format": 1, **content.pop("network")}
    content["targets"] = {}
    for entry in content.pop("files"):
        (target,) = entry.pop("targets")
        content["targets"][target] = entry
    return content


@contextmanager
def refused(match: str, code: str = "") -> Iterator[None]:
    """Expect a WeightsError of one plain sentence, and of this code if there is one."""
    with cheaply(MEGABYTE), pytest.raises(WeightsError, match=match) as caught:
        yield
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert caught.value.code.startswith(("manifest.", "weights."))
    assert code in ("", caught.value.code)


def entry_of(data: bytes, unpacked: bytes) -> WeightFile:
    """The entry that a hostile manifest would have for a file: everything in it is true."""
    return WeightFile(
        ("vocals",),
        "evil.gz",
        len(data),
        hashlib.sha256(data).hexdigest(),
        len(unpacked),
        hashlib.sha256(unpacked).hexdigest(),
    )
