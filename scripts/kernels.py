"""Compile umx/kernels/kernels.c to kernels.wasm beside it, with ziglang (`pip install ziglang==0.17.1`).

The same source gives the same bytes, so the built file is kept in the repository and a test builds it anew.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "umx" / "kernels"
EXPORTS = (
    *("pack", "linear", "lstm", "magnitude"),
    *("wiener_model", "wiener_filter", "spectrum", "overlap_add"),
    *("to_int16", "peaks"),
)
COMPILE = [
    "cc",
    "--target=wasm32-emscripten",
    "-O3",
    "-g0",
    "-fPIC",
    "-msimd128",
    "-fvisibility=hidden",
]
LINK = ["wasm-ld", "-shared", "--experimental-pic", "--no-entry", "--strip-all"]


def build(output: Path) -> None:
    """Write the side module. Raises CalledProcessError where the compiler finds fault."""

    def zig(*arguments: str | Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "ziglang", *map(str, arguments)], cwd=FOLDER, check=True
        )

    with tempfile.TemporaryDirectory() as work:
        compiled = Path(work) / "kernels.o"
        zig(*COMPILE, "-c", "kernels.c", "-o", compiled)
        zig(*LINK, *(f"--export={name}" for name in EXPORTS), compiled, "-o", output)
    output.chmod(0o644)


if __name__ == "__main__":
    build(FOLDER / "kernels.wasm")
