"""A worker of the pool: the engine in Pyodide, asked by messages.

Each request is answered by one message of kind "answer" or "error". Before it may come "progress" (a fraction of the
request) and "piece" (a finished stretch of every stem, a Blob of the samples of one WAV file after the other).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import js
import numpy as np
import pyodide_js
from numpy.typing import NDArray
from polyscript import xworker
from pyodide.ffi import JsBuffer, JsException, create_proxy, to_js

from shared.facts import MODEL_SCHEME, SAMPLE_RATE, SONGS_FOLDER
from umx import level as levels
from umx import segments
from umx.errors import CodedError, WeightsError
from umx.format.library import Model
from umx.format.manifest import Manifest
from umx.kernels import Engine, blas, choose
from umx.names import KARAOKE, MANIFEST, RESIDUAL, VOCALS, title_of
from umx.separator import Separator
from umx.signal.samples import CHANNELS, make_finite
from umx.stems import named as stems_of
from umx.types import Complex, Float
from worker import fetching, storage, unpacking

PEAK_SAMPLES = 2205
"""Samples that a step of the waveform stands for: a twentieth of a second."""

MEASURES = 10_000
"""How many of the engine's calls are found in the performance timeline: an hour of music has more."""

STARTED = 0.7
"""How much of the time before a worker is ready goes by until its first line runs."""

TRIAL = 6
"""Seconds of noise by which a worker's speed is measured, where segments may be so short."""

separator: Separator | None = None
preview_separator: Separator | None = None
"""The small model's separator. It is there only as long as previews are made."""


def post(kind: str, **content: object) -> None:
    """Post a message to the page. Arrays go there as they are, and are no longer here; Blobs are shared."""
    message = to_js({"kind": kind, **content}, dict_converter=js.Object.fromEntries)
    arrays = [value.buffer for value in content.values() if isinstance(value, JsBuffer)]
    xworker.postMessage(message, to_js(arrays))


async def fetch(
    url: str, cache: str, report: Callable[[float], None] = lambda fraction: None
) -> Any:
    """The file at an address, a Blob; cache, report: as `fetching.fetch` takes them. Raises WeightsError."""
    if url.startswith(MODEL_SCHEME):
        return await storage.model_file(url)
    return await fetching.fetch(url, cache, report)


async def load(url: str, files: Any) -> dict[str, object]:
    """Fetch a model's folder and make a separator of it, in place of the one before.

    Answers with the engine's name, the manifest, and how songs are cut for the model, see `models.Cutting`.

    files: those of its files that the page has fetched already, Blobs by name.
    """
    try:
        return await fetch_model(url, "default", files)
    except WeightsError:
        # The browser may have kept a damaged file, or some of another version than the rest.
        return await fetch_model(url, "reload", None)


async def fetch_model(url: str, cache: str, files: Any) -> dict[str, object]:
    global separator, preview_separator
    separator = preview_separator = None  # so that two large models are never in memory at once
    separator = await brought(url, cache, files, report)
    return {
        "engine": engine().name,
        "manifest": separator.manifest.text(),
        "cutting": asdict(separator.cutting),
    }


async def brought(
    url: str,
    cache: str,
    files: Any,
    tell: Callable[[float], None],
    known: Engine | None = None,
) -> Separator:
    """A separator of a model's folder.

    cache: as `fetching.fetch` takes it; files: as `load` does; tell: called as `report` is; known: the engine, where it
    is chosen.
    """
    text = await (await fetch(url + MANIFEST, cache)).text()
    manifest = Manifest.parse(text, url + MANIFEST)
    if manifest.sample_rate != SAMPLE_RATE:
        raise WeightsError(
            "weights.rate", "{model} is a model for {rate} Hz; the page works at {own} Hz.",
            model=url, rate=manifest.sample_rate, own=SAMPLE_RATE,
        )  # fmt: skip
    fractions = {entry.file: 0.0 for entry in manifest.files}

    def report_part(file: str, fraction: float) -> None:
        fractions[file] = fraction
        tell(STARTED + (1 - STARTED) * sum(fractions.values()) / len(fractions))

    async def bring(file: str) -> Any:
        here = getattr(files, file, None)
        return here or await fetch(url + file, cache, partial(report_part, file))

    blobs = {entry.file: asyncio.create_task(bring(entry.file)) for entry in manifest.files}
    try:
        # The downloads start now, and go on while the engine is chosen and other files are unpacked.
        await asyncio.sleep(0)
        made = Separator(Model(manifest, {}), known or await choose_engine())
        for entry in manifest.files:
            # One at a time: the engine packs its own copy, and the file's copy is freed.
            blob = await blobs.pop(entry.file)
            async with unpacking.opened(blob, entry, manifest) as tensors:
                made.add(entry.targets, tensors)
    finally:
        for task in blobs.values():
            task.cancel()
        await asyncio.gather(*blobs.values(), return_exceptions=True)
    return made


