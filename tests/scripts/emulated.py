"""A library of the kernels for another processor, which qemu stands in for; called with numpy arrays."""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from scripts import kernels
from tests.unit.side_module import bytes_at

WHOLE, FLOAT = -1, -2  # as in emulated.c
VARIANTS = {name: ("aarch64", *options) for name, options in kernels.ARM.items()}
VARIANTS["plain"] = ("riscv64", "PLAIN", "baseline")
"""Machines, and what is compiled for them, as `kernels.ARM` says it. The source has no instructions for "plain"."""


def build(name: str, variant: str, folder: Path) -> Path:
    """A program for Linux that has the functions of `name`.c, compiled as its library is."""
    functions = (*kernels.EXPORTS[name], "supported")
    machine, meaning, processor = VARIANTS[variant]
    target = ["-target", f"{machine}-linux-musl"]
    given = [f"-DFUNCTIONS={' '.join(f'F({function})' for function in functions)}"]
    sources = {
        kernels.FOLDER / f"{name}.c": [*kernels.NATIVE, f"-mcpu={processor}"],
        kernels.FOLDER / "processor.c": [f"-DVARIANT={meaning}"],
        Path(__file__).with_suffix(".c"): given,
    }
    for source, options in sources.items():
        kernels.zig(
            *kernels.COMPILE, *target, *options, "-c", source, "-o", folder / f"{source.stem}.o"
        )
    program = folder / f"{name}-{variant}"
    objects = [folder / f"{source.stem}.o" for source in sources]
    kernels.zig("cc", *target, "-static", *objects, "-o", program)
    return program


class Emulated:
    """Copies every array to the program, has it call, and copies it back: functions may write into any of them.

    A call is its function's number and the number of arguments, each with its kind before it: WHOLE, FLOAT or an
    array's bytes. The answer is the result and the arrays. Numbers have 8 bytes; floats have 4.
    """

    def __init__(self, program: Path, processor: str) -> None:
        """program: as `build` makes it; processor: as qemu calls it."""
        name, variant = program.name.split("-")
        self.functions = [*kernels.EXPORTS[name], "supported"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(
            [f"qemu-{VARIANTS[variant][0]}", "-cpu", processor, program], **pipes
        )

    def __enter__(self) -> "Emulated":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        number = self.functions.index(name)

        def call(*arguments: Any) -> Any:
            parts, arrays = [struct.pack("<qq", number, len(arguments))], []
            for argument in arguments:
                if isinstance(argument, np.ndarray):
                    low, high = byte_bounds(argument)
                    arrays.append(bytes_at(low, high))
                    parts += [struct.pack("<q", high - low), bytes(arrays[-1])]
                elif isinstance(argument, float):
                    parts.append(struct.pack("<qf", FLOAT, argument))
                else:
                    parts.append(struct.pack("<qq", WHOLE, argument))
            self.process.stdin.write(b"".join(parts))
            self.process.stdin.flush()
            (result,) = struct.unpack("<i4x", self.process.stdout.read(8))
            for array in arrays:
                array[:] = self.process.stdout.read(len(array))
            return result

        return call
