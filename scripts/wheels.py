"""Build the package's wheels into dist/: all (`python3 scripts/wheels.py`) or some (`wheels.py darwin-arm64`).

Any machine builds those of all platforms, since ziglang compiles for all. This is also the hook that hatchling calls
for a wheel: `pip install .` compiles the kernels for the machine that it runs on, and needs no compiler but the ziglang
that pip brings.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts import kernels
from scripts.common.environment import ROOT

PLATFORM = "UMX_PLATFORM"
"""The environment variable that names one of `kernels.PLATFORMS` to build for; the default is this machine's."""


class Hook(BuildHookInterface[Any]):
    """Adds the platform's libraries. On others the wheel is pure, and numpy does the work."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        name = os.environ.get(PLATFORM)
        platform = kernels.PLATFORMS[name] if name else kernels.this_platform()
        if version == "editable" or platform is None:
            return
        self._work = TemporaryDirectory()
        for path in kernels.build_native(platform, Path(self._work.name)):
            build_data["force_include"][str(path)] = f"umx/kernels/native/{path.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform.tag}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument(
        "platforms", nargs="*", metavar="PLATFORM", help=", ".join(kernels.PLATFORMS)
    )
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", metavar="DIR")
    args = parser.parse_args(argv)
    for name in args.platforms or kernels.PLATFORMS:
        if name not in kernels.PLATFORMS:
            parser.error(f"{name} is none of {', '.join(kernels.PLATFORMS)}")
        subprocess.run(
            [
                sys.executable,
                "-m",
                "hatchling",
                "build",
                "-t",
                "wheel",
                "-d",
                args.output.resolve(),
            ],
            cwd=ROOT,
            env=os.environ | {PLATFORM: name},
            check=True,
        )


if __name__ == "__main__":
    main()
