"""Open-Unmix: a network a target, whose masks a multichannel Wiener filter makes stems of.

Stöter, Uhlich, Liutkus, Mitsufuji: "Open-Unmix – A Reference Implementation for Music Source Separation", JOSS 2019.
The reference is the PyPI package `openunmix`.
"""

from .convert import describe, recognises, targets, tensors
from .estimate import Estimator
from .network import Network, shapes

__all__ = ["Estimator", "Network", "describe", "recognises", "shapes", "targets", "tensors"]
