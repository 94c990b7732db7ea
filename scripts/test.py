"""Run every check and every test: `python3 scripts/test.py`, or only some stages: `python3 scripts/test.py lint unit`.

Makes its own environment in .venv, and anew when what is pinned changes; finds a Chromium, or gets one, and gets other
browsers and a real song where Debian's packages can be installed without asking.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from subprocess import DEVNULL

import required_python  # noqa: F401
from environment import PYPROJECT, PYTHON, ROOT, VENV, apt_install, make

AT_A_TIME = ["-n", "2", "--dist", "worksteal"]
"""Two tests at a time, those of a file one after the other but for the last ones: pages wait a lot."""
STAGES = {
    "lint": ["ruff", "check"],
    "format": ["ruff", "format", "--check"],
    "types": ["mypy"],
    "unit": ["pytest", "tests/unit", "tests/parity", "tests/scripts", *AT_A_TIME],
    "build": ["scripts/build.py"],
    "browser": ["pytest", "tests/browser", "-rs", *AT_A_TIME],
    "audit": ["scripts/audit.py"],
}
"""What to run by name, in order: a module of the environment, or a script, and its arguments."""
REQUIREMENTS = ROOT / "tests" / "requirements.txt"
"""Everything that the tests need, with the hashes of its files; its first lines say how it is made anew."""
CHROMIUM = "UMX_CHROMIUM"
"""The environment variable that names the browser's program: to this script by who has one, from it to the tests."""
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
    "fretsonfire-songs-sectoid": ("/usr/share/games/fretsonfire/data/songs/sectoid",),
}
"""By Debian's package: programs or folders one of which some browsers' tests need: other browsers, and a real song."""
PLAYWRIGHTS_OWN = (
    "from playwright.sync_api import sync_playwright as p\n"
    "with p() as driver: print(driver.chromium.executable_path)"
)


def main(wanted: list[str]) -> int:
    """Run the wanted stages, or all, each even if another failed. Returns the exit status."""
    unknown = set(wanted) - set(STAGES)
    if unknown:
        sys.exit(f"There is no stage {sorted(unknown)[0]!r}; there are {', '.join(STAGES)}.")
    make_environment()
    stages = {name: command for name, command in STAGES.items() if not wanted or name in wanted}
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


def python_command(command: list[str]) -> list[str]:
    """A stage's command line: a script as it is, anything else as a module."""
    is_script = command[0].endswith(".py")
    return [str(PYTHON), *([] if is_script else ["-m"]), *command]


def make_environment() -> None:
    """Have the package and its test tools in .venv, no file of which is another than the pinned one."""
    inputs = PYPROJECT.read_bytes() + REQUIREMENTS.read_bytes() + sys.version.encode()
    recipe = hashlib.sha256(inputs).hexdigest()
    stamp = VENV / "recipe"
    if stamp.is_file() and stamp.read_text() == recipe:
        return
    package = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    make(["--require-hashes", "--requirement", str(REQUIREMENTS)], package)
    stamp.write_text(recipe)


def find_browser() -> str:
    """The path of a Chromium that starts: one that is here, Playwright's own, or Debian's."""
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
    """Install what isn't here of OTHERS, where that can be done; where not, the tests say what is missing."""
    missing = [
        package
        for package, places in OTHERS.items()
        if not any(shutil.which(place) or Path(place).is_dir() for place in places)
    ]
    if missing:
        apt_install(*missing)


def starts(program: str) -> bool:
    """Whether a program is there and runs; a placeholder that only advertises a package doesn't."""
    found = shutil.which(program)
    return found is not None and not subprocess.run([found, "--version"], stdout=DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
