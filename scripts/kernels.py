"""Compile umx/kernels/*.c to side modules beside them, with ziglang (`pip install ziglang==0.17.1`).

The same source gives the same bytes, so the built files are kept in the repository and a test builds them anew.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "umx" / "kernels"
EXPORTS = {
    "kernels": (
        *("pack", "linear", "lstm", "magnitude"),
        *("wiener_model", "wiener_filter", "spectrum", "overlap_add"),
        *("to_int16", "peaks"),
    ),
    "htdemucs": ("product", "dconv", "layer_norm", "group_norm", "attend"),
}
"""Functions of each side module; pages load that of an architecture only with such a model."""
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


def build(name: str, output: Path) -> None:
    """Write a side module. Raises CalledProcessError where the compiler fails."""

    def zig(*arguments: str | Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "ziglang", *map(str, arguments)], cwd=FOLDER, check=True
        )

    with tempfile.TemporaryDirectory() as work:
        compiled = Path(work) / f"{name}.o"
        zig(*COMPILE, "-c", f"{name}.c", "-o", compiled)
        zig(*LINK, *(f"--export={function}" for function in EXPORTS[name]), compiled, "-o", output)
    output.chmod(0o644)


if __name__ == "__main__":
    for name in EXPORTS:
        build(name, FOLDER / f"{name}.wasm")
