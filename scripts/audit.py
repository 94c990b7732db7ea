"""Look for known weaknesses of the packages that the project uses: `python3 scripts/audit.py`.

pip-audit and npm's audit are asked about the packages of the page, of the tests and of training. Ends with status 1 if
a weakness is known. Packages about which nobody could be asked are named, and are no failure: services may be out of
reach, and a registry's mirror may not have them.
"""

import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common.about import LOCK as BUILD_LOCK
from scripts.common.environment import ROOT
from scripts.vendor import LOCK

PIP_AUDIT = "pip-audit==2.10.1"
PATIENCE = 60
"""Seconds that a program has to answer: without a network some try again for minutes."""
KNOWN, NOTHING, UNASKED = "known", "nothing known", "could not ask"

Findings = dict[str, tuple[str, str]]
"""By package and version: KNOWN, NOTHING or UNASKED, and the weaknesses, or why nobody could be asked."""


def main() -> int:
    findings: Findings = {}
    with tempfile.TemporaryDirectory() as work:
        for number, pins in enumerate(python_pins()):
            findings |= ask_pip(pins, Path(work), f"{number}.txt")
        findings |= ask_npm(npm_pins(), Path(work))
    for package, (state, words) in sorted(findings.items()):
        print(f"{package}: {state}{' (' if words else ''}{words}{')' if words else ''}")
    states = [state for state, _ in findings.values()]
    print(", ".join(f"{state}: {states.count(state)}" for state in (KNOWN, NOTHING, UNASKED)))
    return int(KNOWN in states)


def python_pins() -> list[list[str]]:
    """Packages from pip as name==version, one list for each environment."""
    tests = pinned(ROOT / "tests" / "requirements.txt")
    lists = sorted((ROOT / "scripts" / "train").glob("requirements*.txt"))
    training = [pin for path in lists for pin in pinned(path)]
    # They are listed by their own names: nobody knows the package that carries their files.
    page = [
        f"{p['name']}=={p['version']}" for p in packages(LOCK) if p["package"]["client"] == "pip"
    ]
    building = [f"{p['name']}=={p['version']}" for p in packages(BUILD_LOCK)]
    return [page, building, tests, training]


def pinned(path: Path) -> list[str]:
    """A list of requirements as name==version, without conditions, hashes and remarks."""
    return re.findall(r"^[\w.-]+==[\w.+!-]+", path.read_text(), re.MULTILINE)


def npm_pins() -> list[str]:
    """Packages from npm as name@version."""
    return [p["package"]["spec"] for p in packages(LOCK) if p["package"]["client"] == "npm"]


def packages(lock: Path) -> list[dict]:  # type: ignore[type-arg]
    """Packages of which the page, or a build, loads files."""
    found: list[dict] = json.loads(lock.read_text())["packages"]  # type: ignore[type-arg]
    return found


def ask_pip(pins: list[str], work: Path, name: str) -> Findings:
    python = work / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(work / "venv", with_pip=True)
        run(work, str(python), "-m", "pip", "install", "--quiet", PIP_AUDIT)
    (work / name).write_text("\n".join(pins))
    command = [str(python), "-m", "pip_audit", "--requirement", name, "--no-deps", "--disable-pip"]
    answer = run(work, *command, "--format", "json", "--progress-spinner", "off")
    return heard_of_pip(pins, answer.stdout, answer.stderr)


def heard_of_pip(pins: list[str], answer: str, complaint: str) -> Findings:
    """pip-audit's findings, from its JSON. A package that it leaves out is UNASKED."""
    try:
        told = {entry["name"]: entry for entry in json.loads(answer)["dependencies"]}
    except (ValueError, KeyError):
        told = {}
    findings: Findings = {}
    for pin in pins:
        entry = told.get(re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower())
        if not entry or "vulns" not in entry:
            findings[pin] = UNASKED, (entry or {}).get("skip_reason") or last_line(complaint)
        else:
            known = ", ".join(weakness["id"] for weakness in entry["vulns"])
            findings[pin] = (KNOWN, known) if known else (NOTHING, "")
    return findings


def ask_npm(pins: list[str], work: Path) -> Findings:
    dependencies = dict(pin.rsplit("@", 1) for pin in pins)
    package = {"name": "asked", "version": "1.0.0", "dependencies": dependencies}
    (work / "package.json").write_text(json.dumps(package))
    locked = run(work, "npm", "install", "--package-lock-only", "--ignore-scripts", "--silent")
    answer = run(work, "npm", "audit", "--json")
    return heard_of_npm(pins, answer.stdout, answer.stderr or locked.stderr)


def heard_of_npm(pins: list[str], answer: str, complaint: str) -> Findings:
    """npm's findings, from its JSON. Those of a package's own dependencies stand under the package's name."""
    try:
        known = json.loads(answer)["vulnerabilities"]
    except (ValueError, KeyError):
        return dict.fromkeys(pins, (UNASKED, last_line(complaint)))
    findings: Findings = {}
    for pin in pins:
        entry = known.get(pin.rsplit("@", 1)[0])
        findings[pin] = (KNOWN, entry["severity"]) if entry else (NOTHING, "")
    return findings


def run(work: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command, and return its result even if it failed: a missing or silent program counts as a complaint."""
    try:
        return subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def last_line(complaint: str) -> str:
    lines = [line for line in complaint.splitlines() if line and "debug-0.log" not in line]
    return lines[-1] if lines else "no answer"


if __name__ == "__main__":
    sys.exit(main())
