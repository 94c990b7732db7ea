"""Scripts that people start say so where Python is too old, before they meet what that can't read."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

# Starts a script as if in Python 3.10, which has no tomllib.
STAND_IN = """
import runpy, sys
sys.version_info = (3, 10, 13)
sys.modules["tomllib"] = None
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize(
    "script",
    [
        *("serve.py", "build.py", "weights.py", "test.py"),
        *("evaluate.py", "quantising.py", "segments.py"),
    ],
)
def test_an_old_python_is_said_to_be(script: str) -> None:
    command = [sys.executable, "-c", STAND_IN, str(SCRIPTS / script)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == "Python 3.11 or newer is needed; this is 3.10.\n"
