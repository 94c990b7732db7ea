"""scripts/README.md names every command, and every module that commands share."""

import re

from scripts.common.environment import ROOT

SCRIPTS = ROOT / "scripts"


def test_every_script_is_in_the_index() -> None:
    named = set(re.findall(r"^\| `(\w+\.py)` \|", (SCRIPTS / "README.md").read_text(), re.M))
    there = {path.name for folder in ("", "common") for path in (SCRIPTS / folder).glob("*.py")}
    assert named == there - {"__init__.py"}
