"""Measure `umx separate --dask` on this computer: `.venv/bin/python scripts/cluster.py`.

Songs of a minute are separated without a cluster, and on clusters of one worker and of two, by as many threads as the
table says; in rounds, so that a machine that becomes slower does so for all rows. The best round counts. Songs that
aren't there tell what each costs beside its work: the program, the scheduler, a worker's answer.
Needs dask.distributed; other work on the machine shows at once. Results: docs/cluster.md.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.bench import song
from scripts.common import environment

SECONDS = 60
TITLES = ("vocals", "drums", "bass", "melody", "karaoke")


class Counting:
    """Counts songs, as what hears how they go."""

    def __init__(self) -> None:
        self.done_songs = self.failures = 0

    def done(self, song: str, paths: Mapping[str, str], outcome: Any) -> None:
        self.done_songs += 1

    def skipped(self, song: str) -> None:
        pass

    def failed(self, song: str, why: str) -> None:
        self.failures += 1


def main(argv: list[str] | None = None) -> int:
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--songs", type=int, default=8, help="default: %(default)s")
    top.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    top.add_argument("--missing", type=int, default=1000, help="default: %(default)s")
    top.add_argument("--model", default="umx-mini", help="name or folder (default: %(default)s)")
    args = top.parse_args(argv)
    environment.need("numpy", "mutagen", "platformdirs", "soundfile", "soxr", "tqdm")
    try:
        from distributed import LocalCluster
    except ImportError:
        sys.exit("dask.distributed is missing: pip install distributed")
    cores = len(os.sched_getaffinity(0))
    rows = dict.fromkeys([(0, 1), (0, cores), (1, 1), (2, 1), (1, cores)])
    music: dict[tuple[int, int], list[float]] = {row: [] for row in rows}
    nothing: dict[tuple[int, int], list[float]] = {row: [] for row in rows}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        one = song(folder, SECONDS)
        songs = [folder / f"{number}.wav" for number in range(args.songs)]
        for path in songs:
            path.hardlink_to(one)
        missing = [folder / f"missing {number}.wav" for number in range(args.missing)]
        out = folder / "stems"
        for number, (row, times) in product(range(args.rounds), music.items()):
            workers, threads = row
            print(f"round {number + 1}: {workers} workers, {threads} threads", file=sys.stderr)
            if not workers:
                times.append(alone(args.model, threads, songs, out))
                continue
            quiet = {"silence_logs": logging.CRITICAL, "dashboard_address": None}
            with LocalCluster(n_workers=workers, threads_per_worker=1, **quiet) as cluster:
                timed(cluster, args.model, threads, songs[:workers], out)  # the engine starts
                times.append(timed(cluster, args.model, threads, songs, out))
                nothing[row].append(timed(cluster, args.model, threads, missing, out))
    print(
        "| workers | threads each | seconds a second of music (worst) | a song that isn't there |"
    )
    print("| --- | --- | --- | --- |")
    for (workers, threads), times in music.items():
        least, most = (each(times) / (args.songs * SECONDS) for each in (min, max))
        idle = nothing[workers, threads]
        each = f"{1000 * min(idle) / args.missing:.1f} ms" if idle else "–"
        name = workers or "no cluster"
        print(f"| {name} | {threads} | {least:.4f} ({most:.4f}) | {each} |")
    return 0


def alone(model: str, threads: int, songs: Iterable[Path], out: Path) -> float:
    """Seconds for the songs, one after the other, in this process."""
    from umx.desktop.audio import FORMS
    from umx.desktop.separating import Shape, separate_song
    from umx.separator import Separator

    separator = Separator(model, threads=threads)
    begun = time.perf_counter()
    for path in songs:
        places = {title: out / f"{path.stem} - {title}.wav" for title in TITLES}
        separate_song(path, separator, places, Shape(FORMS["wav"]["16"]), lambda fraction: None)
    return time.perf_counter() - begun


def timed(cluster: Any, model: str, threads: int, songs: Iterable[Path], out: Path) -> float:
    """Seconds for the songs on a cluster, from the connection to the last answer."""
    from umx.desktop.audio import FORMS
    from umx.desktop.cluster import Job, SeparatorPlugin, run
    from umx.desktop.separating import Shape
    from umx.format.library import find_model, load_model

    plugin = SeparatorPlugin(load_model(find_model(model)), (), False, threads)
    shape = Shape(FORMS["wav"]["16"])
    jobs = (
        Job(str(path), {title: f"{out}/{path.stem} - {title}.wav" for title in TITLES}, shape)
        for path in songs
    )
    begun = time.perf_counter()
    run(cluster.scheduler_address, jobs, plugin, Counting())
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
