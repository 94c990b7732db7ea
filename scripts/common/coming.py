"""An official model that weights.py brings while the page is served.

It runs as a process, not as a thread. Converting needs numpy, for which weights.py may start itself again in .venv, and
it would slow down the threads that serve. A process can also be ended at any time: an unfinished model lies in a
`.part` folder, from which the next run goes on.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.common.environment import ROOT
from scripts.common.index import OFFICIAL, WEIGHTS, models

PATIENCE = 5
"""Seconds that weights.py gets to end."""
LINE = 60
"""Columns that the line of progress is drawn in."""


class Coming:
    """A model on its way, for as long as the context lasts. Tells the terminal how far it is."""

    def __init__(self, name: str, weights: Path = WEIGHTS) -> None:
        self.name, self.weights = name, weights
        self.official = OFFICIAL[name]
        self.process: subprocess.Popen[str] | None = None
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.is_stopped = self.is_drawn = False
        self.fraction = 0.0
        self.seconds_left: float | None = None

    def __enter__(self) -> "Coming":
        if self.name in {model["name"] for model in models(self.weights)}:
            return self
        licence, source = self.official["licence"], self.official["source"]
        print(
            f"{self.official['title']} comes in the background ({licence}, {source}).", flush=True
        )
        script = ROOT / "scripts" / "weights.py"
        words = ["--weights", str(self.weights), "get", self.name, "--as-json"]
        self.process = subprocess.Popen(
            ["nice", "-n", "10", sys.executable, str(script), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,  # Ctrl-C and a closed terminal reach this process alone, which ends the other
        )
        self.reader.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if not self.process:
            return
        self.is_stopped = True
        self.send(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.send(signal.SIGKILL)
        self.reader.join(PATIENCE)

    def send(self, number: int) -> None:
        """Send a signal to weights.py, if it is still at work, and to the pip that it may have started."""
        assert self.process
        with suppress(ProcessLookupError):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)

    def entry(self) -> dict[str, Any] | None:
        """The model's entry in the index while it is on its way; after that None."""
        if not self.process or not self.reader.is_alive():
            return None
        return {
            "name": self.name,
            **{k: self.official[k] for k in ("title", "licence", "quality", "size", "unpacked")},
            "coming": self.fraction,
            "seconds_left": self.seconds_left,
        }

    def read(self) -> None:
        """Read the output of weights.py until it ends, and print how it ended."""
        assert self.process
        assert self.process.stdout
        reason = ""
        for line in self.process.stdout:
            try:
                said = json.loads(line)
                self.fraction, self.seconds_left = said["fraction"], said["seconds_left"]
            except (ValueError, TypeError, KeyError):
                # Its own error begins with its name. Without one, the last line says most.
                if not reason.startswith("weights.py: "):
                    reason = line.strip() or reason
            else:
                self.draw()
        code = self.process.wait()
        if self.is_stopped:
            return
        if self.is_drawn:
            print(f"\r{'':{LINE}}\r", end="")
        if code == 0:
            print(f"{self.official['title']} is here.", flush=True)
        else:
            reason = reason.removeprefix("weights.py: ").rstrip(".:")
            print(f"{reason}. The page does without it; start again to go on.", flush=True)

    def draw(self) -> None:
        """Draw one line over itself, on a terminal."""
        if self.is_stopped or not sys.stdout.isatty():
            return
        text = f"{self.official['title']}: {100 * self.fraction:.0f} %"
        if self.seconds_left is not None:
            text += f", {duration(self.seconds_left)} left"
        print(f"\r{text:{LINE}}", end="", flush=True)
        self.is_drawn = True


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
