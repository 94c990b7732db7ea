"""Songs on a cluster of dask.distributed: each a task, long ones several.

The program hands out a few tasks for each thread of the workers at a time, and hears how they went; samples never pass
through it or the scheduler. Workers read songs and write stems themselves, by paths that all of them share or by URLs
that fsspec knows. They write beside a stem's place, under a name of their own, and rename what is whole: so a worker
may die at any time, or be given up while it goes on, and there is never half a stem. A stopped run is taken up by
leaving out what is there.
"""

import ctypes
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import numpy as np
from distributed import Client, Future, WorkerPlugin, as_completed, get_worker
from fsspec.core import url_to_fs

from .. import segments
from ..format.library import Model
from ..separator import Separator
from ..types import Float
from ..version import VERSION
from .audio import AudioError, UnwritableError
from .separating import Outcome, Shape, write_song
from .song import Measure, Song, reason, unreadable
from .telling import Hearing, say

Result = TypeVar("Result")

PART = 600.0
"""Seconds of a song's parts, about. Songs of up to one and a half are one task."""
AHEAD = 4
"""Tasks for each thread of the workers that are handed out at a time."""
RETRIES = 3
"""How often a task that fails, though not by its song, is tried again."""
BLOCK = 1 << 22
"""Bytes of a part's estimates that are read in one go."""
KEPT = 32 << 20
"""Bytes of an array whose memory a worker's process keeps for the next one; glibc knows no more."""
LEFT_OVER = re.compile(r"\.[0-9a-f]{32}(\.\d+)?\.part$")
"""How names end that workers write under."""


@dataclass(frozen=True)
class Job:
    """A song and its stems' places by their titles, as paths or URLs; seconds: of parts, where it is longer."""

    song: str
    places: Mapping[str, str]
    shape: Shape
    seconds: float = PART


class Failed(NamedTuple):
    """A song that can't be separated, whoever tries; why is a sentence."""

    why: str


class SeparatorPlugin(WorkerPlugin):  # type: ignore[misc]
    """Brings a model to every worker, those that join later, too. A worker unpacks it once, for its first song."""

    def __init__(self, model: Model, targets: Sequence[str], residual: bool, threads: int | None):
        self.name = f"umx-{uuid4().hex}"
        self.manifest, self.version = model.manifest, VERSION
        self._model: Model | None = model
        self._options = {"targets": targets, "residual": residual, "threads": threads}
        self._separator: Separator | None = None

    def setup(self, worker: Any) -> None:
        if self.version != VERSION:
            raise RuntimeError(f"{worker.address} has umx {VERSION}, and not {self.version}.")
        keep_memory()
        self._lock = Lock()

    @contextmanager
    def separator(self) -> Iterator[Separator]:
        """The separator, for one song at a time: it has threads of its own, and takes much memory for each song."""
        with self._lock:
            if self._separator is None:
                assert self._model
                self._separator = Separator(self._model, **self._options)  # type: ignore[arg-type]
                self._model = None
            yield self._separator


def keep_memory() -> None:
    """Have freed memory used again, as usual where the C library is glibc.

    Dask starts workers with a MALLOC_TRIM_THRESHOLD_, so glibc gives every larger array's memory back to the system and
    asks for it anew, page by page. With a small model that doubles the processor's time, see docs/cluster.md.
    """
    trim, use_mmap = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(use_mmap, KEPT)
        library.mallopt(trim, 2 * KEPT)


def separate_task(name: str, job: Job) -> Outcome | Measure | Failed:
    """Separate a song, or measure one that is to be separated in parts. name: the plugin's."""

    def separate(song: Song, plugin: SeparatorPlugin, folder: Path) -> Outcome | Measure:
        if song.samples > 1.5 * job.seconds * song.rate:
            return song.measure
        with plugin.separator() as separator:
            estimates = separator.stream(song.blocks(), song.samples, song.level)
            return write(job, song, estimates, separator, folder)

    return _with_song(name, job, None, separate)


