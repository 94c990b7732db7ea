"""The project's own environment in .venv, for scripts that need more than the standard library."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = ROOT / "pyproject.toml"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def need(*modules: str) -> None:
    """Go on where `modules`, dependencies of the package, can be imported: here, or else in .venv.

    Starts the running script again in .venv, made if need be, where this Python lacks one of them.
    """
    if all(find_spec(module) for module in modules):
        return
    if not _has(modules):
        import tomllib  # imported here, so that Python 3.9 reaches the check of its version

        every = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
        make([line for line in every if line.startswith(modules)])
    os.execv(PYTHON, [str(PYTHON), *sys.argv])


def make(*installations: Sequence[str]) -> None:
    """Make .venv anew. installations: arguments of `pip install`, which is run for each.

    Ends the script where that fails.
    """
    if not find_spec("ensurepip") and not apt_install("python3-venv"):
        sys.exit("This Python makes no environments; install python3-venv and start again.")
    print("Making the environment in .venv …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    for requirements in installations:
        if subprocess.run([*pip, *requirements]).returncode:
            sys.exit("Packages could not be installed; check the network and start again.")


def apt_install(*packages: str) -> bool:
    """Install Debian packages, where that can be done without asking. Returns whether they were."""
    if os.name != "posix" or os.geteuid() or not shutil.which("apt-get"):
        return False
    install = "install", "--yes", "--no-install-recommends", *packages
    # A fresh machine has no list of packages, an old one has a list of what is no longer there.
    return _apt_get(*install) or (_apt_get("update") and _apt_get(*install))


def _apt_get(*command: str) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return not subprocess.run(["apt-get", "--quiet", *command], env=environment).returncode


def _has(modules: Sequence[str]) -> bool:
    """Whether .venv is there and has all of `modules`."""
    code = "import " + ", ".join(modules)
    return PYTHON.is_file() and not subprocess.run([PYTHON, "-c", code], stderr=DEVNULL).returncode
