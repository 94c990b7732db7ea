"""Converting: checkpoints become a model's folder, one after the other, whatever their architecture."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from .. import models
from ..errors import CheckpointError, ConvertError, unusable
from ..names import MANIFEST
from . import checkpoint
from .manifest import Manifest, WeightFile
from .packing import pack

TARGETS = ("vocals", "drums", "bass", "other")
"""Order in which models name their targets; others come after."""

Progress = Callable[[str], None]
"""Called with the name of the network that is about to be converted: its targets."""


def convert(
    checkpoints: Mapping[tuple[str, ...], Path],
    folder: Path,
    preset: str,
    known: Mapping[str, Any],
    progress: Progress = lambda name: None,
    **fields: Any,
) -> Manifest:
    """Convert checkpoints, by the targets that each of them estimates, into a model's folder, which is made.

    checkpoints: () is for all targets of a checkpoint that says itself which they are.
    known, fields: as `Converter` takes them. Returns the manifest.
    Raises ConvertError and CheckpointError, naming the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    converter = Converter(preset, known, **fields)
    for targets in sorted(checkpoints, key=_rank):
        path = checkpoints[targets]
        progress(", ".join(targets) or path.name)
        try:
            with path.open("rb") as file:
                entry, data = converter.add(targets, file)
        except OSError as error:
            raise ConvertError(
                "file.unreadable",
                "{file} can't be read: {reason}.",
                file=path,
                reason=error.strerror,
            ) from error
        except (CheckpointError, ConvertError) as error:
            raise error.within(str(path)) from error
        (folder / entry.file).write_bytes(data)
    manifest = converter.manifest()
    (folder / MANIFEST).write_text(manifest.text(), "utf-8")
    return manifest


class Converter:
    """Takes a model's checkpoints one by one, and holds none of them longer than it must."""

    def __init__(self, preset: str, known: Mapping[str, Any], **fields: Any):
        """known: fields of the network that checkpoints don't tell. fields: the manifest's, without preset, network and
        files. Without "architecture", it is recognised."""
        self.preset, self.known, self.fields = preset, known, fields
        self.entries: list[WeightFile] = []
        self.snrs: list[float] = []  # of those that were measured

    def add(self, targets: tuple[str, ...], file: BinaryIO) -> tuple[WeightFile, bytes]:
        """Convert one network's checkpoint. Returns its entry in the manifest, and the bytes of the file that it names.

        targets: those to estimate; () for all that the checkpoint names.
        Raises CheckpointError for a file that is no checkpoint, ConvertError for one of another network.
        """
        state = checkpoint.read_file(file)
        name = self.fields.setdefault("architecture", recognise(state))
        architecture = models.find(name)
        targets = targets or architecture.targets(state)
        if not targets:
            raise ConvertError("convert.targets", "it doesn't say which stems it estimates.")
        network = architecture.describe(state, targets, self.preset, **self.known)
        self._check_alike(network)
        manifest = Manifest(preset=self.preset, files=(), **self.fields)
        try:
            manifest.check_network()
        except ValueError as error:
            raise unusable(error) from error
        tensors = architecture.tensors(state, network, self.preset, targets)
        if tensors.snr is not None:
            self.snrs.append(round(tensors.snr, 1))
        entry, data = pack(targets, tensors)
        self.entries.append(entry)
        return entry, data

    def manifest(self) -> Manifest:
        """The manifest of the networks so far. Raises WeightsError where its fields don't fit."""
        manifest = Manifest(
            preset=self.preset,
            files=tuple(self.entries),
            snr=min(self.snrs, default=None),
            **self.fields,
        )
        return Manifest.parse(manifest.text(), MANIFEST)

    def _check_alike(self, network: Any) -> None:
        """Raise ConvertError for a network that isn't like those before it."""
        found, others = asdict(network), asdict(self.fields.setdefault("network", network))
        for name, value in others.items():
            if found[name] != value:
                raise ConvertError(
                    "convert.unlike",
                    "its network has {field} {found}, but the model has {other}; all targets of a model must be alike.",
                    field=name, found=found[name], other=value,
                )  # fmt: skip


def undescribed(name: str) -> dict[str, Any]:
    """What a manifest says of a model of which nobody has told more than its name."""
    return {"title": name, "licence": "not stated", "credit": "", "source": ""}


def recognise(state: Mapping[str, Any]) -> str:
    """The name of the architecture that a checkpoint's tensors are of. Raises ConvertError where none is."""
    for name in models.ARCHITECTURES:
        if models.find(name).recognises(state):
            return name
    raise ConvertError(
        "convert.unknown", "its tensors are those of no network that can be used here."
    )


def _rank(targets: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    first = targets[0] if targets else ""
    return (TARGETS.index(first) if first in TARGETS else len(TARGETS)), targets
