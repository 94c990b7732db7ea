"""Train the four networks.

    python3 -m scripts.train.train WORK --steps 20000 [--start weights/umx-mini]

They hear the same mixtures, and each is judged beside the others (loss.py). For each of them are written

  WORK/model/vocals.pth     the running average of the weights, in the official format
  WORK/model/vocals.csv     the curve
  WORK/model/vocals.resume  all that the same command needs to go on after an interruption

The learning rate depends on the step alone: level for four tenths of --steps, then falling to nothing. A run that is
short of time can therefore be stopped and gone on with under a smaller --steps.
"""

import argparse
import copy
import csv
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from math import nan
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from umx.format.convert import TARGETS
from umx.format.library import Model, load_model

from . import loss
from .dataset import Batch, Songs
from .loss import Layers
from .model import OpenUnmix, official

BATCH, FRAMES = 16, 128
VALIDATION = (6, 8, 256)  # batches, examples, frames
FIRST_LOOK = (32, 64)  # examples, frames, to measure by what training leaves as it is
RATE, WARM_UP, LEVEL = 3e-4, 50, 0.3
AVERAGE = 0.997  # of the past in the averaged weights
REPORT, SAVE = 200, 50  # steps between lines of the curve, and between checkpoints
THREADS = 2


class Training:
    """A network on its way: everything that must survive an interruption."""

    def __init__(self, folder: Path, target: str, hidden: int):
        self.path = folder / f"{target}.resume"
        self.network = OpenUnmix(hidden)
        self.averaged = copy.deepcopy(self.network)
        learnt = [p for p in self.network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(learnt, RATE, foreach=True)
        self.step = 0

    def begin(self, mixture: Tensor, model: Model | None) -> None:
        self.network.begin(mixture, model.networks[self.path.stem,] if model else None)
        self.averaged.load_state_dict(self.network.state_dict())

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

    def learn(self, outputs: Layers, gradients: list[Tensor], steps: int) -> None:
        """One step of `steps`, for gradients of a loss by the outputs of the network's layers."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, steps)
        self.optimiser.zero_grad()
        torch.autograd.backward(outputs, gradients)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        past = min(AVERAGE, self.step / (self.step + 10))
        means, now = (list(n.state_dict().values()) for n in (self.averaged, self.network))
        for mean, value in zip(means, now, strict=True):
            if value.is_floating_point():
                mean.lerp_(value, 1 - past)


def learning_rate(step: int, steps: int) -> float:
    """Rising for WARM_UP steps, level until LEVEL of them all, then falling in a straight line to nothing."""
    falling = (steps - step) / (steps * (1 - LEVEL))
    return RATE * min(1.0, (step + 1) / WARM_UP, max(0.0, falling))


class Ensemble:
    """The four trainings, which share mixtures, a loss and some threads."""

    def __init__(self, trainings: list[Training]):
        self.trainings = trainings
        self.pool = ThreadPoolExecutor(THREADS, initializer=_settle)

    def learn(self, batch: Batch, steps: int) -> list[float]:
        """One step of `steps`. Returns each target's error, as `decibels` gives it."""
        outputs = self.outputs(batch, [training.network for training in self.trainings])
        errors, gradients = self.judge(outputs, batch)
        size = len(batch.mixture)

        def update(training: Training, layers: list[Tensor], parts: Iterable[Layers]) -> None:
            training.learn(layers, [sum(part) / size for part in zip(*parts, strict=True)], steps)

        list(self.pool.map(update, self.trainings, outputs, gradients))
        return decibels(errors)

    def validate(self, batches: Iterable[Batch]) -> list[float]:
        """Each target's error with the averaged weights."""
        networks, errors = [training.averaged for training in self.trainings], []
        with torch.no_grad():
            for batch in batches:
                errors.append(self.judge(self.outputs(batch, networks), batch)[0])
        return decibels(torch.cat(errors))

    def outputs(self, batch: Batch, networks: Iterable[OpenUnmix]) -> list[Layers]:
        grad = torch.is_grad_enabled()

        def forward(network: OpenUnmix) -> Layers:
            # Several times as fast as float32 where the processor has bfloat16; the weights stay float32.
            with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16):
                weight, bias = network.head()
                return network.hidden(batch.heard), weight[..., batch.bins], bias[..., batch.bins]

        return list(self.pool.map(forward, networks))

    def judge(self, outputs: list[Layers], batch: Batch) -> tuple[Tensor, list[tuple[Layers, ...]]]:
        """All errors, (examples, 2, targets), and every target's gradients in parts that add up."""
        fixed = [tuple(part.detach() for part in layers) for layers in outputs]
        size = len(batch.mixture)
        shares = [range(i, size, THREADS) for i in range(THREADS)]
        found = list(self.pool.map(lambda share: loss.backward(fixed, batch, share), shares))
        errors, gradients = zip(*found, strict=True)
        return torch.cat(errors), list(zip(*gradients, strict=True))


