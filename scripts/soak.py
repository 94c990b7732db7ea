"""Put load on the built site, and check that nothing is left over: `python3 scripts/soak.py [SCENARIO…]`.

docs/reliability.md explains the figures. Ends with status 1 if something is left over, or went wrong.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts import bench
from scripts.build import SERVICE_WORKER, build, service_worker

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

MINUTE = 60
WARM_UP = 120
"""Seconds of a song that brings every worker's heap to its size."""
SLACK = 100
"""Megabytes by which two looks at an idle browser's memory may differ."""
PATIENCE = 60
"""Seconds in which memory must be given back."""

# Replaces an engine that is not to be used, so that it can't be loaded.
BARRED = """
import umx.kernels.{module}


def barred():
    raise OSError


umx.kernels.{module}.{engine} = barred
"""
SIMD, OPENBLAS = {"module": "simd", "engine": "Simd"}, {"module": "blas", "engine": "OpenBlas"}
ENGINES = {"simd": (), "openblas": (SIMD,), "numpy": (SIMD, OPENBLAS)}
"""Engines that are barred so that another one is chosen."""

# Has a worker tell how large its heap is.
TELL_HEAP = """
import pyodide_js

js.heapSize = create_proxy(lambda: pyodide_js._module.HEAP8.length)
"""

# Counts the Blob URLs that the page has not revoked.
COUNT_URLS = """
globalThis.blobUrls = new Set();
for (const [name, count] of [["createObjectURL", "add"], ["revokeObjectURL", "delete"]]) {
  const before = URL[name];
  URL[name] = (argument) => {
    const url = before.call(URL, argument);
    blobUrls[count](url ?? argument);
    return url;
  };
}
"""


@dataclass
class Level:
    """Resources that an idle page holds."""

    memory_mb: float  # of all the browser's processes, above an empty page
    heaps_mb: list[float]  # of each worker
    workers: int
    blob_urls: int
    elements: int  # in the document, and removed ones that are still held
    listeners: int


@dataclass
class Result:
    scenario: str
    engine: str
    seconds: float  # of work
    real_time_factor: float | None
    peak_memory_mb: float
    before: Level
    after: Level
    left_over: list[str]  # in words


class Visit:
    """A page whose workers are ready and warm, and what its browser holds."""

    def __init__(self, page: "Page", query: str):
        self.page, self.empty = page, bench.memory()
        self.session: CDPSession = page.context.new_cdp_session(page)
        page.add_init_script(COUNT_URLS)
        page.goto(query)
        bench.settled(page, "ready")
        bench.kept(page)

    def drop(self, *songs: Path) -> None:
        self.page.set_input_files("#file", songs)

    def wait(self) -> None:
        """Wait until every song is done."""
        self.page.locator("html:not([data-state=running])").wait_for(timeout=bench.PATIENCE_MS)
        for card in self.page.locator(".card:not([data-state=done])").all():
            raise RuntimeError(card.locator(".status").inner_text())

    def clear(self) -> None:
        """Remove all songs, as a visitor does."""
        for card in self.page.locator(".card").all()[::-1]:
            card.locator(".remove").click()
        # Until then the last removal can be undone.
        self.page.locator("#removed").wait_for(state="hidden")

    def level(self) -> Level:
        for _ in range(3):
            # JavaScript's and Python's collectors take turns: one frees what lets the other free more.
            self.session.send("HeapProfiler.collectGarbage")
            self.page.wait_for_timeout(1500)
        self.session.send("Performance.enable")
        found = self.session.send("Performance.getMetrics")["metrics"]
        metrics = {metric["name"]: int(metric["value"]) for metric in found}
        heaps = [worker.evaluate("heapSize()") / 1e6 for worker in bench.engines(self.page)]
        return Level(
            memory_mb=bench.memory() - self.empty,
            heaps_mb=heaps,
            workers=len(heaps),
            blob_urls=self.page.evaluate("blobUrls.size"),
            elements=metrics["Nodes"],
            listeners=metrics["JSEventListeners"],
        )


def left_over(before: Level, after: Level) -> list[str]:
    """Resources that aren't back at their level, in words."""
    found = []
    if after.memory_mb > before.memory_mb + SLACK:
        found.append(f"{after.memory_mb - before.memory_mb:.0f} MB")
    if sum(after.heaps_mb) > sum(before.heaps_mb) + SLACK:
        found.append(f"{sum(after.heaps_mb) - sum(before.heaps_mb):.0f} MB of workers' heaps")
    for name in ("workers", "blob_urls", "elements", "listeners"):
        more = getattr(after, name) - getattr(before, name)
        if more > 0:
            found.append(f"{more} {name.replace('_', ' ')}")
    return found


# Scenarios. Each is given a page and a function that makes a song of so many seconds. Those that do nothing but
# separate return the seconds of music.

Make = Callable[[int], Path]


def one_song(seconds: int, visit: Visit, make: Make) -> int:
    visit.drop(make(seconds))
    visit.wait()
    return seconds


def queue(visit: Visit, make: Make) -> int:
    visit.drop(*[make(15)] * 50)
    visit.wait()
    return 50 * 15


