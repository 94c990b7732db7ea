"""The models in weights/, the index of them that the page's menu is made from, and the official ones."""

import json
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.common import atomic_write
from scripts.common.environment import ROOT
from umx.desktop.download import sha256
from umx.names import MANIFEST

WEIGHTS = ROOT / "weights"
INDEX = "index.json"
OFFICIAL: dict[str, dict[str, Any]] = {
    name: model
    for path in sorted((ROOT / "umx" / "models").glob("*/official.py"))
    for name, model in runpy.run_path(str(path))["MODELS"].items()
}
"""Models that can be had, by name. Read by their path, because importing their package takes numpy."""
SHOWN = ("name", "title", "licence", "credit", "source", "preset", "quality", "quality_note")


def models(weights: Path = WEIGHTS) -> list[dict[str, Any]]:
    """Each model's entry in the index, by name: facts from its manifest, and its size in bytes, packed and unpacked.

    Raises ValueError for a damaged one.
    """
    found = []
    for path, manifest in _manifests(weights):
        with _damaged(path):
            shown = {key: manifest[key] for key in SHOWN}
            shown["architecture"] = manifest.get("architecture", "openunmix")
            files = _files(manifest)
            shown["size"] = sum(entry["size"] for entry in files)
            shown["unpacked"] = sum(entry["unpacked_size"] for entry in files)
        # A copied folder goes by its own name, which is the one in its address.
        found.append(shown | {"name": path.parent.name})
    return found


def check(weights: Path = WEIGHTS) -> None:
    """Raise ValueError unless every file that a manifest names is there, with the bytes that it should have."""
    for path, manifest in _manifests(weights):
        with _damaged(path):
            expected = {path.parent / e["file"]: e["sha256"] for e in _files(manifest)}
        for file, digest in expected.items():
            if not file.is_file() or sha256(file) != digest:
                state = "damaged" if file.exists() else "missing"
                raise ValueError(f"{file} is {state}; get the model again, or remove its folder.")


def write_index(weights: Path = WEIGHTS) -> None:
    """Write the index anew. Raises ValueError for a damaged manifest."""
    text = json.dumps(models(weights), indent=2, ensure_ascii=False) + "\n"
    atomic_write.write(weights / INDEX, text.encode())


def _manifests(weights: Path) -> Iterator[tuple[Path, Any]]:
    for path in sorted(weights.glob(f"*/{MANIFEST}")):
        if path.parent.suffix != ".part":
            with _damaged(path):
                manifest = json.loads(path.read_text("utf-8"))
            yield path, manifest


def _files(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of the files that a manifest names; format 1 has them by target."""
    return [*manifest["targets"].values()] if manifest["format"] == 1 else manifest["files"]


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Turn errors in a manifest's content into a ValueError that says what to do."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged; remove its folder ({error!r}).") from error
