"""Scripts go on in an environment of the project's own where the Python that they are started with lacks a package."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.common import environment


class Restarted(Exception):  # noqa: N818 (what would otherwise not return)
    pass


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that would have been run, with nothing installed anywhere."""
    commands: list[list[str]] = []

    def run(command: list[Any], **options: Any) -> subprocess.CompletedProcess[bytes]:
        commands.append([str(word) for word in command])
        return subprocess.CompletedProcess(command, 0)

    def restart(path: object, words: list[str]) -> None:
        commands.append(["restart", *words])
        raise Restarted

    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "execv", restart)
    monkeypatch.setattr(sys, "argv", ["scripts/weights.py", "list"])
    return commands


def lacking(name: str) -> None:
    """`find_spec` of a Python that has nothing."""


def test_what_is_here_needs_no_environment(calls: list[list[str]]) -> None:
    environment.need("numpy", "json")
    assert calls == []


def test_what_lacks_is_installed_as_the_package_wants_it(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "find_spec", lambda name: name == "ensurepip" or None)
    with pytest.raises(Restarted):
        environment.need("numpy")
    make, install, restart = calls
    assert make[1:3] == ["-m", "venv"]
    assert install[0] == str(environment.PYTHON)
    assert install[-1].startswith("numpy>=")
    assert restart == ["restart", str(environment.PYTHON), "scripts/weights.py", "list"]


def test_an_environment_that_has_it_is_used_as_it_is(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "find_spec", lacking)
    environment.PYTHON.parent.mkdir(parents=True)
    environment.PYTHON.touch()
    with pytest.raises(Restarted):
        environment.need("numpy")
    look, restart = calls
    assert look == [str(environment.PYTHON), "-c", "import numpy"]
    assert restart[0] == "restart"


def test_a_python_that_makes_no_environments_is_told_what_to_install(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "find_spec", lacking)
    monkeypatch.setattr(environment, "apt_install", lambda package: False)
    with pytest.raises(SystemExit, match="python3-venv"):
        environment.need("numpy")


def test_an_installation_that_fails_is_said(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "find_spec", lambda name: name == "ensurepip" or None)

    def failing(command: list[Any], **options: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, int("pip" in command))

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(SystemExit, match="check the network"):
        environment.need("numpy")


# Starts a script in a Python that has no packages, and tells what it asks for.
BARE = """
import runpy, sys
sys.path.insert(0, sys.argv[1].rpartition("/scripts/")[0])
from scripts.common import environment
environment.need = lambda *modules: sys.exit(" ".join(modules))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("script", ["evaluate.py", "quantising.py", "segments.py"])
def test_scripts_ask_for_their_packages_before_they_import_any(script: str) -> None:
    path = environment.ROOT / "scripts" / script
    command = [sys.executable, "-I", "-S", "-c", BARE, path, "a", "b"]
    run = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert run.stderr == "numpy platformdirs soundfile soxr\n"
