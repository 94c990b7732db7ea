"""The folder that openunmix's own training leaves: `separator.json` and, for each target, `<target>.pth` and
`<target>.json`.
"""

import json
import re
from pathlib import Path
from typing import Any

from ...errors import ConvertError
from ...format.manifest import TARGET


def read_folder(folder: Path) -> tuple[dict[tuple[str, ...], Path], int, dict[str, int]]:
    """Checkpoints by target, sample rate, n_fft and hop of a custom model's folder.

    Raises ConvertError for a folder that isn't whole or asks for something that the engine can't do.
    """
    settings = _read_json(folder / "separator.json")
    try:
        rate = _whole(settings["sample_rate"])
        signal = {
            "n_fft": _whole(settings["nfft"]),
            "hop": _whole(settings["nhop"]),
        }
        channels = _whole(settings["nb_channels"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ConvertError(
            "folder.settings",
            "{json} lacks a usable value: {reason}.",
            json=folder / "separator.json",
            reason=error,
        ) from error
    if channels != 2:
        raise ConvertError(
            "folder.channels",
            "{file}: the model has {channels} channels; only stereo can be separated.",
            file=folder,
            channels=channels,
        )
    if signal["n_fft"] % signal["hop"] or signal["n_fft"] < 2 * signal["hop"]:
        raise ConvertError(
            "folder.hop",
            "{file}: nfft must be a multiple of nhop, at least twice as long.",
            file=folder,
        )
    checkpoints: dict[tuple[str, ...], Path] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name != "separator.json":
            if not TARGET.fullmatch(path.stem):
                raise ConvertError(
                    "folder.target-name",
                    "{stem!r} can't be the name of a target: rename {file} and what belongs to it "
                    "to letters, digits, _ and - only.",
                    stem=path.stem,
                    file=path,
                )
            checkpoints[(path.stem,)] = _checkpoint(folder, path.stem)
    if not checkpoints:
        raise ConvertError(
            "folder.empty",
            "{file} has no <target>.json with a <target>.pth beside it.",
            file=folder,
        )
    return checkpoints, rate, signal


def _checkpoint(folder: Path, target: str) -> Path:
    """The target's .pth; torch.hub adds eight digits of the hash to its name."""
    pattern = re.compile(re.escape(target) + r"([-_][0-9a-f]{8})?\.pth")
    found = sorted(path for path in folder.glob("*.pth") if pattern.fullmatch(path.name))
    if len(found) != 1:
        count = "several checkpoints" if found else "no checkpoint"
        raise ConvertError(
            "folder.checkpoint",
            "{file} has {count} {target}.pth for {target}.json.",
            file=folder,
            count=count,
            target=target,
        )
    return found[0]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConvertError(
            "folder.unreadable", "{file} can't be read: {reason}.", file=path, reason=error
        ) from error


def _whole(number: float) -> int:
    if number != int(number) or number <= 0:
        raise ValueError(f"{number} should be a whole number above 0")
    return int(number)
