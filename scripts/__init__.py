"""Commands, and in common/ what they share: README.md says which does what.

Ends the running script where Python is too old for what it imports next. Has app/ searched for modules, for
`shared.facts`.
"""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 (macOS brings 3.9, Ubuntu 22.04 has 3.10)
    sys.exit("Python 3.11 or newer is needed; this is {}.{}.".format(*sys.version_info))

sys.path.append(str(Path(__file__).resolve().parent.parent / "app"))
