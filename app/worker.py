"""A worker of the pool: the engine in Pyodide, asked by messages.

Each request is answered by one message of kind "answer" or "error". Before it may come "progress" (a fraction of the
request) and "piece" (a finished stretch of every stem as 16-bit samples).
"""

import asyncio
from collections.abc import Iterator

import js
import numpy as np
from polyscript import xworker
from pyodide.ffi import create_proxy, to_js

from umx import segments
from umx.audio import to_int16
from umx.kernels import choose
from umx.separator import Separator, with_aggregates
from umx.weights import MANIFEST, Manifest, Model, WeightsError, read_target

PEAK_SAMPLES = 2205
"""Samples that a step of the waveform stands for: a twentieth of a second."""

separator: Separator | None = None


def post(kind: str, **content: object) -> None:
    message = to_js({"kind": kind, **content}, dict_converter=js.Object.fromEntries)
    xworker.postMessage(message)


async def fetch(url: str) -> bytes:
    response = await js.fetch(url)
    if not response.ok:
        raise WeightsError(f"{url} can't be fetched: the server answered {response.status}.")
    return (await response.arrayBuffer()).to_bytes()


async def load(url: str) -> dict[str, object]:
    """Fetch a model's folder and make a separator of it. Answers with the engine's name and the manifest."""
    global separator
    manifest = Manifest.parse((await fetch(url + MANIFEST)).decode(errors="replace"), url + MANIFEST)
    engine, targets = await choose_engine(), {}
    for number, (target, entry) in enumerate(manifest.targets.items(), 1):
        targets[target] = read_target(await fetch(url + entry.file), entry, manifest)
        post("progress", fraction=number / len(manifest.targets))
    separator = Separator(Model(manifest, targets), engine)
    return {"engine": engine.name, "manifest": manifest.text()}


async def choose_engine():
    """The fastest engine; OpenBLAS is fetched only where the SIMD kernel is of no use."""
    engine = choose()
    if engine.name == "numpy":
        import pyodide_js

        await pyodide_js.loadPackage("openblas")
        engine = choose()
    return engine


def plan(samples: int, workers: int) -> dict[str, object]:
    batches = segments.plan(samples, workers)
    return {
        "overlap": segments.OVERLAP,
        "batches": [{"starts": list(b.starts), "length": b.length} for b in batches],
    }


def separate(mixture, starts, length: int, first: bool, last: bool) -> dict[str, object]:
    """Separate one batch, posting its pieces as they are finished.

    mixture: Float32Array of (segments, channels, length); first, last: whether the batch begins or ends the song.
    Answers with the faded ends that its neighbours must be added to, Float32Array of (targets, channels, overlap).
    """
    starts, overlap = list(starts), segments.OVERLAP
    audio = np.empty((len(starts), separator.manifest.channels, length), np.float32)
    mixture.assign_to(audio.reshape(-1))
    joiner = segments.Joiner(overlap)
    ends = {}
    for index, estimates in enumerate(separator.process(audio, report)):
        opens, closes = index == 0, index == len(starts) - 1
        segments.fade(estimates, overlap, first and opens, last and closes)
        stretch, start = joiner.add(estimates, last and closes), starts[index]
        if opens and not first:
            ends["head"] = to_js(stretch[..., :overlap].reshape(-1).copy())
            stretch, start = stretch[..., overlap:], start + overlap
        post_piece(start, stretch)
        if closes and not last:
            ends["tail"] = to_js(estimates[..., -overlap:].reshape(-1).copy())
    return ends


def join(tail, head, start: int) -> dict[str, object]:
    """Add up the ends of two neighbouring batches, and post that piece."""
    shape = (len(separator.targets), separator.manifest.channels, segments.OVERLAP)
    both = np.empty((2, *shape), np.float32)
    tail.assign_to(both[0].reshape(-1))
    head.assign_to(both[1].reshape(-1))
    post_piece(start, both.sum(axis=0))
    return {}


def post_piece(start: int, estimates: np.ndarray) -> None:
    """Post a finished stretch (targets, channels, samples) as interleaved 16-bit stems with their waveforms."""
    stems, peaks, loud = {}, {}, {}
    for name, stem in with_aggregates(estimates, separator.targets).items():
        samples, loud[name] = to_int16(stem.T)
        stems[name] = to_js(np.ascontiguousarray(samples).reshape(-1))
        peaks[name] = list(waveform(stem))
    post("piece", start=start, samples=estimates.shape[-1], stems=stems, peaks=peaks, loud=loud)


def waveform(stem: np.ndarray) -> Iterator[float]:
    """The largest magnitude of every PEAK_SAMPLES samples."""
    for begin in range(0, stem.shape[-1], PEAK_SAMPLES):
        yield float(np.abs(stem[:, begin : begin + PEAK_SAMPLES]).max())


def report(fraction: float) -> None:
    post("progress", fraction=fraction)


REQUESTS = {"load": load, "plan": plan, "separate": separate, "join": join}


async def answer(event) -> None:
    request = event.data
    arguments = {name: getattr(request, name) for name in js.Object.keys(request)}
    try:
        result = REQUESTS[arguments.pop("kind")](**arguments)
        if asyncio.iscoroutine(result):
            result = await result
        post("answer", **result)
    except Exception as error:
        # Whatever went wrong, the page must hear of it: nobody else is listening.
        post("error", message=str(error) or type(error).__name__)


xworker.onmessage = create_proxy(answer)
