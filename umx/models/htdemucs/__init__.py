"""HTDemucs (Demucs v4): a convolutional network on waveform and spectrum, with a transformer between both.

Rouard, Massa, Défossez: "Hybrid Transformers for Music Source Separation", ICASSP 2023. The reference is the PyPI
package `demucs` 4.0.1.
"""

from .convert import describe, recognises, targets, tensors
from .description import Network, shapes
from .estimate import Estimator

__all__ = ["Estimator", "Network", "describe", "recognises", "shapes", "targets", "tensors"]
