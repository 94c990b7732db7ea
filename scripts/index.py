"""The models in weights/, and the index of them that the page's menu is made from."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "weights"
INDEX = "index.json"
MANIFEST = "manifest.json"
SHOWN = ("name", "title", "licence", "credit", "source", "preset", "quality", "quality_note")


def models(weights: Path = WEIGHTS) -> list[dict[str, Any]]:
    """What the manifests say of each model, and its size in bytes, by name. Raises ValueError for a damaged one."""
    found = []
    for path in sorted(weights.glob(f"*/{MANIFEST}")):
        if path.parent.suffix == ".part":
            continue
        try:
            manifest = json.loads(path.read_text("utf-8"))
            shown = {key: manifest[key] for key in SHOWN}
            shown["size"] = sum(entry["size"] for entry in manifest["targets"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged; remove its folder ({error!r}).") from error
        # A copied folder goes by its own name, which is the one in its address.
        found.append(shown | {"name": path.parent.name})
    return found


def write_index(weights: Path = WEIGHTS) -> None:
    """Write the index anew, at once or not at all."""
    part = weights / f"{INDEX}.part"
    part.write_text(json.dumps(models(weights), indent=2, ensure_ascii=False) + "\n", "utf-8")
    part.replace(weights / INDEX)
