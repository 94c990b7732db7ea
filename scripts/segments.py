"""Compare songs cut into segments with undivided ones: `python3 scripts/segments.py SONG …`.

Prints the table of docs/segments.md. For each length and overlap it has the signal-to-noise ratio in dB against the
undivided song's estimates, mean over songs and targets, and the work as a multiple of the undivided song's.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common import environment

LENGTHS = (150, 300, 600, 1200)  # frames
OVERLAPS = (0.25, 0.5, 1.0)  # seconds
RATE, HOP = 44100, 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("songs", nargs="+", type=Path, metavar="SONG")
    parser.add_argument("--model", default="umx-mini")
    parser.add_argument(
        "--seconds", type=float, default=60, help="of each song (default: %(default)s)"
    )
    args = parser.parse_args()
    environment.need("numpy", "platformdirs", "soundfile", "soxr")
    sys.path.insert(0, str(environment.ROOT))
    import numpy as np

    from umx import segments
    from umx.desktop.song import read
    from umx.format.library import find_model, load_model
    from umx.separator import Separator
    from umx.types import Float

    separator = Separator(load_model(find_model(args.model)))
    songs = [read(path, RATE)[:, : round(args.seconds * RATE)] for path in args.songs]
    wholes = [next(separator.process(song[np.newaxis])) for song in songs]
    print("| frames | overlap | SNR | work |\n| --- | --- | --- | --- |")
    for frames in LENGTHS:
        for seconds in OVERLAPS:
            overlap = round(seconds * RATE)
            ratios, work = [], 0
            for song, whole in zip(songs, wholes, strict=True):
                cutting = replace(separator.cutting, segment=frames * HOP, overlap=overlap)
                batches = segments.plan(song.shape[1], cutting)
                starts = [start for batch in batches for start in batch.starts]
                joiner = segments.Joiner(overlap)
                stretches: list[Float] = []
                for batch in batches:
                    found = separator.process(segments.cut(song, batch))
                    for index, segment in enumerate(found):
                        estimates = segments.keep(segment, batch, index)
                        first, last = not stretches, len(stretches) == len(starts) - 1
                        segments.fade(estimates, overlap, first, last)
                        stretches.append(joiner.add(estimates, last))
                        work += batch.span
                joined = np.concatenate(stretches, axis=-1)[..., : song.shape[1]]
                noise = np.linalg.norm(joined - whole, axis=(1, 2))
                ratios += [20 * np.log10(np.linalg.norm(whole, axis=(1, 2)) / noise)]
            cost = work / sum(song.shape[1] for song in songs)
            print(
                f"| {frames} | {seconds:.2f} s | {np.mean(ratios):.1f} dB | {cost:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
