"""C code compiled to WebAssembly, loaded into Pyodide beside its own program."""

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load(
    path: Path, signatures: Mapping[str, list[Any]], results: Mapping[str, Any] | None = None
) -> Any:
    """The functions of a side module; results: the types of those that return something, by name.

    Raises OSError where they can't be loaded.
    """
    library = ctypes.CDLL(str(path))
    for name, types in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            # Emscripten remembers a library that failed to load, and returns it without functions the next time.
            raise OSError(f"{path} could not be loaded.") from error
        function.argtypes, function.restype = types, (results or {}).get(name)
    return library