def cancels(visit: Visit, make: Make) -> None:
    for _ in range(10):
        visit.drop(make(240))
        visit.page.locator(".card .status", has_text="%").wait_for(timeout=bench.PATIENCE_MS)
        visit.page.locator(".card .cancel").click()
        visit.clear()
    visit.drop(make(15))
    visit.wait()


def in_turn(visit: Visit, make: Make) -> int:
    for _ in range(20):
        visit.drop(make(60))
        visit.wait()
        visit.clear()
    return 20 * 60


SCENARIOS: dict[str, tuple[str, Callable[[Visit, Make], int | None]]] = {
    "40-minutes": ("simd", partial(one_song, 40 * MINUTE)),
    "40-minutes-openblas": ("openblas", partial(one_song, 40 * MINUTE)),
    "40-minutes-numpy": ("numpy", partial(one_song, 40 * MINUTE)),
    "three-hours": ("simd", partial(one_song, 180 * MINUTE)),
    "queue": ("simd", queue),
    "cancels": ("simd", cancels),
    "in-turn": ("simd", in_turn),
}
"""Engine and scenario by name."""


def main() -> None:
    args = parser().parse_args()
    if unknown := set(args.scenario) - set(SCENARIOS):
        sys.exit(f"There is no scenario {sorted(unknown)[0]!r}; there are {', '.join(SCENARIOS)}.")
    results = []
    with tempfile.TemporaryDirectory() as work:
        site = build(Path(work) / "site")
        for name in args.scenario or SCENARIOS:
            results.append(soak(name, site, Path(work), args.workers))
            print(json.dumps(asdict(results[-1])), flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps({"runs": [asdict(r) for r in results]}, indent=1))
    print()
    print_table(results)
    sys.exit(any(result.left_over for result in results))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    top.add_argument(
        "scenario", nargs="*", metavar="SCENARIO", help=f"{', '.join(SCENARIOS)}; all by default"
    )
    top.add_argument("--workers", type=int, default=os.cpu_count() or 2, metavar="N")
    top.add_argument("--json", metavar="FILE", help="write the figures there, too")
    return top


def soak(name: str, site: Path, work: Path, workers: int) -> Result:
    """Run one scenario in a browser of its own."""
    engine, scenario = SCENARIOS[name]
    make = partial(song, work)
    with worker_of(site, engine), bench.opened(site, work / f"profile {name}") as context:
        visit = Visit(context.pages[0], f"?workers={workers}")
        # The slowest engine is warm after a few pieces.
        one_song(15 if engine == "numpy" else WARM_UP, visit, make)
        visit.clear()
        before = visit.level()
        begun = time.perf_counter()
        with bench.peak_memory() as peak:
            music = scenario(visit, make)
        seconds = time.perf_counter() - begun
        visit.clear()
        after = visit.level()
        over = time.perf_counter() + PATIENCE
        while left_over(before, after) and time.perf_counter() < over:
            visit.page.wait_for_timeout(1000)
            after = visit.level()
        most = peak() - visit.empty
    factor = seconds / music if music else None
    return Result(name, engine, seconds, factor, most, before, after, left_over(before, after))


@contextmanager
def worker_of(site: Path, engine: str) -> Iterator[None]:
    """Have the site's workers use an engine, and tell how large their heaps are."""
    script = site / "app" / "worker" / "worker.py"
    usual = script.read_text()
    barred = [BARRED.format(**kind) for kind in ENGINES[engine]]
    script.write_text("".join([usual, TELL_HEAP, *barred]))
    (site / SERVICE_WORKER).write_text(service_worker(site))
    yield
    script.write_text(usual)


def song(folder: Path, seconds: int) -> Path:
    """The benchmark's music, repeated where it is long, to save time."""
    path = folder / f"{seconds} s.wav"
    if path.exists():
        return path
    if seconds <= MINUTE:
        return bench.song(folder, seconds)
    with wave.open(str(song(folder, MINUTE))) as source, wave.open(str(path), "wb") as file:
        file.setparams(source.getparams())
        frames = source.readframes(source.getnframes())
        for begin in range(0, seconds, MINUTE):
            file.writeframes(frames[: 4 * bench.RATE * (seconds - begin)])
    return path


def print_table(results: list[Result]) -> None:
    """Print the results as Markdown."""
    rows = [
        "scenario | engine | time | × real time | peak | memory | heaps | workers | Blob URLs | elements | listeners",
        " | ".join(["---"] * 11),
    ]
    for r in results:
        b, a = r.before, r.after
        speed = f"{1 / r.real_time_factor:.1f}" if r.real_time_factor else "–"
        rows.append(
            f"{r.scenario} | {r.engine} | {r.seconds:.0f} s | {speed} | {r.peak_memory_mb:.0f} MB | "
            f"{b.memory_mb:.0f} → {a.memory_mb:.0f} MB | "
            f"{sum(b.heaps_mb):.0f} → {sum(a.heaps_mb):.0f} MB | {b.workers} → {a.workers} | "
            f"{b.blob_urls} → {a.blob_urls} | {b.elements} → {a.elements} | {b.listeners} → {a.listeners}"
        )
    print("\n".join(f"| {row} |" for row in rows))
    for r in results:
        if r.left_over:
            print(f"{r.scenario} left over: {', '.join(r.left_over)}.")


if __name__ == "__main__":
    bench.in_environment()
    main()
