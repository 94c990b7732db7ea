"""Write a file that other processes may read, or write too, at any time."""

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Have `data` in `path`, at once or not at all; a file that holds it already is left alone."""
    if path.is_file() and path.read_bytes() == data:
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
