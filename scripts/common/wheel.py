"""Pack umx/ into the wheel that the page's workers load. The same sources give the same bytes."""

import base64
import hashlib
import io
import runpy
import zipfile
from pathlib import Path

from scripts.common import atomic_write
from scripts.common.environment import ROOT

FOLDER = ROOT / "app" / "vendor" / "umx"
SUFFIXES = {".py", ".wasm"}
FOR_THE_PAGE = (
    *("names.py", "planning.py", "resuming.py", "stem_atom.py", "version.py"),
    "signal/layout.py",
)
"""Modules that the page imports, too. It can't read wheels."""
EPOCH = (1980, 1, 1, 0, 0, 0)


def build_wheel(folder: Path = FOLDER) -> Path:
    """Write the wheel into `folder`, in place of other versions', and beside it FOR_THE_PAGE.

    Models are left out: the page fetches those itself.
    """
    # The file is run by its path: importing the package takes numpy.
    facts = runpy.run_path(str(ROOT / "umx" / "version.py"))
    version: str = facts["VERSION"]
    path = folder / str(facts["WHEEL"])
    info = f"umx-{version}.dist-info"
    sources = sorted(p for p in (ROOT / "umx").rglob("*") if p.suffix in SUFFIXES)
    contents = {p.relative_to(ROOT).as_posix(): p.read_bytes() for p in sources}
    metadata = f"Metadata-Version: 2.1\nName: umx\nVersion: {version}\n"
    tags = "Wheel-Version: 1.0\nGenerator: umx\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    contents |= {f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": tags.encode()}
    record = "".join(
        f"{name},sha256={digest(data)},{len(data)}\n" for name, data in contents.items()
    )
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        for name, data in contents.items():
            wheel.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write.write(path, packed.getvalue())
    for name in FOR_THE_PAGE:
        (folder / name).parent.mkdir(exist_ok=True)
        atomic_write.write(folder / name, (ROOT / "umx" / name).read_bytes())
    for other in folder.glob("*.whl"):
        if other != path:
            other.unlink(missing_ok=True)
    return path


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
