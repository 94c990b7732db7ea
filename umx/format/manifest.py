"""A model's manifest: its maker, licence, network and files.

History of the format:

1. Open-Unmix only: the network's shape beside all else, and a file for each entry of "targets".
2. Any architecture: "architecture" names it, "network" has its own fields, and each of "files" names the targets that
   its network estimates. Format 1 is still read, since visitors keep such models on their devices. "snr" came later:
   it is left out where it isn't known, and versions from before can read the manifest then.

The page looks up the names of files in both formats by itself: `app/page/models/arrival.py`, `app/offline/offline.py`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import models
from ..errors import WeightsError
from ..stems import RESERVED
from .safetensors import LARGEST_HEADER, Shapes, load_json, size

FORMAT = 2
TARGET = re.compile(r"[\w-]{1,64}")
"""Names that a target may have: files are named after it."""
LARGEST_FILE = 1 << 30  # bytes, unpacked
USUAL_SNR = 40
"""dB that models keep when their weights are rounded; below it something is odd about them, or the preset is coarse."""


@dataclass(frozen=True)
class WeightFile:
    """One network's file: the targets it estimates; sizes in bytes and sha256 in hex, as it travels and unpacked."""

    targets: tuple[str, ...]
    file: str
    size: int
    sha256: str
    unpacked_size: int
    unpacked_sha256: str


@dataclass(frozen=True)
class Manifest:
    """A model's description. `network` is the architecture's own dataclass, see `models.Architecture`."""

    name: str
    title: str
    licence: str
    credit: str
    source: str
    preset: str
    architecture: str
    sample_rate: int
    network: Any
    files: tuple[WeightFile, ...]
    quality: dict[str, float] = field(default_factory=dict)  # SDR in dB by target, or for "all"
    quality_note: str = ""
    snr: float | None = None  # the lowest of its networks', see `models.Rounded`

    @property
    def is_rough(self) -> bool:
        """Whether rounding was measured to cost the stems more than is usual."""
        return self.snr is not None and self.snr < USUAL_SNR

    @property
    def targets(self) -> tuple[str, ...]:
        """Everything that the model can estimate."""
        return tuple(target for entry in self.files for target in entry.targets)

    @property
    def shapes(self) -> Shapes:
        """Types and shapes of the tensors in each of the files."""
        return models.find(self.architecture).shapes(self.network)

    @classmethod
    def parse(cls, text: str, where: str) -> "Manifest":
        """Read and check a manifest. Raises WeightsError, naming `where` it came from."""
        refuse_page(text.encode(), where)
        try:
            content = load_json(text)
        except ValueError as error:
            raise WeightsError(
                "manifest.none", "{file} is not a model's manifest: it is no JSON.", file=where
            ) from error
        if not isinstance(content, dict) or "format" not in content:
            raise WeightsError("manifest.none", "{file} is not a model's manifest.", file=where)
        version = content.pop("format")
        try:
            if version == 1:
                content = _from_format_1(content)
            elif version != FORMAT:
                age = (
                    "a newer umx"
                    if isinstance(version, int) and version > FORMAT
                    else "an older umx"
                )
                raise WeightsError(
                    "manifest.format",
                    "{file} is of format {version!r}, made for {age}; this one reads formats 1 to {own}.",
                    file=where, version=version, age=age, own=FORMAT,
                )  # fmt: skip
            files = tuple(_entry(**entry) for entry in content.pop("files"))
            network = models.find(content["architecture"]).Network(**content.pop("network"))
            manifest = cls(files=files, network=network, **content)
            manifest._check()
        except WeightsError:
            raise
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            raise WeightsError(
                "manifest.unusable", "{file} is not a manifest that can be used: {reason}.",
                file=where, reason=error,
            ) from error  # fmt: skip
        return manifest

    def text(self) -> str:
        content = {"format": FORMAT, **asdict(self)}
        if self.snr is None:
            del content["snr"]  # earlier versions don't know it
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def check_network(self) -> None:
        """Raise ValueError for a field of the wrong type or out of bounds; files are not looked at."""
        for name, kind in type(self).__annotations__.items():
            if kind is str and not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} should be text")
        models.check_numbers(self, ("sample_rate",))
        self.network.check()
        if not all(isinstance(v, int | float) for v in self.quality.values()):
            raise ValueError("quality should be numbers")
        if not isinstance(self.snr, int | float | None):
            raise ValueError("snr should be a number")
        if size(self.shapes) > LARGEST_FILE:
            raise ValueError("its network is too large")

    def _check(self) -> None:
        """Raise ValueError for anything that is of the wrong type or out of bounds."""
        self.check_network()
        if not self.targets:
            raise ValueError("it names no targets")
        if len({*self.targets}) < len(self.targets):
            raise ValueError("it names a target twice")
        needed = size(self.shapes)
        for entry in self.files:
            if len(entry.targets) != self.network.sources:
                raise ValueError(
                    f"{entry.file} should have {self.network.sources} targets, not {len(entry.targets)}"
                )
            for target in entry.targets:
                if not TARGET.fullmatch(target) or target in RESERVED:
                    raise ValueError(f"{target!r} can't be the name of a target")
            if not re.fullmatch(r"[\w-][\w.-]{0,127}", entry.file):
                raise ValueError(f"{entry.file!r} can't be the name of a file")
            for digest in (entry.sha256, entry.unpacked_sha256):
                if not re.fullmatch(r"[0-9a-f]{64}", digest):
                    raise ValueError(f"{digest!r} is no sha256")
            if type(entry.size) is not int or type(entry.unpacked_size) is not int:
                raise ValueError(f"the sizes of {entry.file} should be whole numbers")
            if not needed <= entry.unpacked_size <= needed + LARGEST_HEADER:
                raise ValueError(f"{entry.file} should hold {needed} bytes of weights")
            if not 0 < entry.size <= entry.unpacked_size + LARGEST_HEADER:
                raise ValueError(f"{entry.file} should not grow by compression")


def refuse_page(data: bytes | bytearray, where: str) -> None:
    """Raise WeightsError for a web page, which many hosts serve in place of a missing file."""
    if re.match(rb"\s*<[!?a-zA-Z]", data):
        raise WeightsError(
            "weights.page",
            "{file} is not there: a web page came instead; fetch it again.",
            file=where,
        )


def _entry(targets: list[str], **fields: Any) -> WeightFile:
    """One of a manifest's files. Raises ValueError or TypeError where it isn't whole."""
    if not isinstance(targets, list) or not targets:
        raise ValueError("a file's targets should be a list of names")
    return WeightFile(tuple(targets), **fields)


def _from_format_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest's content in the present format; raises KeyError, AttributeError or TypeError where it isn't whole."""
    own = ("n_fft", "hop", "channels", "bins", "max_bin", "hidden_size", "layers", "bidirectional")
    rest = {key: value for key, value in content.items() if key not in (*own, "targets")}
    return rest | {
        "architecture": "openunmix",
        "network": {key: content[key] for key in own},
        "files": [{"targets": [t], **entry} for t, entry in content["targets"].items()],
    }
