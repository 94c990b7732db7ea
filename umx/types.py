"""Names for the array types that the engine passes around."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float: TypeAlias = NDArray[np.float32]
Complex: TypeAlias = NDArray[np.complex64]
Int8: TypeAlias = NDArray[np.int8]