async def in_charge(preview: str) -> Separator:
    """The separator of the model; or that of the small model at an address, for a preview.

    The small one is let go as soon as the model has work to do. Raises WeightsError where it can't be had.
    """
    global preview_separator
    assert separator is not None
    if not preview:
        preview_separator = None
        return separator
    if preview_separator is None:
        preview_separator = await brought(preview, "default", None, lambda done: None, engine())
    return preview_separator


async def cutting(preview: str) -> dict[str, object]:
    """How songs are cut for a small model, see `models.Cutting`."""
    return {"cutting": asdict((await in_charge(preview)).cutting)}


class Timed:
    """An engine whose calls are found in the worker's performance timeline, under the names of its functions."""

    def __init__(self, engine: Engine):
        self.engine, self.name, self.threads = engine, engine.name, engine.threads
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return partial(self.timed, name, getattr(self.engine, name))

    def wiener(self, masks: Float, mixture: Complex, complete: bool = False) -> Iterator[Complex]:
        estimates = self.engine.wiener(masks, mixture, complete)
        while (some := self.timed("wiener", next, estimates, None)) is not None:
            yield some

    def timed(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        start = js.performance.now()
        result = function(*arguments)
        options = {"start": start, "end": js.performance.now()}
        if self.calls % MEASURES == 0:
            js.performance.clearMeasures()
        self.calls += 1
        js.performance.measure(name, to_js(options, dict_converter=js.Object.fromEntries))
        return result


async def choose_engine() -> Engine:
    """The fastest engine, timed; OpenBLAS is fetched only where the SIMD kernel is of no use."""
    engine = choose()
    if engine.name == "numpy":
        await pyodide_js.loadPackage("openblas")
        if not blas.LIBRARY.exists():
            # Fail rather than fall back to plain numpy, which takes hours; another try takes seconds.
            raise WeightsError(
                "weights.no-openblas",
                "OpenBLAS can't be fetched: the network is gone, or the server.",
            )
        engine = choose()
    return Timed(engine)


def measure(windows: Any, length: int) -> dict[str, object]:
    """The level of a song, from its `planning.windows`: Float32Array of (windows, channels, length)."""
    audio = np.empty(windows.length, np.float32)
    windows.assign_to(audio)
    make_finite(audio)
    meter = levels.Meter()
    for window in audio.reshape(-1, 2, length):
        meter.add(window)
    return {"level": meter.level}


def try_out() -> dict[str, object]:
    """Separate some seconds of noise. Answers with the seconds that a second of a song takes."""
    assert separator is not None
    cutting = separator.cutting
    samples = cutting.segment if cutting.fixed else TRIAL * SAMPLE_RATE
    gained = samples - cutting.overlap if cutting.fixed else samples
    shape = 1, CHANNELS, samples
    noise = np.random.default_rng(0).standard_normal(shape, np.float32) / np.float32(10)
    begun = time.perf_counter()
    for _ in separator.process(noise, report):
        pass
    return {"seconds": (time.perf_counter() - begun) * SAMPLE_RATE / gained}


def engine() -> Engine:
    """The one that the model was loaded for."""
    assert separator is not None
    return separator.engine


def choose_targets(whole: Separator, stems: Sequence[str]) -> Separator:
    """A separator for those of a model's targets that are wanted; for all of them if none is."""
    wanted = [target for target in whole.targets if target in stems]
    return whole.only(wanted) if 0 < len(wanted) < len(whole.targets) else whole


async def separate(
    mixture: Any,
    batch: Any,
    first: bool,
    last: bool,
    level: float,
    stems: Any,
    excerpt: Any,
    sample_kind: str,
    folder: str,
    preview: str = "",
) -> dict[str, object]:
    """Separate one batch, posting its pieces as they are finished.

    mixture: Float32Array of (segments, channels, span); batch: a `segments.Batch`; first, last: whether it begins or
    ends the song.
    level: the song's, as `measure` says it.
    stems: the targets that are wanted; sample_kind: as `encode` takes it; excerpt, folder: as `post_piece` takes them;
    preview: as `in_charge` takes it.
    Answers with the faded ends that its neighbours must be added to, "head" and "tail", where it has neighbours:
    Float32Array of (targets, channels, overlap).
    """
    chosen = choose_targets(await in_charge(preview), list(stems))
    work = segments.Batch(tuple(batch.starts), batch.length, tuple(batch.cuts), batch.span)
    starts, overlap = work.starts, chosen.cutting.overlap
    audio = np.empty((len(starts), CHANNELS, work.span), np.float32)
    mixture.assign_to(audio.reshape(-1))
    make_finite(audio)
    factor = np.float32(levels.gain(level))
    audio *= factor
    joiner = segments.Joiner(overlap)
    ends = {}
    finished = process(chosen, audio)
    for index, start in enumerate(starts):
        estimates = segments.keep(next(finished), work, index)
        estimates /= factor
        opens, closes = index == 0, index == len(starts) - 1
        segments.fade(estimates, overlap, first and opens, last and closes)
        stretch = joiner.add(estimates, last and closes)
        if opens and not first:
            ends["head"] = to_js(stretch[..., :overlap].reshape(-1).copy())
            stretch, start = stretch[..., overlap:], start + overlap
        await post_piece(start, stretch, chosen, excerpt, sample_kind, folder)
        if closes and not last:
            ends["tail"] = to_js(estimates[..., -overlap:].reshape(-1).copy())
        del estimates, stretch  # before the next ones come
    return ends


def process(chosen: Separator, audio: Float) -> Iterator[Float]:
    """The estimates of each segment, one at a time where there is no memory for all in lockstep."""
    done = 0
    try:
        estimates = chosen.process(audio, report)
        while done < len(audio):
            yield next(estimates)
            done += 1
    except MemoryError:
        if len(audio) == 1:
            raise
    # Outside the handler: there, the exception's traceback still holds the arrays.
    for index in range(done, len(audio)):
        yield from chosen.process(audio[index : index + 1])


async def join(
    tail: Any,
    head: Any,
    start: int,
    stems: Any,
    excerpt: Any,
    sample_kind: str,
    folder: str,
    preview: str = "",
) -> dict[str, object]:
    """Add up the ends of two neighbouring batches, and post that piece."""
    chosen = choose_targets(await in_charge(preview), list(stems))
    shape = (len(chosen.targets), CHANNELS, chosen.cutting.overlap)
    both = np.empty((2, *shape), np.float32)
    tail.assign_to(both[0].reshape(-1))
    head.assign_to(both[1].reshape(-1))
    await post_piece(start, both.sum(axis=0), chosen, excerpt, sample_kind, folder)
    return {}


async def post_piece(
    start: int, estimates: Float, chosen: Separator, excerpt: Any, sample_kind: str, folder: str
) -> None:
    """Post a finished stretch (targets, channels, samples): a Blob of one stem's samples after the other's, and the
    stems' waveforms.

    start: its first sample in the song; chosen: the separator of the estimates; excerpt: begin and end of what is
    wanted of the song, in samples; the stretch is trimmed to it, and the piece's start counts from that begin; folder:
    where the song's pieces are kept on the device. Where there is none, or no room, the Blob is in memory.
    """
    begin, end = excerpt
    estimates = estimates[..., max(0, begin - start) : max(0, end - start)]
    start = max(0, start - begin)
    if not estimates.shape[-1]:
        return
    stems, peaks, loud = [], {}, {}
    for name, stem in named(estimates, chosen).items():
        samples, loud[name] = encode(stem, sample_kind)
        stems.append(samples)
        peaks[name] = [round(peak, 3) for peak in engine().peaks(stem, PEAK_SAMPLES).tolist()]
    file = await stored(folder, f"{start} {js.crypto.randomUUID()}", *stems) if folder else None
    post(
        "piece",
        start=start,
        samples=estimates.shape[-1],
        stems=list(peaks),
        blob=file or js.Blob.new(to_js(stems)),
        file=file.name if file else "",
        peaks=peaks,
        loud=loud,
    )


async def stored(folder: str, name: str, *parts: NDArray[np.uint8]) -> Any:
    """A song's piece as a File on the device, or None where it can't be written."""
    try:
        place = await storage.folder(SONGS_FOLDER, folder)
        try:
            return await storage.write(place, name, *parts)
        except (JsException, OSError):
            await storage.remove(place, name)
    except JsException:
        pass  # the song's folder is gone, or the browser keeps nothing any more
    return None


async def write(folder: str, name: str, text: str) -> dict[str, object]:
    """Write a text file into a song's folder."""
    file = await stored(folder, name, np.frombuffer(text.encode(), np.uint8))
    return {"written": file is not None}


def named(estimates: Float, chosen: Separator) -> dict[str, Float]:
    """A separator's estimates by the names of their stems. Beside the vocals alone, karaoke is the rest."""
    stems = stems_of(estimates, chosen.targets, chosen.manifest.targets)
    if VOCALS not in stems:
        stems.pop(KARAOKE, None)
    if RESIDUAL in stems:
        rest = stems.pop(RESIDUAL)
        if list(chosen.targets) != [VOCALS, RESIDUAL]:
            stems[title_of(RESIDUAL)] = rest
    return stems


def encode(audio: Float, kind: str) -> tuple[NDArray[np.uint8], int]:
    """Float (channels, samples) as the bytes of a WAV file, and how many samples are louder than full scale.

    kind: "16" and "24" bits are limited to it, "float" isn't.
    """
    samples, loud = engine().to_int16(audio)
    if kind == "16":
        return samples.reshape(-1).view(np.uint8), loud
    audio = np.ascontiguousarray(audio.T)
    if kind == "float":
        return audio.reshape(-1).view(np.uint8), loud
    steps = np.clip(np.rint(audio.astype(np.float64) * 2**23), -(2**23), 2**23 - 1).astype("<i4")
    return steps.reshape(-1, 1).view(np.uint8)[:, :3].reshape(-1), loud


def decode(data: bytes, kind: str) -> Float:
    """What `encode` made, as float32 of one dimension."""
    if kind == "float":
        return np.frombuffer(data, "<f4")
    values: NDArray[np.signedinteger[Any]]
    if kind == "16":
        values, full_scale = np.frombuffer(data, "<i2"), 2**15
    else:
        bytes_of_four = np.zeros((len(data) // 3, 4), np.uint8)
        bytes_of_four[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values, full_scale = bytes_of_four.view("<i4").reshape(-1), 2**31
    samples: Float = np.divide(values, np.float32(full_scale), dtype=np.float32)
    return samples


async def mix(blobs: Any, gains: Any, pans: Any, sample_kind: str) -> dict[str, object]:
    """Add up one piece's stems, Blobs of samples, each times its gain and panned. Answers with the sum's samples."""
    total = np.float32(0)
    for blob, gain, pan in zip(blobs, gains, pans, strict=True):
        audio = decode((await blob.arrayBuffer()).to_bytes(), sample_kind).reshape(-1, 2)
        total = total + audio @ (gain * panner(pan))
    samples, loud = encode(np.ascontiguousarray(total.T), sample_kind)
    return {"samples": to_js(samples), "loud": loud}


def panner(pan: float) -> Float:
    """What (samples, 2) must be multiplied by, (2, 2), to be panned as the page's player does it.

    pan: from -1, left, to 1, right; as the Web Audio API's StereoPannerNode has it for two channels.
    """
    angle = (pan + 1 if pan <= 0 else pan) * np.pi / 2
    near, far = np.sin(angle), np.cos(angle)
    sides = [[1, 0], [far, near]] if pan <= 0 else [[far, near], [0, 1]]
    return np.array(sides, np.float32)


def report(fraction: float) -> None:
    post("progress", fraction=fraction)


def convert(files: Any) -> Awaitable[dict[str, object]]:
    # Imported here: it loads slowly, and few workers ever convert.
    from worker import converting

    return converting.convert(files, report)


def download(name: str) -> Awaitable[dict[str, object]]:
    from worker import converting

    return converting.download(name, report)


def analyse(stems: Any, sample_kind: str) -> Awaitable[dict[str, object]]:
    from worker import analysing

    return analysing.analyse(stems, partial(decode, kind=sample_kind), report)


REQUESTS: dict[str, Callable[..., Any]] = {
    "load": load,
    "try out": try_out,
    "cutting": cutting,
    "measure": measure,
    "separate": separate,
    "join": join,
    "mix": mix,
    "write": write,
    "convert": convert,
    "download": download,
    "analyse": analyse,
}


def is_of_memory(error: Exception) -> bool:
    """Whether there was no memory, Python's or the browser's: "Array buffer allocation failed"."""
    return isinstance(error, MemoryError) or (
        isinstance(error, JsException) and error.name == "RangeError"
    )


async def answer(event: Any) -> None:
    request = event.data
    arguments = {name: getattr(request, name) for name in js.Object.keys(request)}
    try:
        result = REQUESTS[arguments.pop("kind")](**arguments)
        if asyncio.iscoroutine(result):
            result = await result
        # The heap never shrinks: the page replaces workers whose heap has grown.
        post("answer", heap=pyodide_js._module.HEAP8.length, **result)
    except Exception as error:
        # Any error goes to the page: nothing else would report it.
        code, fields = (error.code, error.fields) if isinstance(error, CodedError) else ("", {})
        post(
            "error",
            message=str(error) or type(error).__name__,
            code=code,
            fields={name: str(value) for name, value in fields.items()},
            memory=is_of_memory(error),
        )


xworker.onmessage = create_proxy(answer)
post("progress", fraction=STARTED)
