"""Networks of UMX-L's shape with random weights, as openunmix makes and saves them: 113 M parameters."""

import json
from pathlib import Path
from typing import Any

import pytest

TARGETS = ("vocals", "drums", "bass", "other")
HIDDEN, BINS, MAX_BIN = 1024, 2049, 1487
SETTINGS = {"nfft": 4096, "nhop": 1024, "sample_rate": 44100.0, "nb_channels": 2}


def network(seed: int) -> Any:
    """openunmix's model for one target; skips the test where torch or openunmix is missing."""
    pytest.importorskip("torch")
    golden = pytest.importorskip("golden")  # which imports openunmix
    return golden.network(HIDDEN, BINS, MAX_BIN, seed)


def save(folder: Path) -> dict[str, Path]:
    """Leave what openunmix's training leaves, in the zip format; returns the checkpoints by target."""
    torch = pytest.importorskip("torch")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "separator.json").write_text(json.dumps(SETTINGS))
    paths = {target: folder / f"{target}.pth" for target in TARGETS}
    for seed, (target, path) in enumerate(paths.items()):
        torch.save(network(seed).state_dict(), path)
        (folder / f"{target}.json").write_text(json.dumps({"args": {"target": target}}))
    return paths
