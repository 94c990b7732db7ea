"""Tests that concern the changes since main: those of the table in CONTRIBUTING.md, and those of the same name."""

import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import PurePath

from scripts.common.environment import ROOT

TABLE = ROOT / "CONTRIBUTING.md"
ROW = re.compile(r"^\| (`.+`) \| (.+) \|$", re.MULTILINE)
"""A row of the table: patterns of sources, in which * also stands for slashes, and tests, which may be none."""
QUOTED = re.compile("`([^`]+)`")
SUITES = ("tests/browser", "tests/parity", "tests/scripts", "tests/unit")


def changed() -> list[str]:
    """Paths in the checkout that differ from where its branch left main, and new ones. Ends the script without main."""
    try:
        base = _git("merge-base", "main", "HEAD")
    except subprocess.CalledProcessError:
        raise SystemExit("git knows no branch main to compare with.") from None
    new = _git("ls-files", "--others", "--exclude-standard")
    return sorted({*_git("diff", "--name-only", *base), *new})


def tests_of(paths: list[str]) -> list[str] | None:
    """The tests that concern these files; None for all tests, where one of the files is in no row."""
    found: set[str] = set()
    for path in paths:
        tests = _tests_of_one(path)
        if tests is None:
            return None
        found |= tests
    # A folder stands for what is in it.
    return sorted(test for test in found if not found & set(map(str, PurePath(test).parents)))


def table() -> list[tuple[list[str], list[str]]]:
    """Each row's patterns of sources and its tests."""
    return [
        (QUOTED.findall(sources), QUOTED.findall(tests))
        for sources, tests in ROW.findall(TABLE.read_text("utf-8"))
    ]


def _tests_of_one(path: str) -> set[str] | None:
    place = PurePath(path)
    if path.startswith("tests/"):
        if place.name.startswith("test_"):
            return {path} if (ROOT / path).exists() else set()
        suite = "/".join(place.parts[:2])
        return {suite} if suite in SUITES else None  # a helper of one suite, or of all
    alike = {f"{suite}/test_{place.stem.replace('-', '_')}.py" for suite in SUITES}
    found = {test for test in alike if (ROOT / test).exists()}
    rows = [tests for sources, tests in table() if any(fnmatchcase(path, s) for s in sources)]
    return found.union(*rows) if found or rows else None


def _git(*command: str) -> list[str]:
    """The lines that git answers with."""
    answer = subprocess.run(
        ["git", "-c", "core.quotePath=off", *command], cwd=ROOT, check=True, capture_output=True
    )
    return answer.stdout.decode().splitlines()
