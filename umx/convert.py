"""Converting: the checkpoints of an Open-Unmix become a model's folder, one target after the other.

openunmix's own training leaves a folder with `separator.json` and, for each target, `<target>.pth` and `<target>.json`.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from . import checkpoint
from .quantize import ShapeError, choose_steps, fold, mean_inputs, round_weights
from .types import Float
from .weights import MANIFEST, TARGET, Manifest, Tensor, WeightFile, pack, shapes

TARGETS = ("vocals", "drums", "bass", "other")
"""Order in which models name their targets; others come after."""
SIGNAL = {"sample_rate": 44100, "n_fft": 4096, "hop": 1024}
"""Signal that the official models are made for."""
NETWORK = ("channels", "bins", "max_bin", "hidden_size", "layers", "bidirectional")

VECTOR = re.compile(r"(in|out)put_(mean|scale)|bn\d\.(weight|bias|running_\w+)|lstm\.bias_\w+")
MATRIX = re.compile(r"fc\d\.weight|lstm\.weight_\w+")

Progress = Callable[[str], None]
"""Called with the target that is about to be converted."""


class ConvertError(ValueError):
    """Checkpoints that can't become a model; says which and why."""


def convert(
    checkpoints: Mapping[str, Path],
    folder: Path,
    preset: str,
    progress: Progress = lambda target: None,
    **fields: Any,
) -> Manifest:
    """Convert checkpoints, one per target, into a model's folder, which is made.

    fields: the manifest's, but for targets, preset and the network's shape. Returns the manifest.
    Raises ConvertError and CheckpointError, naming the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    converter = Converter(preset, **fields)
    for target in sorted(checkpoints, key=_rank):
        progress(target)
        path = checkpoints[target]
        try:
            with path.open("rb") as file:
                entry, data = converter.add(target, file)
        except OSError as error:
            raise ConvertError(f"{path} can't be read: {error.strerror}.") from error
        except ValueError as error:
            raise ConvertError(f"{path}: {error}") from error
        (folder / entry.file).write_bytes(data)
    manifest = converter.manifest()
    (folder / MANIFEST).write_text(manifest.text(), "utf-8")
    return manifest


class Converter:
    """Takes a model's checkpoints one by one, and holds none of them longer than it must."""

    def __init__(self, preset: str, **fields: Any):
        """fields: the manifest's, but for targets, preset and the network's shape."""
        self.preset, self.fields = preset, fields
        self.entries: dict[str, WeightFile] = {}

    def add(self, target: str, file: BinaryIO) -> tuple[WeightFile, bytes]:
        """Convert one target's checkpoint: its entry in the manifest, and the file that it names.

        Raises CheckpointError for a file that is none, ConvertError for a network that isn't one of this model.
        """
        state = checkpoint.read_file(file)
        network = describe(state)
        known = {name: self.fields.setdefault(name, network[name]) for name in NETWORK}
        if network != known:
            odd = next(name for name in NETWORK if network[name] != known[name])
            raise ConvertError(
                f"its network has {odd} {network[odd]}, but the model has {known[odd]}; "
                "all targets of a model must be alike."
            )
        manifest = Manifest(targets={}, preset=self.preset, **self.fields)
        try:
            manifest.check_network()
        except ValueError as error:
            raise ConvertError(f"it is no network that can be used: {error}.") from error
        try:
            folded = fold(state)
        except ShapeError as error:
            raise ConvertError(str(error)) from error
        for name, tensor in folded.items():
            if not np.isfinite(tensor).all():
                raise ConvertError(f"its {name} holds numbers that are not finite.")
        means = mean_inputs(state)
        del state
        _check(folded, manifest)
        steps = choose_steps(folded, self.preset)
        tensors: dict[str, Tensor] = {}
        for layer in sorted({key.rpartition(".")[0] for key in folded}):
            # Layers are rounded one at a time, so that few exist in both forms: the float one is four times as large.
            whole = {
                key: folded.pop(key) for key in list(folded) if key.rpartition(".")[0] == layer
            }
            tensors |= round_weights(whole, steps, means)
            del whole
        entry, data = pack(target, tensors)
        self.entries[target] = entry
        return entry, data

    def manifest(self) -> Manifest:
        """The manifest of the targets so far. Raises WeightsError where its fields don't fit."""
        manifest = Manifest(targets=self.entries, preset=self.preset, **self.fields)
        return Manifest.parse(manifest.text(), MANIFEST)


