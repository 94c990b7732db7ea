"""Music demixing with Open-Unmix on numpy."""

from .separator import Separator, separate
from .weights import WeightsError

__all__ = ["Separator", "WeightsError", "separate"]
__version__ = "0.1.0"
