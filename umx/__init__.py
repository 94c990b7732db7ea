"""Music demixing on numpy, with Open-Unmix and HTDemucs."""

from .errors import WeightsError
from .separator import Separator, separate
from .version import VERSION

__all__ = ["Separator", "WeightsError", "__version__", "separate"]
__version__ = VERSION
