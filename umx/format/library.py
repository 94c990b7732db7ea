"""Models on a disk: each a folder with its manifest and the files that it names."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..names import MANIFEST
from .manifest import Manifest
from .packing import pack, read_weights
from .safetensors import Tensors

DEFAULT_MODEL = "umx-mini"
"""The one that comes with the package."""


@dataclass(frozen=True)
class Model:
    """A manifest, and each network's tensors by the targets that it estimates."""

    manifest: Manifest
    networks: Mapping[tuple[str, ...], Tensors]


def load_model(folder: Path) -> Model:
    """Read a model's folder. Raises WeightsError."""
    manifest = read_manifest(folder)
    networks = {}
    for entry in manifest.files:
        path = folder / entry.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise WeightsError(
                "weights.unreadable",
                "{file} can't be read: {reason}.",
                file=path,
                reason=error.strerror,
            ) from error
        networks[entry.targets] = read_weights(data, entry, manifest)
    return Model(manifest, networks)


def read_manifest(folder: Path) -> Manifest:
    """Read a model's manifest only. Raises WeightsError."""
    path = folder / MANIFEST
    try:
        return Manifest.parse(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            "weights.unreadable", "{file} can't be read: {reason}.", file=path, reason=error
        ) from error


def write_model(
    folder: Path, networks: Mapping[tuple[str, ...], Tensors], **fields: Any
) -> Manifest:
    """Write a model's folder; the same tensors give the same bytes.

    fields: the manifest's other fields. Returns the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for targets, tensors in networks.items():
        entry, data = pack(targets, tensors)
        (folder / entry.file).write_bytes(data)
        entries.append(entry)
    manifest = Manifest(files=tuple(entries), **fields)
    manifest = Manifest.parse(manifest.text(), str(folder / MANIFEST))
    (folder / MANIFEST).write_text(manifest.text(), "utf-8")
    return manifest


def find_model(name: str | Path) -> Path:
    """The folder of a model: a path to it, or its name in this checkout, the user's models or the package.

    Raises WeightsError, saying where it looked.
    """
    places = [Path(name).parent, *model_places()]
    for place in places:
        folder = place / Path(name).name
        if (folder / MANIFEST).is_file():
            return folder
    looked = ", ".join(str(place) for place in places)
    raise WeightsError(
        "weights.no-model",
        "There is no model {name!r} in any of {places}.",
        name=str(name),
        places=looked,
    )


def model_places() -> list[Path]:
    """Where models are looked for by name: the checkout, the user's data folder, the installed package."""
    package = Path(__file__).parent.parent
    return [package.parent / "weights", user_models(), package / "weights"]


def user_models() -> Path:
    """Where this user's models are kept."""
    from platformdirs import user_data_path  # needed on desktops only

    return user_data_path("umx", appauthor=False)


def best_model() -> Path:
    """The folder of the model with the highest mean SDR of all that are in `model_places`, damaged ones left out.

    Raises WeightsError if there is none.
    """
    best, highest = None, -math.inf
    for path in (path for place in model_places() for path in sorted(place.glob(f"*/{MANIFEST}"))):
        if path.parent.suffix == ".part":
            continue
        with suppress(WeightsError):
            quality = read_manifest(path.parent).quality.values()
            mean = sum(quality) / len(quality) if quality else 0.0
            if mean > highest:
                best, highest = path.parent, mean
    return best or find_model(DEFAULT_MODEL)
