"""Average checkpoints of one training.

    python3 -m scripts.train.average INTO FOLDER FOLDER…

writes INTO/<target>.pth, the mean of the weights in <target>.pth of the folders: copies of WORK/model made on the way,
the one of step 0 among them. Once longer training improves known songs and no unknown ones, the mean is better on the
unknown ones than any of its parts (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from umx.format.convert import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("into", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    for target in TARGETS:
        paths = [folder / f"{target}.pth" for folder in options.folders]
        states = [torch.load(path, weights_only=True) for path in paths]
        torch.save(average(states), options.into / f"{target}.pth")


def average(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor. Raises ValueError for checkpoints of trainings that began differently."""
    first = states[0]
    for state in states:
        if not torch.equal(state["bn1.running_mean"], first["bn1.running_mean"]):
            raise ValueError(
                "These are checkpoints of different trainings, whose mean is no network."
            )
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


if __name__ == "__main__":
    main()
