"""A small copy of the checkout in which UMX-L is other checkpoints, of another origin."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from umx.models.official import OFFICIAL

ROOT = Path(__file__).resolve().parent.parent
OFFICIAL_SOURCE = Path("umx", "models", "openunmix", "official.py")
ZENODO = "https://zenodo.org"


def official_names(checkpoints: Sequence[bytes]) -> dict[str, bytes]:
    """Checkpoints, in the order of UMX-L's targets, by UMX-L's names with the digits of their own hashes."""
    names = [checkpoint.file for checkpoint in OFFICIAL["umxl"].checkpoints]
    digests = [hashlib.sha256(data).hexdigest() for data in checkpoints]
    return {
        f"{name[:-12]}{digest[:8]}.pth": data
        for name, digest, data in zip(names, digests, checkpoints, strict=True)
    }


def make_official(official: Path, checkpoints: Sequence[bytes], origin: str) -> None:
    """Have a copy of OFFICIAL_SOURCE name the checkpoints as UMX-L's, to be had from `origin`."""
    names = [checkpoint.file for checkpoint in OFFICIAL["umxl"].checkpoints]
    replace_in(official, (ZENODO, origin), *zip(names, official_names(checkpoints), strict=True))


def replace_in(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def stand_in(folder: Path, checkpoints: Sequence[bytes], origin: str) -> Path:
    """A checkout whose scripts run, without models and without third-party files of the page.

    Its downloads make no pauses, and bear with a server that does.
    """
    leave_out = shutil.ignore_patterns("__pycache__", "vendor")
    for name in ("app", "scripts", "umx"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave_out)
    for name in ("index.html", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "weights").mkdir()
    (folder / "app" / "runtime.lock.json").write_text(json.dumps({"packages": []}))
    make_official(folder / OFFICIAL_SOURCE, checkpoints, origin)
    download = folder / "umx" / "desktop" / "download.py"
    replace_in(download, ("_SECONDS = 10", "_SECONDS = 100"))
    pauses = "PAUSES = (1, 2, 4, 8)", "PAUSES = (0, 0)"
    replace_in(folder / "umx" / "resuming.py", pauses)
    return folder
