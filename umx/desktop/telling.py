"""What `umx separate` says: sentences and bars for people, JSON lines for programs."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

from tqdm import tqdm

from ..models import Progress
from .separating import Outcome


class Hearing(Protocol):
    """Hears how songs go, in whatever order."""

    def done(self, song: str, paths: Mapping[str, str], outcome: Outcome) -> None:
        """paths: of the stems, by their titles."""

    def skipped(self, song: str) -> None: ...

    def failed(self, song: str, why: str) -> None:
        """why: a sentence that names the song."""


class Telling(Hearing, Protocol):
    """Says how songs go."""

    def progress(self, song: str) -> Progress:
        """Begin a song, of those that are done one by one. Gives what to call with the fraction of it that is done."""

    def end(self) -> None:
        """Sum up. Not called if the program is stopped."""

    def close(self) -> None: ...


class Sentences:
    """For people: paths of stems on stdout; on stderr bars, what is odd, and at the end which songs failed."""

    def __init__(self, songs: int) -> None:
        self.songs, self.done_songs = songs, 0
        self.failures: list[str] = []
        layout = "{n}/{total} songs |{bar}| {remaining} left"
        self.bar = tqdm(total=songs, bar_format=layout, disable=None if songs > 1 else True)
        self.song: Any = None

    def progress(self, song: str) -> Progress:
        layout = "{desc} {percentage:3.0f}% |{bar}| {remaining} left"
        alone = self.songs == 1
        bar = tqdm(desc=Path(song).stem, total=1.0, bar_format=layout, disable=None, leave=alone)
        self.song = bar
        return lambda done: bar.update(done - bar.n)

    def done(self, song: str, paths: Mapping[str, str], outcome: Outcome) -> None:
        self._next()
        self.done_songs += 1
        for path in paths.values():
            self._say(path, sys.stdout)
        for note in outcome.notes():
            self._say(f"umx: {song} {note}", sys.stderr)

    def skipped(self, song: str) -> None:
        self._next()

    def failed(self, song: str, why: str) -> None:
        self._next()
        self.failures.append(why)
        self._say(f"umx: {why}", sys.stderr)

    def end(self) -> None:
        """Name failures again, which may have been said hours ago."""
        self.close()
        if not self.failures or self.songs == 1:
            return
        say(f"umx: {len(self.failures)} of {self.songs} songs failed:", sys.stderr)
        for why in self.failures:
            say(f"  {why}", sys.stderr)

    def close(self) -> None:
        if self.song is not None:
            self.song.close()
            self.song = None
        self.bar.close()

    def _next(self) -> None:
        if self.song is not None:
            self.song.close()
            self.song = None
        self.bar.update()

    def _say(self, line: str, stream: TextIO) -> None:
        with tqdm.external_write_mode(file=stream):
            say(line, stream)


class Lines:
    """For programs: a JSON object a line on stdout, each with its "event"."""

    def __init__(self, songs: int) -> None:
        self.counts = {"songs": songs, "done": 0, "skipped": 0, "failed": 0}

    def progress(self, song: str) -> Progress:
        last = -1

        def report(fraction: float) -> None:
            nonlocal last
            if int(100 * fraction) > last:
                last = int(100 * fraction)
                self._say("progress", song=song, fraction=round(fraction, 4))

        return report

    def done(self, song: str, paths: Mapping[str, str], outcome: Outcome) -> None:
        self._count("done")
        self._say(
            "done",
            song=song,
            stems=dict(paths),
            seconds=round(outcome.seconds, 3),
            limited_samples=outcome.loud,
            damaged_from=outcome.broken,
        )

    def skipped(self, song: str) -> None:
        self._count("skipped")
        self._say("skipped", song=song)

    def failed(self, song: str, why: str) -> None:
        self._count("failed")
        self._say("failed", song=song, why=why)

    def end(self) -> None:
        self._say("end", **self.counts)

    def close(self) -> None:
        pass

    def _count(self, what: str) -> None:
        self.counts[what] += 1

    def _say(self, event: str, **fields: object) -> None:
        say(json.dumps({"event": event, **fields}), sys.stdout)


TELLINGS: Mapping[bool, Callable[[int], Telling]] = {False: Sentences, True: Lines}
"""By whether JSON is wanted; called with the number of songs."""


def say(line: str, stream: TextIO) -> None:
    """Print a line; a closed pipe is no error."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        # The line is still in the stream, and flushing it at the end of the program would fail again.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
