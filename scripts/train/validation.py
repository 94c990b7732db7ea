"""Songs to validate on, as scripts/evaluate.py reads them: none of their sounds is trained on.

    python3 -m scripts.train.validation WORK SONGS

SONGS is the folder of recorded songs that `sources.JUDGED` names; what isn't there is left out. It writes

  WORK/scored/rendered/<seed>              the songs that scripts.train.render --held-out has made
  WORK/scored/recorded/<artist>/<window>   windows of recorded songs in which all their parts play, as they are and
                                           mastered, limited and as loud as records are
  WORK/validation/<artist>-<song>.npy      a window of each song, for the curve that training writes

Songs of the game Frets on Fire are among the recorded ones, with the lead guitar's own track as `other`. Rhythm guitars
and keyboards lie in the other track of some of them, so these scores tell which of two models is better, and not how
good it is.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from umx.format.convert import TARGETS

from . import instruments, mix
from .mix import RATE, Audio
from .recorded import read, save, there
from .sources import JUDGED

GAME = "sources/usr/share/games/fretsonfire/data/songs"
REST = "rest"  # what sounds beside the targets that are known
WINDOW = 12 * RATE
HOP = 2 * RATE
WINDOWS = 4  # of a song at most
PLAYING = 0.25  # a part plays where its rms is at least so much of its loudness in the whole song
LOUD = 0.28  # rms of a mastered window, -11 dB


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("songs", type=Path)
    options = parser.parse_args()
    work, songs = options.work, options.songs
    for path in sorted((work / "validation").glob("[0-9]*[0-9].npy")):
        stems = np.load(path).astype(np.float32) / 32767
        write(work / "scored" / "rendered" / path.stem, dict(zip(TARGETS, stems, strict=True)))
    recorded = work / "scored" / "recorded"
    for recording in JUDGED:
        if not there(songs, recording):
            print(f"{recording.artist}'s {recording.song} is not in {songs}: left out.")
            continue
        stems = read(songs, recording)
        stems |= {target: np.zeros_like(stems["drums"]) for target in recording.silent}
        judge(recorded / recording.artist, recording.song, stems, WINDOWS)
        start = windows(stems, 1)[0]
        window = [stems[target][:, start : start + WINDOW] for target in TARGETS]
        path = work / "validation" / f"{recording.artist}-{recording.song}.npy"
        save(path, mastered(dict(zip(TARGETS, window, strict=True))))
    for folder in sorted((work / GAME).glob("*/*/")):
        judge(recorded / folder.parent.name, folder.name.lower().replace(" ", "_"), game(folder), 1)


def game(folder: Path) -> dict[str, Audio]:
    """A song of the game: the guitar as `other`, and the band without it, each float32 (2, samples)."""
    tracks = [instruments.read(folder / f"{name}.ogg") for name in ("guitar", "song")]
    samples = min(track.shape[1] for track in tracks)
    return {"other": tracks[0][:, :samples], REST: tracks[1][:, :samples]}


def judge(folder: Path, song: str, stems: dict[str, Audio], number: int) -> None:
    """Write a song's windows, each of them twice."""
    for start in windows(stems, number):
        window = {name: audio[:, start : start + WINDOW] for name, audio in stems.items()}
        name = f"{song}-{start // RATE:03}"
        write(folder / name, window)
        write(folder / f"{name}-mastered", dict(zip(window, mastered(window), strict=True)))


def windows(stems: dict[str, Audio], number: int) -> list[int]:
    """Where windows start in which all parts play, at most so many that don't overlap: those first whose quietest part
    is loudest beside its loudness in the song. A song without such a window gives the best that it has."""
    parts = [audio for audio in stems.values() if audio.any()]
    starts = range(0, max(1, parts[0].shape[1] - WINDOW + 1), HOP)
    usual = [mix.loudness(part) for part in parts]

    def quietest(start: int) -> float:
        window = slice(start, start + WINDOW)
        rms = [float(np.sqrt(np.square(part[:, window]).mean())) for part in parts]
        return min(now / ever for now, ever in zip(rms, usual, strict=True))

    playing = {start: quietest(start) for start in starts}
    best = sorted(starts, key=lambda start: (-playing[start], start))
    found = best[:1]
    for start in best[1:]:
        apart = all(abs(start - other) >= WINDOW for other in found)
        if len(found) < number and apart and playing[start] > PLAYING:
            found.append(start)
    return sorted(found)


def mastered(stems: dict[str, Audio]) -> Audio:
    """A window's stems (stems, 2, samples) as loud as records are, under one limiter, so that they still add up."""
    parts = np.stack(list(stems.values()))
    parts *= np.float32(LOUD / max(mix.loudness(parts.sum(axis=0)), 1e-6))
    return parts * mix.limit(parts.sum(axis=0))


def write(folder: Path, stems: dict[str, Audio]) -> None:
    """A song's stems and their sum as its mixture, all quieter where one of them would clip."""
    audio = {"mixture": np.sum(list(stems.values()), axis=0), **stems}
    peak = max(float(np.abs(x).max()) for x in audio.values())
    gain = 0.99 / max(0.99, peak)
    folder.mkdir(parents=True, exist_ok=True)
    for name, x in audio.items():
        if name != REST:
            soundfile.write(folder / f"{name}.wav", gain * x.T, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
