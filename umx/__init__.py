"""Music demixing on numpy, with Open-Unmix and HTDemucs."""

from typing import TYPE_CHECKING, Any

from .errors import WeightsError
from .version import VERSION

if TYPE_CHECKING:
    from .separator import Separator, separate

__all__ = ["Separator", "WeightsError", "__version__", "separate"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    """Import what takes numpy when it is asked for: scripts that run without numpy import from this package, too."""
    if name in ("Separator", "separate"):
        from . import separator

        return getattr(separator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
