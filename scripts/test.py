"""Run every check and every test: `python3 scripts/test.py`, or only some.

`test.py lint unit` runs two stages; `test.py unit -k stft` and `test.py browser tests/browser/test_listen.py` hand
what follows a stage's name to its pytest; `test.py --changed` runs what concerns the changes since main.

Makes its own environment in .venv, and anew when what is pinned changes; finds a Chromium, or gets one, and gets other
browsers, ffmpeg and a real song where Debian's packages can be installed without asking.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from itertools import takewhile
from pathlib import Path
from subprocess import DEVNULL

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common import selection
from scripts.common.environment import PYPROJECT, PYTHON, ROOT, VENV, apt_install, make

TWO, THREE = (["-n", count, "--dist", "worksteal"] for count in "23")
"""Tests at a time; more in browsers, since pages wait a lot. Those of a file follow each other, except near the end."""
PYTEST, CHANGED = "pytest", "--changed"
STAGES = {
    "lint": ["ruff", "check"],
    "format": ["ruff", "format", "--check"],
    "types": ["mypy"],
    "unit": [PYTEST, "tests/unit", "tests/parity", "tests/scripts", *TWO],
    "build": ["scripts/build.py"],
    "browser": [PYTEST, "tests/browser", "-rs", *THREE],
    "audit": ["scripts/audit.py"],
}
"""Stages by name, in order: a module of the environment, or a script, and its arguments."""
CHECKS = ("lint", "format", "types")
"""Stages that take seconds and concern all sources."""
REQUIREMENTS = ROOT / "tests" / "requirements.txt"
"""Every package of the tests, with the hashes of its files. Its first lines say how to make it anew."""
CHROMIUM = "UMX_CHROMIUM"
"""The environment variable that names a Chromium, for this script and for the tests."""
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
OTHERS = {
    "firefox-esr": ("firefox-esr", "firefox"),
    "webkit2gtk-driver": ("WebKitWebDriver",),
    "xvfb": ("Xvfb",),
    "ffmpeg": ("ffmpeg",),
    "fretsonfire-songs-sectoid": ("/usr/share/games/fretsonfire/data/songs/sectoid",),
}
"""What else tests ask for, by Debian's package: programs or folders, one of which must exist."""
PLAYWRIGHTS_OWN = (
    "from playwright.sync_api import sync_playwright as p\n"
    "with p() as driver: print(driver.chromium.executable_path)"
)


def main(arguments: list[str]) -> int:
    """Run the wanted stages, or all; a failure doesn't stop those behind it. Returns the exit status."""
    stages = of_changes() if arguments == [CHANGED] else of_names(arguments)
    make_environment()
    compile_kernels()
    environment = dict(os.environ)
    if "browser" in stages:
        environment[CHROMIUM] = find_browser()
        bring_others()
    results = {}
    for name, command in stages.items():
        print(f"\n=== {name}: {' '.join(command)}", flush=True)
        begun = time.monotonic()
        status = subprocess.run(python_command(command), cwd=ROOT, env=environment).returncode
        results[name] = status, time.monotonic() - begun
    print()
    for name, (status, seconds) in results.items():
        print(f"{name:8} {'FAILED' if status else 'passed'} {seconds:7.1f} s")
    return int(any(status for status, _ in results.values()))


def of_names(arguments: list[str]) -> dict[str, list[str]]:
    """The named stages, or all, with their commands. Arguments behind the last name go to that stage's pytest.

    Ends the script at any other argument.
    """
    names = list(takewhile(STAGES.__contains__, arguments))
    rest = arguments[len(names) :]
    if rest and not (names and STAGES[names[-1]][0] == PYTEST):
        sys.exit(f"There is no stage {rest[0]!r}; there are {', '.join(STAGES)}.")
    stages = {name: command for name, command in STAGES.items() if not names or name in names}
    if rest:
        stages[names[-1]] = narrowed(stages[names[-1]], rest)
    return stages


def of_changes() -> dict[str, list[str]]:
    """Checks of the sources, and tests that concern the changes since main; all tests if the table lacks a change."""
    tests = selection.tests_of(selection.changed())
    if tests is None:
        print("Nothing says which tests are enough for these changes: all are run.")
        return STAGES
    stages = {name: STAGES[name] for name in CHECKS}
    for name, command in STAGES.items():
        folders = tuple(filter(is_test, command))
        concerned = [test for test in tests if test.startswith(folders)]
        if concerned:
            stages[name] = narrowed(command, concerned)
    return stages


def narrowed(command: list[str], arguments: list[str]) -> list[str]:
    """A stage of pytest with arguments of its own. Paths among them replace its folders."""
    if any(map(is_test, arguments)):
        command = [part for part in command if not is_test(part)]
    return [*command, *arguments]


def is_test(argument: str) -> bool:
    """Whether an argument of pytest is a path to tests, rather than an option or its value."""
    return argument.startswith("tests/")


def python_command(command: list[str]) -> list[str]:
    """A stage's command line: a script as it is, anything else as a module."""
    is_script = command[0].endswith(".py")
    return [str(PYTHON), *([] if is_script else ["-m"]), *command]


def make_environment() -> None:
    """Have the package and its test tools in .venv. Each file's hash must be the pinned one."""
    inputs = PYPROJECT.read_bytes() + REQUIREMENTS.read_bytes() + sys.version.encode()
    recipe = hashlib.sha256(inputs).hexdigest()
    stamp = VENV / "recipe"
    if stamp.is_file() and stamp.read_text() == recipe:
        return
    package = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    make(["--require-hashes", "--requirement", str(REQUIREMENTS)], package)
    stamp.write_text(recipe)


def compile_kernels() -> None:
    """Have the package's kernels for this machine, as wheels bring them, of the sources as they are."""
    folder = ROOT / "umx" / "kernels"
    built = [path.stat().st_mtime for path in folder.glob("native/*.so")]
    if not built or min(built) < max(path.stat().st_mtime for path in folder.glob("*.[ch]")):
        subprocess.run([PYTHON, "scripts/kernels.py", "--native"], cwd=ROOT, check=True)


def find_browser() -> str:
    """Path of a Chromium that starts: an installed one, Playwright's, or Debian's."""
    given = os.environ.get(CHROMIUM)
    if given and not starts(given):
        sys.exit(f"{CHROMIUM} names {given}, which doesn't start.")
    for candidate in (given, *BROWSERS):
        if candidate and starts(candidate):
            return str(shutil.which(candidate))
    subprocess.run([PYTHON, "-m", "playwright", "install", "chromium"])
    own = subprocess.run([PYTHON, "-c", PLAYWRIGHTS_OWN], stdout=subprocess.PIPE, text=True)
    if starts(own.stdout.strip()):
        return own.stdout.strip()
    if apt_install("chromium") and starts("chromium"):
        return str(shutil.which("chromium"))
    sys.exit(f"No Chromium was found or could be had; install one, or name it in {CHROMIUM}.")


def bring_others() -> None:
    """Install those of OTHERS that are missing, where that is possible. Elsewhere the tests say what is missing."""
    missing = [
        package
        for package, places in OTHERS.items()
        if not any(shutil.which(place) or Path(place).is_dir() for place in places)
    ]
    if missing:
        apt_install(*missing)


def starts(program: str) -> bool:
    """Whether a program exists and runs. A placeholder that advertises a package doesn't."""
    found = shutil.which(program)
    return found is not None and not subprocess.run([found, "--version"], stdout=DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
