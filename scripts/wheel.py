"""Pack umx/ into the wheel that the page's workers load. The same sources give the same bytes."""

import base64
import hashlib
import io
import tomllib
import zipfile
from pathlib import Path

import whole

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "app" / "vendor" / "umx"
SUFFIXES = {".py", ".wasm"}
EPOCH = (1980, 1, 1, 0, 0, 0)


def build_wheel(folder: Path = FOLDER) -> Path:
    """Write the wheel into `folder`, without models: the page fetches those itself."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
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
    path = folder / f"umx-{version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    whole.write(path, packed.getvalue())
    return path


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
