"""Train the networks of one target or several.

    python3 -m scripts.train.train WORK vocals bass --steps 20000 [--start CHECKPOINTS]

Targets trained together hear the same mixtures, which saves making them twice. For each of them are written

  WORK/model/vocals.pth     the running average of the weights, in the official format
  WORK/model/vocals.csv     the curve
  WORK/model/vocals.resume  all that the same command needs to go on after an interruption

The learning rate depends on the step alone: level for six tenths of --steps, then falling to nothing. A run that is
short of time can therefore be stopped and gone on with under a smaller --steps.
"""

import argparse
import copy
import csv
import time
from pathlib import Path

import torch
from torch import Tensor

from umx.convert import TARGETS

from .dataset import Songs
from .model import OpenUnmix, official, trimmed

BATCH, FRAMES = 16, 128
VALIDATION = (6, 8, 256)  # batches, examples, frames
FIRST_LOOK = (200, 32)  # examples, frames, to standardise a new network by
RATE, WARM_UP, LEVEL = 5e-4, 50, 0.6
AVERAGE = 0.995  # of the past in the averaged weights
REPORT, SAVE = 100, 20  # steps between lines of the curve, and between checkpoints


class Training:
    """A network on its way: everything that must survive an interruption."""

    def __init__(self, folder: Path, target: str, hidden: int):
        self.path = folder / f"{target}.resume"
        self.network = OpenUnmix(hidden)
        self.averaged = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.Adam(self.network.parameters(), RATE, foreach=True)
        self.step = 0

    def start(self, state: dict[str, Tensor]) -> None:
        self.network.load_state_dict(state)
        self.averaged.load_state_dict(state)

    def load(self) -> None:
        saved = torch.load(self.path, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.averaged.load_state_dict(saved["averaged"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step = saved["step"]

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
            },
        )

    def learn(self, mixture: Tensor, wanted: Tensor, steps: int) -> float:
        """One step of `steps`. Returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, steps)
        self.network.train()
        # Half as long as in float32 where the processor has bfloat16; the weights stay float32.
        with torch.autocast("cpu", torch.bfloat16):
            estimate = self.network(mixture)
        loss = distance(estimate.float(), wanted, mixture)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        past = min(AVERAGE, self.step / (self.step + 10))
        for mean, now in zip(_numbers(self.averaged), _numbers(self.network), strict=True):
            mean.lerp_(now, 1 - past)
        return loss.item()


def learning_rate(step: int, steps: int) -> float:
    """Rising for WARM_UP steps, level until LEVEL of them all, then falling in a straight line to nothing."""
    falling = (steps - step) / (steps * (1 - LEVEL))
    return RATE * min(1.0, (step + 1) / WARM_UP, max(0.0, falling))


def distance(estimate: Tensor, wanted: Tensor, mixture: Tensor) -> Tensor:
    """Squared error over the mixture's power, example by example: a quiet one counts as much as a loud one."""
    axes = (0, 2, 3)
    power = mixture.square().mean(dim=axes) + 1e-4
    return ((estimate - wanted).square().mean(dim=axes) / power).mean()


def train(work: Path, targets: list[str], steps: int, hidden: int, start: Path | None) -> None:
    indices = [TARGETS.index(target) for target in targets]
    folder = work / "model"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(indices[0])
    batches, size, frames = VALIDATION
    held_out = [Songs(work / "validation", i).batch(indices, size, frames) for i in range(batches)]
    trainings = [Training(folder, target, hidden) for target in targets]
    fresh = not trainings[0].path.exists()
    if not fresh:
        for training in trainings:
            training.load()
    songs = Songs(work / "songs", (indices[0], trainings[0].step))
    if fresh and start:
        for training, target in zip(trainings, targets, strict=True):
            state = torch.load(start / f"{target}.pth", weights_only=True)
            training.start(trimmed(state))
    elif fresh:
        mixture, _ = songs.batch(indices, *FIRST_LOOK)
        for training in trainings:
            training.network.standardise(mixture)

    def validation(training: Training, i: int) -> float:
        with torch.no_grad():
            losses = [distance(training.averaged(x), y[i], x).item() for x, y in held_out]
        return sum(losses) / len(losses)

    for i, training in enumerate(trainings):
        if fresh:
            _note(training, 0, float("nan"), validation(training, i), len(songs.songs))
    losses: list[list[float]] = [[] for _ in targets]
    begun = time.process_time()
    while trainings[0].step < steps:
        mixture, wanted = songs.batch(indices, BATCH, FRAMES)
        for i, training in enumerate(trainings):
            losses[i].append(training.learn(mixture, wanted[i], steps))
        if trainings[0].step % REPORT == 0 or trainings[0].step >= steps:
            spent = time.process_time() - begun
            for i, training in enumerate(trainings):
                mean = sum(losses[i]) / len(losses[i])
                _note(training, spent, mean, validation(training, i), len(songs.songs))
                losses[i].clear()
            songs.look()
            begun = time.process_time()
        if trainings[0].step % SAVE == 0 or trainings[0].step >= steps:
            for training in trainings:
                training.save()


def _note(training: Training, seconds: float, mean: float, held_out: float, songs: int) -> None:
    """A line of the curve: seconds are of the processor, since the line before."""
    with training.path.with_suffix(".csv").open("a", newline="") as file:
        curve = csv.writer(file)
        if file.tell() == 0:
            curve.writerow(["step", "seconds", "songs", "training", "validation"])
        curve.writerow([training.step, round(seconds), songs, f"{mean:.5f}", f"{held_out:.5f}"])


def _numbers(network: OpenUnmix) -> list[Tensor]:
    return [value for value in network.state_dict().values() if value.is_floating_point()]


def _replace(path: Path, content: object) -> None:
    unfinished = path.with_suffix(path.suffix + ".part")
    torch.save(content, unfinished)
    unfinished.replace(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("targets", nargs="+", choices=TARGETS)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--start", type=Path, help="a folder of checkpoints to begin with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    train(options.work, options.targets, options.steps, options.hidden, options.start)