def part_task(name: str, job: Job, measure: Measure, number: int, count: int) -> str | Failed:
    """Separate the part of this number. Returns the place of its estimates, float32 (samples, targets · channels)."""

    def separate(song: Song, plugin: SeparatorPlugin, folder: Path) -> str:
        local = folder / "part"
        with plugin.separator() as separator, local.open("wb") as file:
            # A song of few batches has fewer parts: the last are empty then.
            for part in segments.split(song.samples, separator.cutting, count)[number:][:1]:
                blocks = _from(song.blocks(), part.first)
                for stretch in separator.stream_part(blocks, part, song.level):
                    file.write(np.ascontiguousarray(stretch.reshape(-1, stretch.shape[-1]).T).data)
        beside = next(iter(job.places.values()))
        place = f"{beside}.{uuid4().hex}.{number}.part"
        _put(local, place)
        return place

    return _with_song(name, job, measure, separate)


def join_task(
    name: str, job: Job, measure: Measure, parts: Sequence[str | Failed]
) -> Outcome | Failed:
    """Write the stems of a song whose parts are there."""
    for part in parts:
        if isinstance(part, Failed):
            return part

    def join(song: Song, plugin: SeparatorPlugin, folder: Path) -> Outcome:
        with plugin.separator() as separator:
            targets = len(separator.targets)
            read = (_read_part(part, targets) for part in parts if isinstance(part, str))
            estimates = segments.join(read, separator.cutting.overlap)
            return write(job, song, estimates, separator, folder)

    return _with_song(name, job, measure, join)


def write(
    job: Job, song: Song, estimates: Iterable[Float], separator: Separator, folder: Path
) -> Outcome:
    """Write a song's stems to the worker's own disk, and from there to their places."""
    local = {title: folder / f"{n}.stem" for n, title in enumerate(job.places)}
    available = separator.manifest.targets
    outcome = write_song(song, estimates, separator.targets, available, local, job.shape)
    parts = {}
    for title, place in job.places.items():
        parts[title] = f"{place}.{uuid4().hex}.part"
        _put(local[title], parts[title])
    for title, place in job.places.items():
        _move(parts[title], place)
    return outcome


def _with_song(
    name: str,
    job: Job,
    measure: Measure | None,
    act: Callable[[Song, SeparatorPlugin, Path], Result],
) -> Result | Failed:
    """What `act` returns for the song, the plugin and a folder on the worker's disk; Failed if the song is at fault."""
    worker = get_worker()
    plugin: SeparatorPlugin = worker.plugins[name]
    with TemporaryDirectory(dir=worker.local_directory) as folder:
        path = Path(job.song)
        try:
            if "://" in job.song:
                path = Path(folder) / path.name
                _get(job.song, path)
            with Song(path, plugin.manifest.sample_rate, measure) as song:
                return act(song, plugin, Path(folder))
        except UnwritableError:
            raise  # another worker may have room
        except AudioError as error:
            return Failed(str(error.naming(song=job.song)))


def _from(blocks: Iterable[Float], first: int) -> Iterator[Float]:
    """A song's blocks from a sample on."""
    for block in blocks:
        if first < block.shape[1]:
            yield block[:, first:]
        first = max(0, first - block.shape[1])


