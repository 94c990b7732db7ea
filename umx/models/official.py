"""Models as their makers publish them: sources, licences, files, and how files are recognised."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .htdemucs.official import MODELS as HTDEMUCS
from .openunmix.official import MODELS as OPENUNMIX


@dataclass(frozen=True)
class Checkpoint:
    """One file of an official model."""

    targets: tuple[str, ...]
    """Those that its network estimates."""
    file: str
    sha256: str
    """Hexadecimal digits, or as many of the first ones as are known."""
    url: str
    page_url: str
    """Address at which pages of other origins may read the same file. It may answer no range requests."""
    also: tuple[str, ...] = ()
    """As `sha256`, for other files with the same network."""

    def recognises(self, digest: str) -> bool:
        """Whether a file of this sha256, in hex, is this checkpoint."""
        return digest.startswith((self.sha256, *self.also))


@dataclass(frozen=True)
class Official:
    """An official model: its source, and the fields of its manifest."""

    architecture: str
    title: str
    licence: str
    credit: str
    source: str
    """Address of the page that describes it."""
    sample_rate: int
    known: Mapping[str, Any]
    """Fields of its network that its checkpoints don't tell."""
    checkpoints: tuple[Checkpoint, ...]
    size: int
    """Bytes of the converted model as it travels, approximately: the network's shape decides (docs/quantising.md)."""
    unpacked: int
    """Bytes of its weights in memory, approximately."""
    quality: Mapping[str, float] = field(default_factory=dict)
    quality_note: str = ""

    def fields(self) -> dict[str, Any]:
        """Fields of its manifest, without name, preset, network and files."""
        return {
            "architecture": self.architecture,
            "title": self.title,
            "licence": self.licence,
            "credit": self.credit,
            "source": self.source,
            "sample_rate": self.sample_rate,
            "quality": dict(self.quality),
            "quality_note": self.quality_note,
        }


def _official(architecture: str, model: Mapping[str, Any]) -> Official:
    checkpoints = tuple(Checkpoint(**entry) for entry in model["checkpoints"])
    return Official(architecture, **{**model, "checkpoints": checkpoints})


OFFICIAL = {
    name: _official(architecture, model)
    for architecture, models in (("openunmix", OPENUNMIX), ("htdemucs", HTDEMUCS))
    for name, model in models.items()
}
"""Official models by their names here."""


def recognise(digests: Mapping[str, Any]) -> tuple[str, dict[Checkpoint, Any]] | None:
    """The official model that some files are of, and which of them is which; None where none is.

    digests: the files, in any form, by their sha256 in hex. Of two models, the one with more files is meant.
    """
    best: tuple[str, dict[Checkpoint, Any]] | None = None
    for name, official in OFFICIAL.items():
        found = {
            checkpoint: file
            for checkpoint in official.checkpoints
            for digest, file in digests.items()
            if checkpoint.recognises(digest)
        }
        if len(found) > (len(best[1]) if best else 0):
            best = name, found
    return best