def decibels(errors: Tensor) -> list[float]:
    """What training lowers: errors over the mixture's power (examples, 2, targets), the mean of their logarithms."""
    return (10 * torch.log10(errors + loss.FLOOR)).mean(dim=(0, 1)).tolist()


def train(work: Path, steps: int, hidden: int, start: Path | None) -> None:
    folder = work / "model"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    _settle()
    number, size, frames = VALIDATION
    held_out = list(islice(Songs(work / "validation", 0).batches(size, frames), number))
    model = load_model(start) if start else None
    hidden = model.manifest.network.hidden_size if model else hidden
    trainings = [Training(folder, target, hidden) for target in TARGETS]
    fresh = not trainings[-1].path.exists()
    if not fresh:
        for training in trainings:
            training.load()
    songs = Songs(work / "songs", trainings[0].step, recorded=work)
    batches = songs.batches(BATCH, FRAMES)
    if fresh:
        mixture = next(songs.batches(*FIRST_LOOK)).heard.float()
        for training in trainings:
            training.begin(mixture, model)
            training.save()
    ensemble = Ensemble(trainings)
    if fresh:
        _note(trainings, 0, len(songs.songs), [nan] * len(TARGETS), ensemble.validate(held_out))
    errors = []
    ahead = ThreadPoolExecutor(1, initializer=_settle)
    coming = ahead.submit(next, batches)
    begun = time.process_time()
    while trainings[0].step < steps:
        batch, coming = coming.result(), ahead.submit(next, batches)
        errors.append(ensemble.learn(batch, steps))
        step = trainings[0].step
        if step % REPORT == 0 or step >= steps:
            spent = time.process_time() - begun
            means = [fmean(column) for column in zip(*errors, strict=True)]
            _note(trainings, spent, len(songs.songs), means, ensemble.validate(held_out))
            errors.clear()
            songs.look()
            begun = time.process_time()
        if step % SAVE == 0 or step >= steps:
            for training in trainings:
                training.save()


def _settle() -> None:
    """A thread's own settings: networks are spread over threads, what they compute is not."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _note(
    trainings: list[Training], seconds: float, songs: int, means: list[float], held_out: list[float]
) -> None:
    """A line of each curve: seconds are of the processor, for all four, since the line before."""
    for training, mean, validation in zip(trainings, means, held_out, strict=True):
        with training.path.with_suffix(".csv").open("a", newline="") as file:
            curve = csv.writer(file)
            if file.tell() == 0:
                curve.writerow(["step", "seconds", "songs", "training", "validation"])
            line = [training.step, round(seconds), songs, f"{mean:.4f}", f"{validation:.4f}"]
            curve.writerow(line)


def _replace(path: Path, content: object) -> None:
    unfinished = path.with_suffix(path.suffix + ".part")
    torch.save(content, unfinished)
    unfinished.replace(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--hidden", type=int, default=256, help="size of a network from nothing")
    parser.add_argument("--start", type=Path, help="a model's folder, to go on from its weights")
    options = parser.parse_args()
    train(options.work, options.steps, options.hidden, options.start)
