"""The kernels' compiled code: a side module in Pyodide, elsewhere libraries that the wheel brings."""

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NATIVE = FOLDER / "native"
VARIANTS = ("avx512", "avxvnni", "avx2", "sse4", "dotprod", "neon")
"""Sets of instructions that a library is compiled for, the fastest first; see scripts/kernels.py."""


def found(name: str) -> list[Path]:
    """What `name`.c has been compiled to for such machines, the fastest first. Not all of it may run on this one."""
    if sys.platform == "emscripten":
        return [FOLDER / f"{name}.wasm"]
    every = [NATIVE / f"{name}-{variant}.so" for variant in VARIANTS]
    return [path for path in every if path.exists()]


def load(
    path: Path, signatures: Mapping[str, list[Any]], results: Mapping[str, Any] | None = None
) -> Any:
    """The functions of a library; results: the types of those that return something, by name.

    Calls release the GIL. Raises OSError where the library can't be loaded, or needs instructions that this processor
    lacks.
    """
    library = ctypes.CDLL(str(path))
    if path.parent != FOLDER and not library.supported():
        raise OSError(f"This processor lacks instructions that {path.name} needs.")
    for name, types in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            # Emscripten remembers a library that failed to load, and returns it without functions the next time.
            raise OSError(f"{path} could not be loaded.") from error
        function.argtypes, function.restype = types, (results or {}).get(name)
    return library
