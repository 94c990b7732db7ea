"""Measure the site as built, in Chromium, and the package: `python3 scripts/bench.py`; see docs/benchmark.md.

Where torch and openunmix are installed (pip install torch openunmix), the reference is measured in the same run.
`--no-page` leaves the browser out.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts import test
from scripts.build import build, publish
from scripts.common.environment import PYTHON, ROOT
from scripts.serve import server

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Worker

RATE = 44100
RUNS = 3
PREFIX = "/bench/"
PATIENCE_MS = 3_600_000
ENDED = "[data-state=done], [data-state=failed], [data-state=cancelled]"
"""A card whose song is no longer at work."""
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BARE_PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
const count = Number(new URLSearchParams(location.search).get("workers"));
const ready = Array.from({length: count}, () => new Promise((resolve) => {
  new Worker("bare.js", {type: "module"}).onmessage = resolve;
}));
await Promise.all(ready);
performance.mark("umx:ready");
document.documentElement.dataset.state = "ready";
</script>"""
BARE_WORKER = """import {loadPyodide} from "./app/vendor/pyodide/pyodide.mjs";
const pyodide = await loadPyodide({packages: ["numpy"]});
pyodide.runPython("import numpy");
postMessage("ready");
"""


@dataclass
class Result:
    """Figures of one configuration: medians, with the smallest and the largest of several runs."""

    model: str
    seconds: int  # of music
    workers: int  # threads, for the package and the reference
    engine: str
    browser: str  # and its version; "none" for the package and the reference
    real_time_factor: float  # seconds of work for a second of music
    spread: list[float]
    first_stems: float = 0  # seconds from the drop to the first finished stretch
    ready: float = (
        0  # seconds from opening the page, files cached, to a pool that has loaded the model
    )
    bare_ready: float = 0  # the same for as many workers with nothing but Pyodide and numpy
    megabytes_loaded: float = 0  # on the first visit
    peak_memory_mb: float = (
        0  # of all the browser's processes, above an empty page; of the package's
    )
    stages: dict[str, float] = field(
        default_factory=dict
    )  # seconds of all workers for a second of music
    times_reference: float | None = None  # as fast as PyTorch on as many threads, where measured
    rate: float = 0  # of the package: G multiply-adds a second ...
    limit: float = 0  # ... where the cores do as many at most


def main() -> None:
    from scripts.common import native  # numpy is in the environment

    args = parser().parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as work:
        site = Path(work) / "site"
        if not args.no_page:
            build(site)
            (site / "bare.html").write_text(BARE_PAGE)
            (site / "bare.js").write_text(BARE_WORKER)
        songs = {seconds: song(Path(work), seconds) for seconds in args.seconds}
        native.build(Path(work) / "native")
        for model in args.model:
            name = model.replace(":", "-")
            folder = ROOT / "weights" / name
            if model.startswith("random:"):
                folder = site / "weights" / name
                random_model(folder, model.removeprefix("random:"))
            if not args.no_page:
                publish(site)
            for workers in [] if args.no_page else args.workers:
                with opened(site, Path(work) / f"profile {name} {workers}") as context:
                    for result in in_browser(context, name, workers, songs):
                        results.append(report(result))
            for workers in args.workers:
                for result in packaged(Path(work) / "native", folder, workers, songs):
                    results.append(report(result))
            if not args.no_reference:
                for result in reference(model, min(args.seconds)):
                    results.append(report(result))
    results = compared(results)
    if args.json:
        Path(args.json).write_text(json.dumps({"runs": [asdict(r) for r in results]}, indent=1))
    print()
    print_table(results)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    several: dict[str, Any] = {"nargs": "+", "metavar": "N"}
    top.add_argument(
        "--model", nargs="+", default=["random:1024", "umx-mini"], metavar="NAME",
        help="of weights/, or seeded: random:HIDDEN, of that size and UMX-L's shape; random:htdemucs, "
        "random:htdemucs_6s (default: %(default)s)",
    )  # fmt: skip
    top.add_argument("--seconds", type=int, default=[60, 240], help="of music", **several)
    top.add_argument("--workers", type=int, default=[1, os.cpu_count() or 2], **several)
    top.add_argument("--browser", choices=["chromium"], default="chromium")
    top.add_argument("--no-reference", action="store_true", help="leave PyTorch out")
    top.add_argument("--no-page", action="store_true", help="leave the site and the browser out")
    top.add_argument("--json", metavar="FILE", help="write the figures there, too")
    return top


