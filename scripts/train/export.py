"""Put trained checkpoints into weights/.

    python3 -m scripts.train.export WORK [--scores SCORES.json]

converts WORK/model/<target>.pth into weights/umx-mini. SCORES.json is what scripts/evaluate.py --json wrote about these
very weights: export once, evaluate, and export again to have the scores in the manifest.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from umx.format.convert import TARGETS, convert
from umx.models.openunmix.official import SIGNAL

ROOT = Path(__file__).resolve().parents[2]
CARD = {
    "name": "umx-mini",
    "title": "umx-mini, a small first model",
    "licence": "CC-BY-SA-4.0",
    "credit": "Trained by the umx project on freely licensed recordings, and on music synthesised from such "
    "instruments and voices.",
    "source": "",
    "sample_rate": 44100,
}
NOTE = (
    "SDR in dB on recorded songs, the mean over artists. UMX-L is far better: use it where you can."
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--folder", type=Path, default=ROOT / "weights" / CARD["name"])
    parser.add_argument("--scores", type=Path, metavar="SCORES.json")
    options = parser.parse_args()
    checkpoints = {(target,): options.work / "model" / f"{target}.pth" for target in TARGETS}
    fields = CARD | (quality(options.scores) if options.scores else {})
    manifest = convert(checkpoints, options.folder, "fine", SIGNAL, **fields)
    size = sum(entry.size for entry in manifest.files)
    print(f"{options.folder}: {size / 1e6:.1f} MB")


def quality(path: Path) -> dict[str, Any]:
    """The manifest's fields on quality: plain SDR with the Wiener filter on recorded songs, the mean over artists.

    Raises ValueError where no scores are of songs in folders of their artists.
    """
    artists: dict[str, list[Any]] = {}
    for name, scores in json.loads(path.read_text("utf-8"))["songs"].items():
        folders = name.split("/")
        if len(folders) == 3:  # the set, the artist, the song; others are synthesised
            artists.setdefault(folders[1], []).append(scores)
    if not artists:
        raise ValueError(f"{path} has no scores of recorded songs, in a folder an artist.")

    def mean(method: str, target: str) -> float:
        known = [
            [
                song[method][target]["plain"]
                for song in songs
                if "plain" in song[method].get(target, {})
            ]
            for songs in artists.values()
        ]
        return fmean(fmean(scores) for scores in known if scores)

    figures = {target: round(mean("wiener", target), 2) for target in TARGETS}
    return {"quality": figures, "quality_note": NOTE}


if __name__ == "__main__":
    main()
