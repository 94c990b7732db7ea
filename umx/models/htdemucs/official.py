"""The models that HTDemucs's makers publish, as the PyPI package `demucs` 4.0.1 names them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HOST = "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/"
CREDIT = "HTDemucs by S. Rouard, F. Massa and A. Défossez (ICASSP 2023)."
LICENCE = "The makers say: provided only for scientific purposes (github.com/facebookresearch/demucs/issues/327)"
QUALITY_NOTE = "SDR in dB on MUSDB18-HQ as its makers publish it."


@dataclass(frozen=True)
class Checkpoint:
    """A file that the makers publish. sha256: all of it, or how it begins; size: bytes, 0 where it is not known.

    targets: what its network is for in a bag, where each network is for some of the sources; () for all of them.
    """

    file: str
    sha256: str
    size: int = 0
    targets: tuple[str, ...] = ()
    mirrors: Mapping[str, str] = field(default_factory=dict)
    """Other files of the same weights: the sha256 of each address."""

    @property
    def url(self) -> str:
        return HOST + self.file


@dataclass(frozen=True)
class Official:
    """A model, and what its manifest says of it."""

    title: str
    sources: tuple[str, ...]
    checkpoints: tuple[Checkpoint, ...]
    size: int
    """Bytes of the converted model as it travels, nearly."""
    unpacked: int
    """Bytes of its weights in memory, nearly."""
    quality: Mapping[str, float] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """What its manifest says beside the network's shape."""
        return {
            "title": self.title,
            "licence": LICENCE,
            "credit": CREDIT,
            "source": "https://github.com/facebookresearch/demucs",
            "quality": dict(self.quality),
            "quality_note": QUALITY_NOTE if self.quality else "",
        }


FOUR = ("drums", "bass", "other", "vocals")
OFFICIAL = {
    "htdemucs": Official(
        title="HTDemucs",
        sources=FOUR,
        checkpoints=(
            Checkpoint(
                "955717e8-8726e21a.th",
                "8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4",
                84_141_911,
                mirrors={
                    "https://huggingface.co/adefossez/HTDemucs/resolve/main/955717e8.safetensors": (
                        "d9fa14133cfcc034a6758923bb3a8ca9f8dfd0b582134643bbf83f72c17576dd"
                    )
                },
            ),
        ),
        size=63_000_000,
        unpacked=84_000_000,
    ),
    "htdemucs_6s": Official(
        title="HTDemucs, 6 sources",
        sources=(*FOUR, "guitar", "piano"),
        checkpoints=(
            Checkpoint(
                "5c90dfd2-34c22ccb.th",
                "34c22ccb381c6f9fdbf324f04e1e2fe21aaaf293f5ded163a162697ff9a02ddd",
                54_996_327,
            ),
        ),
        size=41_000_000,
        unpacked=55_000_000,
    ),
    "htdemucs_ft": Official(
        title="HTDemucs, fine-tuned",
        sources=FOUR,
        checkpoints=(
            Checkpoint("f7e0c4bc-ba3fe64a.th", "ba3fe64a", targets=("drums",)),
            Checkpoint("d12395a8-e57c48e6.th", "e57c48e6", targets=("bass",)),
            Checkpoint("92cfc3b6-ef3bcb9c.th", "ef3bcb9c", targets=("other",)),
            Checkpoint(
                "04573f0d-f3cf25b2.th",
                "f3cf25b222c4eed7cd49dd8b2c9597d50c18bd154090f7b919cfa5f93cf22c49",
                84_141_271,
                targets=("vocals",),
            ),
        ),
        size=252_000_000,
        unpacked=336_000_000,
    ),
}