def song(folder: Path, seconds: int) -> Path:
    """Seeded noise and tones that come and go, as 16-bit WAV."""
    import wave

    import numpy as np

    rng = np.random.default_rng(seconds)
    t = np.arange(seconds * RATE) / RATE
    audio = 0.02 * rng.standard_normal((len(t), 2))
    for _ in range(20):
        tone = np.sin(2 * np.pi * rng.uniform(50, 5000) * t) * np.sin(rng.uniform(0.5, 9) * t)
        audio += 0.03 * tone[:, np.newaxis] * rng.uniform(0, 1, 2)
    path = folder / f"{seconds} s.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((audio * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    return path


HTDEMUCS: dict[str, dict[str, Any]] = {
    "htdemucs": {"sources": ["drums", "bass", "other", "vocals"], "bottom_channels": 512},
    "htdemucs_6s": {"sources": ["drums", "bass", "other", "vocals", "guitar", "piano"]},
}
"""What the makers' networks are made with, beside the defaults."""


def random_model(folder: Path, shape: str, most: int = 60) -> None:
    """A model of UMX-L's shape and a hidden size, or of HTDEMUCS, with random weights that keep signals at their level.

    most: the largest of the integers that stand for weights of eight bits. 4 makes files as small as trained ones.
    """
    import numpy as np

    from umx import models
    from umx.format.library import read_manifest, write_model
    from umx.models.htdemucs.arguments import parse

    fields = dict(vars(read_manifest(ROOT / "weights" / "umx-mini")))
    groups = [entry.targets for entry in fields.pop("files")]
    if shape in HTDEMUCS:
        targets, network = parse(made_with(shape))
        fields |= {"architecture": "htdemucs", "network": network}
        groups = [targets]
    else:
        fields["network"] = replace(fields["network"], hidden_size=int(shape))
    fields |= {"name": folder.name, "title": folder.name}
    layout = models.find(fields["architecture"]).shapes(fields["network"])
    rng = np.random.default_rng(len(layout))

    def network_file() -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, (dtype, size) in layout.items():
            name, _, kind = key.rpartition(".")
            if kind == "low":
                continue  # with its weight
            if dtype == "F32":
                out[key] = rng.uniform(-0.1, 0.1, size).astype(np.float32) + (kind == "gain")
                continue
            if f"{name}.low" in layout:
                # They take as many bits as trained weights do in a file.
                whole = np.clip(rng.normal(0, 950, size), -4095, 4095).astype(np.int16)
                low = whole.astype(np.int8)  # wraps around
                out[f"{name}.low"], out[key], spread = (
                    low,
                    ((whole - low) >> 8).astype(np.int8),
                    950.0,
                )
            else:
                out[key] = rng.integers(-most, most + 1, size, np.int8)
                spread = (most * (most + 1) / 3) ** 0.5
        for key, (_, size) in layout.items():
            if key.endswith(".scale"):
                inputs = layout[key.replace("scale", "weight")][1][1]
                out[key] = np.full(size, 1 / spread / inputs**0.5, np.float32)
        return out

    write_model(folder, {group: network_file() for group in groups}, **fields)


def made_with(shape: str) -> dict[str, Any]:
    """The arguments of the makers' class for a network of HTDEMUCS."""
    from fractions import Fraction

    return {
        "dconv_mode": 3,
        "t_layers": 5,
        "segment": Fraction(39, 5),
        "bottom_channels": 0,
    } | HTDEMUCS[shape]


@contextmanager
def opened(site: Path, profile: Path) -> "Iterator[BrowserContext]":
    """A browser with a profile of its own, at the site under a path prefix."""
    from playwright.sync_api import sync_playwright

    with server(site, prefix=PREFIX) as http, sync_playwright() as playwright:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        with playwright.chromium.launch_persistent_context(
            profile,
            executable_path=test.find_browser(),
            args=FLAGS,
            base_url=f"http://localhost:{http.server_port}{PREFIX}",
        ) as context:
            yield context
        http.shutdown()


def in_browser(
    context: "BrowserContext", model: str, workers: int, songs: dict[int, Path]
) -> Iterator[Result]:
    """Open the page like a visitor who was there before, and separate each song a few times."""
    page = context.pages[0]
    empty = memory()
    loaded = megabytes(page, f"?model={model}&workers={workers}")
    ready = [ready_after(page, f"?model={model}&workers={workers}") for _ in range(RUNS)]
    bare = [ready_after(page, f"bare.html?workers={workers}") for _ in range(RUNS)]
    # In a process of its own: what a page before has taken is given back late.
    page = context.new_page()
    context.pages[0].close()
    page.goto(f"?model={model}&workers={workers}")
    settled(page, "ready")
    kept(page)
    for seconds, path in songs.items():
        with peak_memory() as peak:
            separate(page, path)  # to warm up: the browser compiles code that runs often
            runs = [separate(page, path) for _ in range(RUNS)]
        factors = [run["total"] / seconds for run in runs]
        yield Result(
            model,
            seconds,
            workers,
            (page.locator("#details").text_content() or "").removeprefix("Engine: ").split(";")[0],
            context.new_cdp_session(page).send("Browser.getVersion")["product"],
            real_time_factor=statistics.median(factors),
            spread=[min(factors), max(factors)],
            first_stems=statistics.median(run["first"] for run in runs),
            ready=statistics.median(ready),
            bare_ready=statistics.median(bare),
            megabytes_loaded=loaded,
            peak_memory_mb=peak() - empty,
            stages={name: spent / seconds for name, spent in stages(page).items()},
        )


