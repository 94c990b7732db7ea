"""Songs to validate on, as scripts/evaluate.py reads them: none of their sounds is trained on.

    python3 -m scripts.train.validation WORK

writes WORK/scored/rendered/<seed>, the songs that scripts.train.render --held-out has made, with all four stems; and
WORK/scored/real/<name>, eight real songs of the game Frets on Fire, with the lead guitar's own track as `other`. Rhythm
guitars and keyboards lie in the other track of some of them, so these scores tell which of two models is better, and
not how good it is.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from umx.convert import TARGETS

from .mix import RATE, Audio

GAME = "sources/usr/share/games/fretsonfire/data/songs"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work
    for path in sorted((work / "validation").glob("[0-9]*[0-9].npy")):
        stems = np.load(path).astype(np.float32) / 32767
        write(work / "scored" / "rendered" / path.stem, dict(zip(TARGETS, stems, strict=True)))
    for folder in sorted((work / GAME).glob("*/*/")):
        name = folder.name.lower().replace(" ", "_")
        write(work / "scored" / "real" / name, *real(folder))


def real(folder: Path) -> tuple[dict[str, Audio], Audio]:
    """The guitar as `other`, and the band without it, each float32 (2, samples)."""
    tracks = []
    for name in ("guitar", "song"):
        audio, rate = soundfile.read(folder / f"{name}.ogg", dtype="float32", always_2d=True)
        if rate != RATE or audio.shape[1] != 2:
            raise ValueError(
                f"{folder / name}.ogg should be stereo at {RATE} Hz; leave the song out."
            )
        tracks.append(audio.T)
    samples = min(track.shape[1] for track in tracks)
    guitar, band = (track[:, :samples] for track in tracks)
    return {"other": guitar}, band


def write(folder: Path, stems: dict[str, Audio], rest: Audio | None = None) -> None:
    """A song's stems and their sum with `rest` as its mixture, all quieter where that would clip."""
    mixture = sum(stems.values(), start=np.zeros(()) if rest is None else rest)
    gain = 0.99 / max(0.99, float(np.abs(mixture).max()))
    folder.mkdir(parents=True, exist_ok=True)
    for name, audio in {"mixture": mixture, **stems}.items():
        soundfile.write(folder / f"{name}.wav", gain * audio.T, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
