"""Compile umx/kernels/*.c with ziglang (`pip install ziglang==0.17.1`).

For pages, to side modules beside their sources: the same source gives the same bytes, so the built files are kept in
the repository and a test builds them anew. For this machine, to libraries in umx/kernels/native, as wheels bring them;
with --native, to these alone.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "umx" / "kernels"
EXPORTS = {
    "kernels": (
        *("block_size", "pack", "linear", "lstm", "magnitude"),
        *("wiener_model", "wiener_filter", "spectrum", "overlap_add"),
        *("to_int16", "peaks"),
    ),
    "htdemucs": ("block_size", "product", "dconv", "layer_norm", "group_norm", "attend"),
}
"""Functions of each side module; pages load that of an architecture only with such a model."""
COMPILE = ["cc", "-O3", "-g0", "-fPIC", "-fvisibility=hidden"]
WASM = ["--target=wasm32-emscripten", "-msimd128"]
LINK_WASM = ["wasm-ld", "-shared", "--experimental-pic", "--no-entry", "--strip-all"]
NATIVE = ["-ffp-contract=off", "-fno-math-errno"]
"""Floats are rounded as WebAssembly rounds them, so that all libraries give the same bits."""
X86 = {
    "avx512": ("AVX512", "x86_64_v2+avx512f+avx512bw+avx512dq+avx512vl+avx512vnni+fast_dpwssd"),
    "avxvnni": ("AVX_VNNI", "x86_64_v2+avx2+avxvnni+fast_dpwssd"),
    "avx2": ("AVX2", "x86_64_v2+avx2"),
    "sse4": ("SSE4", "x86_64_v2"),
}
"""Variants of a library: what `processor.c` calls each, and the instructions that ziglang may use.

fast_dpwssd: without it, the compiler makes a product and an addition of what one instruction does, and a third is lost.
"""
ARM = {"dotprod": ("DOTPROD", "generic+dotprod"), "neon": ("NEON", "generic")}


@dataclass(frozen=True)
class Platform:
    """A system and its processors."""

    target: str
    """As ziglang names it, with the oldest version of the system."""
    tag: str
    """As wheels name it."""
    variants: Mapping[str, tuple[str, str]]


PLATFORMS = {
    "linux-x86_64": Platform(
        "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64.manylinux2014_x86_64", X86
    ),
    "linux-aarch64": Platform(
        "aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64.manylinux2014_aarch64", ARM
    ),
    "darwin-x86_64": Platform("x86_64-macos.11.0", "macosx_11_0_x86_64", X86),
    "darwin-arm64": Platform("aarch64-macos.11.0", "macosx_11_0_arm64", ARM),
    "windows-amd64": Platform("x86_64-windows-gnu", "win_amd64", X86),
    "windows-arm64": Platform("aarch64-windows-gnu", "win_arm64", ARM),
}


def this_platform() -> Platform | None:
    """That of this Python, if libraries are compiled for it."""
    if sys.maxsize < 1 << 32 or (sys.platform == "linux" and platform.libc_ver()[0] != "glibc"):
        return None  # 32 bits, or a system whose wheels have a tag of their own
    return PLATFORMS.get(f"{platform.system()}-{platform.machine()}".lower())


def zig(*arguments: str | Path) -> None:
    """Run the compiler. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "ziglang", *map(str, arguments)]
    subprocess.run(command, cwd=FOLDER, check=True)


def build(name: str, output: Path) -> None:
    """Write a side module. Raises CalledProcessError where the compiler fails."""
    with tempfile.TemporaryDirectory() as work:
        compiled = Path(work) / f"{name}.o"
        zig(*COMPILE, *WASM, "-c", f"{name}.c", "-o", compiled)
        exports = (f"--export={function}" for function in EXPORTS[name])
        zig(*LINK_WASM, *exports, compiled, "-o", output)
    output.chmod(0o644)


def libraries(platform: Platform) -> list[tuple[str, str]]:
    """The source and the variant of each of a platform's libraries. HTDemucs has no use for products of bytes."""
    every = [(name, variant) for variant in platform.variants for name in EXPORTS]
    return [library for library in every if library != ("htdemucs", "dotprod")]


def build_native(platform: Platform, folder: Path) -> list[Path]:
    """Write a platform's libraries into a folder. Raises CalledProcessError where the compiler fails."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        build_variant(platform, variant, FOLDER / f"{name}.c", folder)
        for name, variant in libraries(platform)
    ]


def build_variant(platform: Platform, variant: str, source: Path, folder: Path) -> Path:
    """Write the library of one source file. Raises CalledProcessError where the compiler fails."""
    target, (meaning, processor) = ["-target", platform.target], platform.variants[variant]
    with tempfile.TemporaryDirectory() as work:
        checked, compiled = Path(work) / "processor.o", Path(work) / "kernels.o"
        # Whether a processor has a variant's instructions is asked by code that has none of them.
        zig(*COMPILE, *target, f"-DVARIANT={meaning}", "-c", "processor.c", "-o", checked)
        zig(
            *COMPILE, *NATIVE, *target, f"-mcpu={processor}", "-I", FOLDER,
            *("-c", source, "-o", compiled),
        )  # fmt: skip
        # Windows gets import libraries beside it, which stay behind in the temporary folder.
        linked = Path(work) / f"{source.stem}-{variant}.so"
        # macOS writes a library's name into it, which would be its path here.
        named = [f"-Wl,-install_name,@rpath/{linked.name}"] if "macos" in platform.target else []
        zig("cc", *target, "-shared", "-s", *named, compiled, checked, "-o", linked)
        return Path(shutil.copy(linked, folder))


if __name__ == "__main__":
    if sys.argv[1:] != ["--native"]:
        for name in EXPORTS:
            build(name, FOLDER / f"{name}.wasm")
    if here := this_platform():
        build_native(here, FOLDER / "native")