def settled(page: "Page", state: str) -> None:
    """Wait for the page's state. Where that is an error, ends the script with the page's own words."""
    root = page.locator(f"html:is([data-state={state}], [data-state=error])")
    root.wait_for(timeout=PATIENCE_MS)
    if root.get_attribute("data-state") == "error":
        told = page.locator("#error:visible, .card[data-state=failed] .status")
        sys.exit("\n".join(told.all_inner_texts()))


def ready_after(page: "Page", url: str) -> float:
    """Seconds from opening a page to its workers being ready."""
    page.goto(url)
    settled(page, "ready")
    return float(page.evaluate("performance.getEntriesByName('umx:ready')[0].startTime")) / 1000


def kept(page: "Page") -> None:
    """Wait until the device has everything that later visits need."""
    page.wait_for_function("performance.getEntriesByName('umx:kept').length", timeout=PATIENCE_MS)


def engines(page: "Page") -> "list[Worker]":
    """The page's workers, without the one that looks whether there is a snapshot and may end at any moment."""
    return [worker for worker in page.workers if not worker.url.endswith("/snapshot-maker.mjs")]


def megabytes(page: "Page", url: str) -> float:
    """Megabytes that a first visit fetches."""
    sizes: list[int] = []
    count: Callable[[Any], None] = lambda r: sizes.append(r.sizes()["responseBodySize"])  # noqa: E731
    page.context.on("requestfinished", count)
    ready_after(page, url)
    kept(page)
    page.context.remove_listener("requestfinished", count)
    return sum(sizes) / 1e6


def separate(page: "Page", path: Path) -> dict[str, float]:
    """Seconds from the drop to the first finished stretch, and to the end. Ends the script where a song fails."""
    page.evaluate("performance.clearMarks()")
    for worker in engines(page):
        worker.evaluate("performance.clearMeasures()")
    before = page.locator(".card").count()
    page.set_input_files("#file", path)
    page.wait_for_function(
        "before => document.querySelectorAll('.card').length > before", arg=before
    )
    card = page.locator(".card").first  # the newest
    card.and_(page.locator(ENDED)).wait_for(timeout=PATIENCE_MS)
    if card.get_attribute("data-state") != "done":
        sys.exit(f"{path.name} could not be separated: {card.locator('.status').inner_text()}")
    begin, first, done = (
        float(page.evaluate(f"performance.getEntriesByName('umx:{mark}')[0].startTime")) / 1000
        for mark in ("begin", "first-stems", "done")
    )
    return {"first": first - begin, "total": done - begin}


def stages(page: "Page") -> dict[str, float]:
    """Seconds that each of the engine's functions took for the last song, in all workers together."""
    total: dict[str, float] = {}
    for worker in engines(page):
        script = "performance.getEntriesByType('measure').map(e => [e.name, e.duration / 1000])"
        for name, seconds in worker.evaluate(script):
            total[name] = total.get(name, 0) + seconds
    return total


def memory() -> float:
    """Megabytes of the browser's processes, which are children of this one."""
    import psutil

    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            if "node" not in process.name():
                # Shared pages, such as the browser's own program, count once.
                total += getattr(process.memory_full_info(), "pss", 0) or process.memory_info().rss
        except psutil.Error:
            continue  # it has just ended
    return total / 1e6


@contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """Look at the memory again and again. Gives a function that returns the largest figure so far."""
    most, over = 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.5):
            most = max(most, memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: most
    finally:
        over.set()
        thread.join()


def packaged(
    libraries: Path, model: Path, threads: int, songs: dict[int, Path]
) -> Iterator[Result]:
    """The package, from a file to stems in memory. libraries: as `native.build` has filled the folder."""
    from scripts.common import native

    for seconds, path in songs.items():
        speed = native.measure(libraries, model, path, threads, RUNS)
        factor = statistics.median(speed.factors)
        yield Result(
            model.name, seconds, threads, f"package, {speed.variant}", "none",
            real_time_factor=factor, spread=[min(speed.factors), max(speed.factors)],
            peak_memory_mb=speed.memory, rate=speed.multiply_adds / factor,
            limit=speed.limit * threads,
        )  # fmt: skip


def reference(model: str, seconds: int) -> Iterator[Result]:
    """The PyPI package openunmix or demucs on PyTorch, with random weights: speed doesn't depend on them."""
    try:
        import torch

        separate = (
            torch_demucs(model)
            if model.removeprefix("random:") in HTDEMUCS
            else torch_openunmix(model)
        )
    except ImportError as error:
        print(f"No reference is measured for {model}: {error}.", file=sys.stderr)
        return
    audio = 0.1 * torch.randn(1, 2, seconds * RATE)
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        factors = []
        with torch.no_grad():
            separate(audio[..., : 10 * RATE])
            for _ in range(RUNS):
                begun = time.perf_counter()
                separate(audio)
                factors.append((time.perf_counter() - begun) / seconds)
        yield Result(
            model.replace(":", "-"), seconds, threads, f"PyTorch {torch.__version__}", "none",
            real_time_factor=statistics.median(factors), spread=[min(factors), max(factors)],
        )  # fmt: skip


def torch_openunmix(model: str) -> Callable[[Any], Any]:
    """openunmix's separator. Raises ImportError where it is not installed."""
    from scripts.golden import OpenUnmix, Separator
    from umx.format.library import find_model, read_manifest

    kind, _, size = model.rpartition(":")
    hidden = int(size) if kind else read_manifest(find_model(model)).network.hidden_size
    networks = {
        target: OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=hidden, max_bin=1487).eval()
        for target in ("vocals", "drums", "bass", "other")
    }
    return cast(Callable[[Any], Any], Separator(networks, niter=1))


def torch_demucs(model: str) -> Callable[[Any], Any]:
    """demucs's way through a song, with the overlap that umx has. Raises ImportError where it is not installed."""
    from types import ModuleType

    # demucs imports torchaudio only to load files.
    sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    from umx.models.htdemucs.estimate import OVERLAP

    network = HTDemucs(**made_with(model.removeprefix("random:"))).eval()
    return lambda audio: apply_model(network, audio, shifts=0, overlap=1 / OVERLAP)


def report(result: Result) -> Result:
    print(json.dumps(asdict(result)), flush=True)
    return result


def compared(results: list[Result]) -> list[Result]:
    """The results, with the page's and the package's compared to the reference's, if that was measured."""
    factors = {(r.model, r.workers): r.real_time_factor for r in results if is_reference(r)}
    return [
        replace(r, times_reference=factors[r.model, r.workers] / r.real_time_factor)
        if not is_reference(r) and (r.model, r.workers) in factors
        else r
        for r in results
    ]


def is_reference(result: Result) -> bool:
    return result.engine.startswith("PyTorch")


def print_table(results: list[Result]) -> None:
    """Print the results as Markdown."""
    rows = [
        "model | engine | workers | music | real-time factor (spread) | "
        "first stems | ready (bare) | loaded | peak memory",
        " | ".join(["---"] * 9),
    ]
    for r in results:
        low, high = r.spread
        in_page = (
            f"{r.first_stems:.1f} s | {r.ready:.1f} s ({r.bare_ready:.1f} s) | "
            f"{r.megabytes_loaded:.1f} MB"
        )
        memory = f"{r.peak_memory_mb:.0f} MB" if r.peak_memory_mb else "–"
        rows.append(
            f"{r.model} | {r.engine} | {r.workers} | {r.seconds} s | "
            f"{r.real_time_factor:.3f} ({low:.3f} to {high:.3f}) | "
            f"{in_page if r.browser != 'none' else ' | '.join('–––')} | {memory}"
        )
    print("\n".join(f"| {row} |" for row in rows))
    for r in results:
        if r.times_reference:
            print(
                f"{r.model}, {r.engine}, {r.workers} workers, {r.seconds} s: "
                f"{r.times_reference:.2f} times as fast as PyTorch."
            )
        if r.limit:
            print(
                f"{r.model}, {r.engine}, {r.workers} workers, {r.seconds} s: {r.rate:.0f} G "
                f"multiply-adds a second, {100 * r.rate / r.limit:.0f} % of the cores' {r.limit:.0f}."
            )


def in_environment() -> None:
    """Go on in the project's environment, which has the test tools, unless another one is activated."""
    if Path(sys.prefix) != PYTHON.parent.parent and not os.environ.get("VIRTUAL_ENV"):
        test.make_environment()
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    sys.path.insert(0, str(ROOT))


if __name__ == "__main__":
    in_environment()
    main()