def describe(state: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """The network's shape, as the manifest names it. Raises ConvertError for what is no Open-Unmix."""
    for pattern, dimensions in ((VECTOR, 1), (MATRIX, 2)):
        for name, tensor in state.items():
            if pattern.fullmatch(name) and (tensor.ndim != dimensions or not tensor.size):
                raise ConvertError(f"it is no Open-Unmix: its {name} has shape {tensor.shape}.")
    try:
        max_bin, bins = len(state["input_mean"]), len(state["output_mean"])
        hidden, inputs = state["fc1.weight"].shape
    except KeyError as error:
        raise ConvertError(f"it is no Open-Unmix: {error} is missing.") from error
    # The first nine digits are enough to see that there are too many.
    layers = [int(match[1]) for key in state if (match := re.match(r"lstm\.\w+_l(\d{1,9})", key))]
    return {
        "channels": inputs // max_bin,
        "bins": bins,
        "max_bin": max_bin,
        "hidden_size": hidden,
        "layers": 1 + max(layers, default=-1),
        "bidirectional": "lstm.weight_ih_l0_reverse" in state,
    }


def read_folder(folder: Path) -> tuple[dict[str, Path], dict[str, int]]:
    """What a folder of a custom model holds: its checkpoints by target, and its sample_rate, n_fft and hop.

    Raises ConvertError for a folder that isn't whole or asks for what the pipeline can't do.
    """
    settings = _read_json(folder / "separator.json")
    try:
        signal = {
            "sample_rate": _whole(settings["sample_rate"]),
            "n_fft": _whole(settings["nfft"]),
            "hop": _whole(settings["nhop"]),
        }
        channels = _whole(settings["nb_channels"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ConvertError(f"{folder / 'separator.json'} lacks a usable value: {error}.") from error
    if channels != 2:
        raise ConvertError(
            f"{folder}: the model has {channels} channels; only stereo can be separated."
        )
    if signal["n_fft"] % signal["hop"] or signal["n_fft"] < 2 * signal["hop"]:
        raise ConvertError(f"{folder}: nfft must be a multiple of nhop, at least twice as long.")
    checkpoints = {}
    for path in sorted(folder.glob("*.json")):
        if path.name != "separator.json":
            if not TARGET.fullmatch(path.stem):
                raise ConvertError(
                    f"{path.stem!r} can't be the name of a target: rename {path} and what belongs to it "
                    "to letters, digits, _ and - only."
                )
            checkpoints[path.stem] = _checkpoint(folder, path.stem)
    if not checkpoints:
        raise ConvertError(f"{folder} has no <target>.json with a <target>.pth beside it.")
    return checkpoints, signal


def _checkpoint(folder: Path, target: str) -> Path:
    """The target's .pth; torch.hub adds eight digits of the hash to its name."""
    pattern = re.compile(re.escape(target) + r"([-_][0-9a-f]{8})?\.pth")
    found = sorted(path for path in folder.glob("*.pth") if pattern.fullmatch(path.name))
    if len(found) != 1:
        count = "several checkpoints" if found else "no checkpoint"
        raise ConvertError(f"{folder} has {count} {target}.pth for {target}.json.")
    return found[0]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConvertError(f"{path} can't be read: {error}.") from error


def _whole(number: float) -> int:
    if number != int(number) or number <= 0:
        raise ValueError(f"{number} should be a whole number above 0")
    return int(number)


def _rank(target: str) -> tuple[int, str]:
    return (TARGETS.index(target) if target in TARGETS else len(TARGETS)), target


def _check(folded: Mapping[str, Float], manifest: Manifest) -> None:
    """Raise ConvertError unless the tensors are those of the manifest's network."""
    expected = shapes(manifest)
    found = {name: tensor.shape for name, tensor in folded.items()}
    for name in sorted(expected.keys() | found.keys()):
        shape = expected[name][1] if name in expected else None
        if found.get(name) != shape:
            raise ConvertError(f"its {name} has shape {found.get(name)} instead of {shape}.")
