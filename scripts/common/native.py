"""How fast the package is on this machine, and how fast its processor could be."""

import ctypes
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.ctypeslib import ndpointer

from scripts import kernels
from umx import segments
from umx.desktop.song import Song
from umx.format.library import load_model
from umx.kernels import library
from umx.models.htdemucs.description import work
from umx.separator import Separator


@dataclass
class Speed:
    """How fast one model separates one song, on some threads."""

    variant: str
    """The instructions that the kernels were compiled for; "numpy" where no library is right."""
    factors: list[float]
    """Seconds of work for a second of music, from the file to all stems in memory, of each run."""
    memory: float
    """Megabytes of the process at its most."""
    multiply_adds: float
    """G in all products of a second of music."""
    limit: float
    """G multiply-adds a second that one core does at most with these instructions."""


def build(folder: Path) -> None:
    """Compile the kernels, and what measures the limit, for this machine."""
    platform = kernels.this_platform()
    if platform is None:
        return
    kernels.build_native(platform, folder)
    for variant in platform.variants:
        kernels.build_variant(platform, variant, Path(__file__).with_name("limit.c"), folder)


def measure(libraries: Path, model: Path, song: Path, threads: int, runs: int) -> Speed:
    """Measure in a process of its own, whose memory is the package's alone. libraries: as `build` has filled it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_measure, libraries, model, song, threads, runs).result()


def _measure(libraries: Path, folder: Path, path: Path, threads: int, runs: int) -> Speed:
    library.NATIVE = libraries
    model = load_model(folder)
    separator = Separator(model, threads=threads)
    variant = "numpy"
    if separator.engine.name == "simd":
        loaded = Path(separator.engine._library._name)  # type: ignore[attr-defined]
        variant = loaded.stem.removeprefix("kernels-")
    factors = []
    for _ in range(1 + runs):
        begun = time.perf_counter()
        with Song(path, model.manifest.sample_rate) as song:
            for _ in separator.stream(song.blocks(), song.samples, song.level):
                pass
            seconds = song.samples / model.manifest.sample_rate
        factors.append((time.perf_counter() - begun) / seconds)
    return Speed(
        variant,
        factors[1:],  # the first one warmed up
        _peak(),
        _multiply_adds(separator, round(seconds * model.manifest.sample_rate)) / seconds / 1e9,
        _limit(libraries, variant),
    )


def _peak() -> float:
    """Megabytes of this process at its most."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage begins with what the parent had
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _multiply_adds(separator: Separator, samples: int) -> float:
    """In all segments of a song."""
    batches: Sequence[segments.Batch] = segments.plan(samples, separator.cutting)
    count = sum(len(batch.starts) for batch in batches)
    estimator, network = separator.estimator, separator.manifest.network
    if separator.manifest.architecture == "openunmix":
        weights = sum(part.size for part in estimator.networks.values())  # type: ignore[attr-defined]
        return float(weights * count * (1 + batches[0].span // network.hop))
    return float(sum(work(network).values()) * count)


def _limit(libraries: Path, variant: str) -> float:
    path = libraries / f"limit-{variant}.so"
    if not path.exists():
        return float("nan")
    function = ctypes.CDLL(str(path)).limit
    function.argtypes = [ndpointer(np.int16), ndpointer(np.float32)]
    two, out = np.array([3, 4], np.int16), np.empty(1, np.float32)
    rates = []
    for _ in range(30):
        begun = time.perf_counter()
        done = function(two, out)
        rates.append(done / (time.perf_counter() - begun) / 1e9)
    return float(max(rates))
