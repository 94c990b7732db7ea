"""Train the four networks on a graphics card: what takes a processor days takes it minutes.

    python3 -m scripts.train.gpu WORK --minutes 10 [--start weights/umx-mini]

Songs are in the card's memory (stock.py), and the loss is that of loss.py. As train.py does, it writes

  WORK/model/vocals.pth   the running average of the weights, in the official format, float16
  WORK/model/curve.csv    step, seconds, songs; the errors that training saw, in dB: each target's own, then of all
                          targets weighed against each other

The learning rate depends on the share of the minutes that is over, so a run can't be gone on with. Copies of WORK/model
made on the way are worth having: what is best for one target may not be for another.
"""

import argparse
import copy
import csv
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from umx.format.convert import TARGETS
from umx.format.library import load_model

from .dataset import Batch
from .loss import FAINT, FLOOR
from .model import OpenUnmix, official
from .stock import Stock

CARD = "cuda"
BATCH, FRAMES = 128, 128
FIRST_LOOK = 64  # examples to measure by what training leaves as it is
RATE, WARM_UP = 1e-3, 200  # the highest learning rate, and steps until it is reached
LEVEL = 0.3  # of the time before it falls
AVERAGE = 0.999  # of the past in the averaged weights
LOOK, SAVE = 20, 40  # seconds


def train(work: Path, minutes: float, start: Path | None, hidden: int) -> None:
    folder = work / "model"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    stock = Stock(work, 0, CARD)
    model = load_model(start) if start else None
    heard = stock.batch(FIRST_LOOK, FRAMES).heard.cpu()
    networks, optimisers = [], []
    for target in TARGETS:
        network = OpenUnmix(model.manifest.network.hidden_size if model else hidden)
        network.begin(heard, model.networks[target,] if model else None)
        networks.append(network.to(CARD))
        optimisers.append(torch.optim.Adam(learnt(network), RATE, fused=True))
    averaged = copy.deepcopy(networks)
    streams = [torch.cuda.Stream() for _ in TARGETS]
    step, seen = 0, []
    begun = looked = saved = time.monotonic()
    while (now := time.monotonic()) < begun + 60 * minutes:
        if now > looked + LOOK:
            stock.look()
            looked = now
        batch = stock.batch(BATCH, FRAMES)
        # Networks this small leave most of a card idle, so the four run beside each other.
        outputs = []
        for stream, network in zip(streams, networks, strict=True):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                outputs.append(masks(network, batch))
        for stream in streams:
            torch.cuda.current_stream().wait_stream(stream)
        found = errors(torch.stack(outputs, dim=1), batch)
        (torch.log(found + FLOOR) * batch.judged[:, None]).sum(dim=(1, 2)).mean().backward()
        rate = learning_rate((now - begun) / 60 / minutes, step)
        step += 1
        kept = min(AVERAGE, step / (step + 10))
        for network, mean, optimiser in zip(networks, averaged, optimisers, strict=True):
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()
            optimiser.zero_grad()
            with torch.no_grad():
                torch._foreach_lerp_(learnt(mean), learnt(network), 1 - kept)
        seen.append((10 * torch.log10(found.detach() + FLOOR)).mean(dim=0))
        if now > saved + SAVE:
            save(folder, averaged)
            note(folder, step, now - begun, len(stock.seen), torch.stack(seen).mean(dim=0))
            seen.clear()
            saved = now
    save(folder, averaged)


def masks(network: OpenUnmix, batch: Batch) -> Tensor:
    """A target's masks in the bins that are judged, float32 (size, 2, frames, bins)."""
    with torch.autocast(batch.heard.device.type, torch.bfloat16):
        weight, bias = network.head()
        hidden = network.hidden(batch.heard).transpose(0, 1)
        out = hidden[:, None] @ weight[..., batch.bins]
    return torch.relu(out.float() + bias[..., batch.bins])


def errors(found: Tensor, batch: Batch) -> Tensor:
    """Both errors of masks (size, targets, 2, frames, bins), as `loss.errors`: (size, 2, targets)."""
    mixture, axes = batch.mixture[:, None], (2, 3, 4)
    power = mixture.square()
    total = power.sum(dim=axes) + 1e-3
    own = (found * mixture - batch.stems).square().sum(dim=axes)
    shares = found.square() + FAINT
    shares = shares / shares.sum(dim=1, keepdim=True)
    weighed = shares * (shares * power - 2 * batch.products) + batch.stems.square()
    both = torch.stack([own, weighed.sum(dim=axes)], dim=1) / total[:, None]
    return torch.where(batch.judged[:, None] > 0, both, 1.0)


def learning_rate(share: float, step: int) -> float:
    """Rising for WARM_UP steps, level for LEVEL of the time, then falling in a straight line to nothing."""
    return RATE * max(0.0, min(1.0, (step + 1) / WARM_UP, (1 - share) / (1 - LEVEL)))


def learnt(network: OpenUnmix) -> list[Tensor]:
    return [p for p in network.parameters() if p.requires_grad]


def save(folder: Path, networks: Sequence[OpenUnmix]) -> None:
    """Every target's file, replaced at once."""
    for target, network in zip(TARGETS, networks, strict=True):
        state = {name: value.cpu() for name, value in network.state_dict().items()}
        small = {k: v.half() if v.is_floating_point() else v for k, v in official(state).items()}
        unfinished = folder / f"{target}.pth.part"
        torch.save(small, unfinished)
        unfinished.replace(folder / f"{target}.pth")


def note(folder: Path, step: int, seconds: float, songs: int, means: Tensor) -> None:
    """A line of the curve."""
    figures = [f"{figure:.3f}" for figure in means.flatten().tolist()]
    with (folder / "curve.csv").open("a", newline="") as file:
        csv.writer(file).writerow([step, round(seconds), songs, *figures])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--hidden", type=int, default=256, help="size of a network from nothing")
    parser.add_argument("--start", type=Path, help="a model's folder, to go on from its weights")
    options = parser.parse_args()
    train(options.work, options.minutes, options.start, options.hidden)
