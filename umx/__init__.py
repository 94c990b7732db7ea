"""Music demixing with Open-Unmix on numpy."""

from .separator import Separator, separate
from .version import VERSION
from .weights import WeightsError

__all__ = ["Separator", "WeightsError", "__version__", "separate"]
__version__ = VERSION
