"""The numpy engine with its products done by OpenBLAS, which Pyodide's numpy is built without."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from ..types import Float
from .reference import Numpy

LIBRARY = Path("/usr/lib/libopenblas.so")
"""The file that Pyodide's package "openblas" brings."""
ROW_MAJOR, AS_IS, TRANSPOSED = 101, 111, 112  # cblas.h


class OpenBlas(Numpy):
    """Raises OSError where the library is missing, as on a desktop, where numpy brings a BLAS of its own."""

    name = "openblas"

    def __init__(self) -> None:
        if not LIBRARY.exists():
            # Emscripten remembers a library that failed to load, and fails again even when the file is there.
            raise FileNotFoundError(LIBRARY)
        self._sgemm = ctypes.CDLL(str(LIBRARY)).cblas_sgemm
        integer, number, array = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
        operands: list[Any] = [number, array, integer, array, integer]
        self._sgemm.argtypes = [integer] * 6 + [*operands, number, array, integer]
        self._sgemm.restype = None

    def product(self, x: Float, weight: Float) -> Float:
        x, weight = np.ascontiguousarray(x, np.float32), np.ascontiguousarray(weight, np.float32)
        (rows, inputs), outputs = x.shape, len(weight)
        y = np.empty((rows, outputs), np.float32)
        shape = (ROW_MAJOR, AS_IS, TRANSPOSED, rows, outputs, inputs)
        operands = (1.0, x.ctypes.data, inputs, weight.ctypes.data, inputs)
        self._sgemm(*shape, *operands, 0.0, y.ctypes.data, outputs)
        return y
