"""Recorded music to train on.

    python3 -m scripts.train.recorded WORK SONGS

reads the recordings of `sources` from the folder SONGS and from WORK/sources, and writes int16 arrays:

  WORK/songs/<song>-<number>.npy  (4, 2, samples)  pieces of whole songs, mixed and mastered anew
  WORK/stems/<target>/<name>.npy  (2, samples)     single stems, all at one loudness
  WORK/backing/<name>.npy         (2, samples)     music without a voice, of which no stems are known
"""

import argparse
from pathlib import Path

import numpy as np

from umx.format.convert import TARGETS

from . import instruments, mix
from .mix import RATE, Audio, Rng
from .sources import BACKING, DRUM_LOOPS, GUITAR_TAKES, RECORDED, SUNG, Recording, Takes

PIECE = 40 * RATE
LOOPED = 15 * RATE
PAUSE = round(0.15 * RATE)  # between a singer's takes
LOUDNESS = 0.05  # leaves drums room for their peaks
DRIVES = (2.0, 15.0)  # of the amplifiers that a guitar take is played through


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("songs", type=Path)
    options = parser.parse_args()
    work, songs = options.work, options.songs
    for recording in RECORDED:
        name = f"{recording.artist}-{recording.song}"
        if not there(songs, recording):
            print(f"{recording.artist}'s {recording.song} is not in {songs}: left out.")
            continue
        stems = read(songs, recording)
        for target, audio in stems.items():
            save(work / "stems" / target / f"{name}.npy", mix.level(audio, LOUDNESS))
        if recording.whole:
            for number, piece in enumerate(pieces(np.random.default_rng(0), stems)):
                save(work / "songs" / f"{name}-{number:02}.npy", piece)
    for takes in SUNG:
        audio = joined(songs, takes)
        if audio.size:
            save(work / "stems" / "vocals" / f"{takes.name}.npy", repeated(audio))
        else:
            print(f"Takes of {takes.name} are not in {songs}: left out.")
    for path in instruments.sounds(songs, GUITAR_TAKES):
        for number, audio in enumerate(amplified(np.random.default_rng(0), path)):
            save(work / "stems" / "other" / f"{path.stem}-{number}.npy", audio)
    for name in DRUM_LOOPS:
        for path in instruments.sounds(work / "sources", name):
            save(work / "stems" / "drums" / f"{path.stem}.npy", repeated(instruments.read(path)))
    for pattern in BACKING:
        for path in (
            *instruments.sounds(songs, pattern),
            *instruments.sounds(work / "sources", pattern),
        ):
            audio = mix.level(instruments.read(path), LOUDNESS)
            save(work / "backing" / f"{path.stem}.npy", audio)


def read(songs: Path, recording: Recording) -> dict[str, Audio]:
    """The stems that aren't silent, float32 (2, samples), all of one length."""
    tracks = {
        target: [instruments.read(found) for path in paths for found in files(songs, path)]
        for target, paths in recording.stems.items()
    }
    samples = min(track.shape[1] for parts in tracks.values() for track in parts)
    return {
        target: np.sum([track[:, :samples] for track in parts], axis=0)
        for target, parts in tracks.items()
    }


def there(songs: Path, recording: Recording) -> bool:
    """Whether all files of a recording exist."""
    return all(files(songs, path) for paths in recording.stems.values() for path in paths)


def files(songs: Path, path: str) -> list[Path]:
    """Files at a path without its suffix: one, or none."""
    return instruments.sounds(songs, f"{path}.*")[:1]


def pieces(r: Rng, stems: dict[str, Audio]) -> list[Audio]:
    """A song in pieces (4, 2, samples), each with a balance and a master of its own; missing stems are silent."""
    silence = np.zeros_like(next(iter(stems.values())))
    song = np.stack([mix.level(stems.get(target, silence)) for target in TARGETS])
    return [
        mix.master(r, song[..., start : start + PIECE])
        for start in range(0, song.shape[-1] - PIECE // 2, PIECE)
    ]


def joined(songs: Path, takes: Takes) -> Audio:
    """A singer's takes behind each other, all at one loudness, with pauses; no samples where there is none."""
    paths = [path for pattern in takes.files for path in instruments.sounds(songs, pattern)]
    pause = np.zeros((2, PAUSE), np.float32)
    parts = [np.zeros((2, 0), np.float32)]
    for path in paths[takes.every // 2 :: takes.every]:
        audio = instruments.read(path)
        if mix.loudness(audio) > 1e-4:
            parts += [mix.level(audio, LOUDNESS), pause]
    return np.concatenate(parts, axis=1)


def repeated(loop: Audio) -> Audio:
    """A loop again and again, for at least LOOPED samples."""
    return mix.level(np.tile(loop, -(-LOOPED // loop.shape[1])), LOUDNESS)


def amplified(r: Rng, path: Path) -> list[Audio]:
    """A guitar's direct signal, played through some amplifiers."""
    take = instruments.read(path)
    return [mix.level(instruments.amplifier(r, take, drive), LOUDNESS) for drive in DRIVES]


def save(path: Path, audio: Audio) -> None:
    """As int16, quieter where that would clip; the file appears when it is whole."""
    audio = audio / max(1.0, float(np.abs(audio).max()))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part.npy")
    np.save(unfinished, np.rint(32767 * audio).astype(np.int16))
    unfinished.replace(path)


if __name__ == "__main__":
    main()