def _read_part(place: str, targets: int) -> Iterator[Float]:
    system, path = url_to_fs(place)
    frame = 8 * targets
    with system.open(path, "rb") as file:
        while data := file.read(BLOCK // frame * frame):
            flat = np.frombuffer(data, np.float32).reshape(-1, 2 * targets)
            yield flat.T.reshape(targets, 2, -1)


def _get(place: str, local: Path) -> None:
    system, path = url_to_fs(place)
    try:
        system.get_file(path, str(local))
    except FileNotFoundError as error:
        raise unreadable(place, reason(error)) from error


def _put(local: Path, place: str) -> None:
    system, path = url_to_fs(place)
    system.makedirs(path.rpartition("/")[0], exist_ok=True)
    system.put_file(str(local), path)


def _move(source: str, target: str) -> None:
    system, path = url_to_fs(source)
    system.mv(path, url_to_fs(target)[1])


def run(
    address: str,
    jobs: Iterable[Job],
    plugin: SeparatorPlugin,
    telling: Hearing,
    skip_existing: bool = False,
) -> int:
    """Have every job done. address: of the scheduler. Returns how many songs failed.

    Raises OSError where there is no scheduler, or no longer, and whatever keeps workers from taking the plugin.
    """
    folders = Folders()
    with Client(address) as client:
        client.register_plugin(plugin)
        if not client.nthreads():
            say(f"umx: {address} has no workers yet; the songs wait for them.", sys.stderr)
        failures = Run(client, plugin, telling).all(_missing(jobs, folders, skip_existing, telling))
        folders.tidy()
        client.unregister_worker_plugin(plugin.name)
    return failures


def _missing(
    jobs: Iterable[Job], folders: "Folders", skip_existing: bool, telling: Hearing
) -> Iterator[Job]:
    """The jobs whose stems aren't all there, or every one."""
    for job in jobs:
        names = [folders.has(place) for place in job.places.values()]
        if skip_existing and all(names):
            telling.skipped(job.song)
        else:
            yield job


class Run:
    """Hands out jobs, no more at a time than keep the workers busy, and tells how they went."""

    def __init__(self, client: Client, plugin: SeparatorPlugin, telling: Hearing):
        self.client, self.plugin, self.telling = client, plugin, telling
        self.jobs: dict[Future, Job] = {}
        self.parts: dict[Future, list[Future]] = {}  # of songs that are being joined
        self.completed = as_completed()
        self.failures = 0

    def all(self, jobs: Iterator[Job]) -> int:
        self.hand_out(jobs)
        for future in self.completed:
            self.take(future)
            self.hand_out(jobs)
        return self.failures

    def hand_out(self, jobs: Iterator[Job]) -> None:
        most = AHEAD * max(1, sum(self.client.nthreads().values()))
        for job in islice(jobs, max(0, most - len(self.jobs))):
            self.submit(job, separate_task, job)

    def submit(self, job: Job, task: Callable[..., Any], *arguments: object) -> Future:
        future = self.client.submit(task, self.plugin.name, *arguments, pure=False, retries=RETRIES)
        self.jobs[future] = job
        self.completed.add(future)
        return future

    def take(self, future: Future) -> None:
        """Tell how a task went, or go on with a song that is long."""
        job = self.jobs.pop(future)
        for part in self.parts.pop(future, ()):
            if part.status == "finished" and isinstance(place := part.result(), str):
                _remove(place)
        if future.status != "finished":
            # A task without an error was cancelled, by whoever rules the scheduler.
            error = future.exception() if future.status == "error" else None
            why = f"{type(error).__name__}: {error}" if error else f"its task was {future.status}"
            self.failed(job, f"{job.song} can't be separated: {why}")
        elif isinstance(found := future.result(), Measure):
            self.split(job, found)
        elif isinstance(found, Failed):
            self.failed(job, found.why)
        else:
            self.telling.done(job.song, job.places, found)

    def split(self, job: Job, measure: Measure) -> None:
        rate = self.plugin.manifest.sample_rate
        count = round(measure.samples / rate / job.seconds)
        parts = [
            self.client.submit(
                part_task,
                *(self.plugin.name, job, measure, number, count),
                pure=False,
                retries=RETRIES,
                priority=1,
            )
            for number in range(count)
        ]
        self.parts[self.submit(job, join_task, job, measure, parts)] = parts

    def failed(self, job: Job, why: str) -> None:
        self.failures += 1
        self.telling.failed(job.song, why)


class Folders:
    """What is in the folders of stems. Each is listed once: asking for a million files takes far longer."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def has(self, place: str) -> bool:
        folder, _, name = place.rpartition("/")
        if folder not in self._names:
            self._names[folder] = set(_list(folder))
        return name in self._names[folder]

    def tidy(self) -> None:
        """Remove what workers have left that died."""
        for folder in self._names:
            for name in _list(folder):
                if LEFT_OVER.search(name):
                    _remove(f"{folder}/{name}")


def _list(folder: str) -> list[str]:
    system, path = url_to_fs(folder)
    system.invalidate_cache(path)
    try:
        return [name.rstrip("/").rpartition("/")[2] for name in system.ls(path, detail=False)]
    except FileNotFoundError:
        return []


def _remove(place: str) -> None:
    system, path = url_to_fs(place)
    try:
        system.rm_file(path)
    except FileNotFoundError:
        return
