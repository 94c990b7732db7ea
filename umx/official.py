"""The models that Open-Unmix's makers publish, as the PyPI package `openunmix` 1.3 names them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CREDIT = "Open-Unmix by F.-R. Stöter, S. Uhlich, A. Liutkus and Y. Mitsufuji (JOSS 2019)."
QUALITY_NOTE = (
    "SDR in dB on MUSDB18-HQ as its makers publish it, before the weights were made 8 bits."
)


@dataclass(frozen=True)
class Official:
    """Source of a model, and what its manifest says of it."""

    title: str
    licence: str
    record: int  # at Zenodo
    checkpoints: Mapping[str, str]
    """File by target; the eight hex digits before ".pth" begin the file's sha256."""
    size: int
    """Bytes of the converted model as it travels, nearly: its network's shape decides, see docs/quantising.md."""
    unpacked: int
    """Bytes of its weights in memory, nearly."""
    quality: Mapping[str, float] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return f"https://zenodo.org/records/{self.record}"

    def url(self, target: str) -> str:
        return f"{self.source}/files/{self.checkpoints[target]}"

    def content_url(self, target: str) -> str:
        """Address at which pages of other origins may read the same file. It answers no range requests."""
        site, _, record = self.source.partition("/records/")
        return f"{site}/api/records/{record}/files/{self.checkpoints[target]}/content"

    def digest(self, target: str) -> str:
        """The beginning of the sha256 of a target's checkpoint."""
        return self.checkpoints[target].removesuffix(".pth").rpartition("-")[2]

    def fields(self) -> dict[str, Any]:
        """What its manifest says beside the network's shape."""
        return {
            "title": self.title,
            "licence": self.licence,
            "credit": CREDIT,
            "source": self.source,
            "quality": dict(self.quality),
            "quality_note": QUALITY_NOTE,
        }


OFFICIAL = {
    "umxl": Official(
        title="UMX-L",
        licence="CC BY-NC-SA 4.0",
        record=5069601,
        checkpoints={
            "vocals": "vocals-bccbd9aa.pth",
            "drums": "drums-69e0ebd4.pth",
            "bass": "bass-2ca1ce51.pth",
            "other": "other-c8c5b3e6.pth",
        },
        size=42_700_000,
        unpacked=113_700_000,
        quality={"vocals": 7.21, "drums": 7.15, "bass": 6.02, "other": 4.89},
    ),
    "umxhq": Official(
        title="UMX-HQ",
        licence="MIT",
        record=3370489,
        checkpoints={
            "vocals": "vocals-b62c91ce.pth",
            "drums": "drums-9619578f.pth",
            "bass": "bass-8d85a5bd.pth",
            "other": "other-b52fbbf7.pth",
        },
        size=13_600_000,
        unpacked=36_000_000,
        quality={"vocals": 6.25, "drums": 6.04, "bass": 5.07, "other": 4.28},
    ),
}
