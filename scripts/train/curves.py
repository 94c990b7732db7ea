"""Plot how training went.

    python3 -m scripts.train.curves WORK CURVES.svg

draws every WORK/model/<target>.csv: the loss on the batches trained on, and that of the averaged weights on validation.
"""

import argparse
import csv
from pathlib import Path

from umx.format.convert import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("plot", type=Path)
    options = parser.parse_args()
    plot(
        {target: read(options.work / "model" / f"{target}.csv") for target in TARGETS}, options.plot
    )


def read(path: Path) -> dict[str, list[float]]:
    """A curve's columns by name. Raises ValueError for a file without lines."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path} has no lines yet; let scripts.train.train run longer.")
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def plot(curves: dict[str, dict[str, list[float]]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(3 * len(curves), 3), layout="constrained")
    for axis, (target, curve) in zip(axes, curves.items(), strict=True):
        axis.plot(curve["step"], curve["training"], color="tab:gray", label="training")
        axis.plot(curve["step"], curve["validation"], color="tab:blue", label="validation")
        axis.set(title=target, xlabel="step")
    axes[0].set_ylabel("error over the mixture's power, dB")
    axes[0].legend()
    plt.rcParams["svg.hashsalt"] = "umx"  # the same curves give the same file
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
