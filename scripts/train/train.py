"""Train one target's network.

    python3 -m scripts.train.train WORK vocals --minutes 600 [--start CHECKPOINTS]

writes WORK/model/vocals.pth (the running average of the weights, in the official format), vocals.csv (the curve) and
vocals.resume, from which the same command goes on. The learning rate falls with the minutes, so that the end is the
end on any machine.
"""

import argparse
import copy
import csv
import math
import os
import time
from pathlib import Path

import torch
from torch import Tensor

from .dataset import Songs
from .model import OpenUnmix, official, trimmed
from .render import TARGETS

BATCH, FRAMES = 16, 128
RATE, LAST_RATE, WARM_UP = 7e-4, 1e-5, 40
AVERAGE = 0.995  # of the past in the averaged weights
REPORT = 60  # seconds between lines of the curve


class Training:
    """A network on its way: everything that must survive an interruption."""

    def __init__(self, folder: Path, target: str, hidden: int):
        self.path = folder / f"{target}.resume"
        self.network = OpenUnmix(hidden)
        self.averaged = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.Adam(self.network.parameters(), RATE, foreach=True)
        self.step, self.seconds = 0, 0.0

    def start(self, state: dict[str, Tensor]) -> None:
        self.network.load_state_dict(state)
        self.averaged.load_state_dict(state)

    def load(self) -> None:
        saved = torch.load(self.path, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.averaged.load_state_dict(saved["averaged"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.seconds = saved["step"], saved["seconds"]

    def save(self) -> None:
        """Both files, each replaced at once."""
        _replace(self.path.with_suffix(".pth"), official(self.averaged.state_dict()))
        _replace(
            self.path,
            {
                "network": self.network.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
            },
        )

    def learn(self, mixture: Tensor, wanted: Tensor, progress: float) -> float:
        """One step. Returns the loss."""
        rate = LAST_RATE + (RATE - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * min(1, (self.step + 1) / WARM_UP)
        self.network.train()
        loss = distance(self.network(mixture), wanted, mixture)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        past = min(AVERAGE, self.step / (self.step + 10))
        for mean, now in zip(_numbers(self.averaged), _numbers(self.network), strict=True):
            mean.lerp_(now, 1 - past)
        return loss.item()


def distance(estimate: Tensor, wanted: Tensor, mixture: Tensor) -> Tensor:
    """Squared error over the mixture's power, example by example: a quiet one counts as much as a loud one."""
    axes = (0, 2, 3)
    power = mixture.square().mean(dim=axes) + 1e-4
    return ((estimate - wanted).square().mean(dim=axes) / power).mean()


def train(work: Path, target: str, minutes: float, hidden: int, start: Path | None) -> None:
    index = TARGETS.index(target)
    folder = work / "model"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(index)
    songs = Songs(work / "songs", seed=time.time_ns() % 2**32)
    validation = [Songs(work / "validation", seed).batch(index, 8, 256) for seed in range(6)]
    training = Training(folder, target, hidden)
    if training.path.exists():
        training.load()
    elif start:
        training.start(trimmed(torch.load(start / f"{target}.pth", weights_only=True)))
    else:
        training.network.standardise(songs.batch(index, 200, 32)[0])
    with (folder / f"{target}.csv").open("a", newline="") as file:
        curve = csv.writer(file)
        if file.tell() == 0:
            curve.writerow(["step", "seconds", "songs", "training", "validation"])

        def report(losses: list[float]) -> None:
            with torch.no_grad():
                held = sum(distance(training.averaged(x), y, x).item() for x, y in validation)
            mean = sum(losses) / max(1, len(losses))
            row = (training.step, round(training.seconds), len(songs.songs))
            curve.writerow([*row, f"{mean:.5f}", f"{held / len(validation):.5f}"])
            file.flush()

        losses: list[float] = []
        reported = time.monotonic()
        report(losses)
        while training.seconds < 60 * minutes:
            begun = time.monotonic()
            batch = songs.batch(index, BATCH, FRAMES)
            losses.append(training.learn(*batch, training.seconds / (60 * minutes)))
            training.seconds += time.monotonic() - begun
            if time.monotonic() - reported > REPORT:
                report(losses)
                training.save()
                songs.look()
                losses, reported = [], time.monotonic()
        report(losses)
        training.save()


def _numbers(network: OpenUnmix) -> list[Tensor]:
    return [value for value in network.state_dict().values() if value.is_floating_point()]


def _replace(path: Path, content: object) -> None:
    unfinished = path.with_suffix(path.suffix + ".part")
    torch.save(content, unfinished)
    os.replace(unfinished, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--start", type=Path, help="a folder of checkpoints to begin with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    train(options.work, options.target, options.minutes, options.hidden, options.start)
