#!/usr/bin/env python3
"""Score a model on songs whose stems are known.

    python3 scripts/evaluate.py SONGS --model umx-mini

SONGS is a folder with one folder a song, as in MUSDB18-HQ: mixture.wav, vocals.wav, drums.wav, bass.wav, other.wav.
Targets whose file is missing or silent are not scored. The signal-to-distortion ratio in dB is given for

  mixture  the mixture taken for the estimate
  mask     the model's masks with the mixture's phase
  wiener   the model as it is used, with the Wiener filter
  oracle   the ratio mask that the true stems make: no model that masks magnitudes gets much further

in two measures: "plain" is 10·log10(|s|²/|s − ŝ|²) over a whole song; "bss" is the median over seconds of BSS eval v4,
as published scores are. Tables show the mean over songs of the first and the median of the
second, with the smallest and the largest.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import environment
import required_python  # noqa: F401

if __name__ == "__main__":
    environment.need("numpy", "soundfile", "soxr")
sys.path.insert(0, str(environment.ROOT))

import numpy as np
from numpy.typing import NDArray

from umx import stft
from umx.kernels import Engine, choose
from umx.separator import Separator
from umx.song import read
from umx.types import Complex, Float
from umx.weights import Model, find_model, load_model

SILENCE = 1e-4  # a stem with no sample above this is not there
METHODS = ("mixture", "mask", "wiener", "oracle")
Ratios = NDArray[np.float64]  # in dB
MEASURES = ("plain", "bss")
Scores = dict[str, dict[str, dict[str, float]]]  # method, target, measure


class MixturePhase:
    """An engine that leaves the Wiener filter out: estimates are masks times the mixture."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)

    def wiener(self, masks: Float, mixture: Complex, complete: bool) -> Iterator[Complex]:
        yield masks * mixture


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("songs", type=Path)
    parser.add_argument("--model", default="umx-mini", help="a model's name or folder")
    parser.add_argument(
        "--seconds", type=float, help="score only so much from the middle of each song"
    )
    parser.add_argument("--json", type=Path, help="write every song's scores to this file")
    options = parser.parse_args()
    model = load_model(find_model(options.model))
    folders = sorted(path.parent for path in options.songs.glob("*/mixture.wav"))
    if not folders:
        parser.error(f"{options.songs} has no song: no folder in it holds a mixture.wav.")
    targets = list(model.targets)
    songs = {}
    for folder in folders:
        found = score(load(folder, model, options.seconds), model)
        songs[folder.name] = found
        print(f"{folder.name}\n{table({folder.name: found}, targets)}\n", flush=True)
    print(f"{len(songs)} songs, model {model.manifest.name}")
    print(table(songs, targets))
    if options.json:
        result = {"model": model.manifest.name, "songs": songs}
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def load(folder: Path, model: Model, seconds: float | None) -> dict[str, Float]:
    """The mixture and those stems that are there and sound, each float32 (2, samples)."""
    audio = {}
    for name in ("mixture", *model.targets):
        path = folder / f"{name}.wav"
        if name == "mixture" or path.exists():
            audio[name] = read(path, model.manifest.sample_rate)
    samples = min(x.shape[1] for x in audio.values())
    length = min(samples, round(seconds * model.manifest.sample_rate)) if seconds else samples
    start = (samples - length) // 2
    audio = {name: x[:, start : start + length] for name, x in audio.items()}
    return {name: x for name, x in audio.items() if name == "mixture" or np.abs(x).max() > SILENCE}


def score(audio: dict[str, Float], model: Model) -> Scores:
    """One song's scores."""
    mixture = audio["mixture"]
    stems = {name: x for name, x in audio.items() if name != "mixture"}
    if not stems:
        return {method: {} for method in METHODS}
    engine = choose()
    estimates = {
        "mixture": dict.fromkeys(stems, mixture),
        "mask": separate(model, cast(Engine, MixturePhase(engine)), mixture),
        "wiener": separate(model, engine, mixture),
        "oracle": oracle(mixture, stems, complete=len(stems) == len(model.targets)),
    }
    true = np.stack(list(stems.values()))
    scores: Scores = {}
    for method in METHODS:
        found = np.stack([estimates[method][name] for name in stems])
        rate = model.manifest.sample_rate
        values = {"plain": plain(true, found), "bss": bss_eval(true, found, rate)}
        scores[method] = {
            target: {name: float(v[i]) for name, v in values.items() if np.isfinite(v[i])}
            for i, target in enumerate(stems)
        }
    return scores


def separate(model: Model, engine: Engine, mixture: Float) -> dict[str, Float]:
    separator = Separator(model, engine)
    return dict(zip(separator.targets, separator.separate(mixture), strict=True))


def oracle(mixture: Float, stems: dict[str, Float], complete: bool) -> dict[str, Float]:
    """The mixture under the mask |S| / Σ|S|; where stems are missing, what they leave counts as one more."""
    rest = [] if complete else [mixture - sum(stems.values())]
    spectra = [stft.stft(x) for x in (*stems.values(), *rest)]
    total = sum(np.abs(s) for s in spectra) + 1e-10
    mixed = stft.stft(mixture)
    return {
        name: stft.istft((np.abs(s) / total * mixed).astype(np.complex64), mixture.shape[1])
        for name, s in zip(stems, spectra, strict=False)
    }


def plain(stems: Float, estimates: Float) -> Ratios:
    """10·log10 of the stems' energy over the errors', a target each."""
    energy = np.square(stems, dtype=np.float64).sum(axis=(1, 2))
    error = np.square(stems - estimates, dtype=np.float64).sum(axis=(1, 2))
    ratios: Ratios = 10 * np.log10(energy / np.maximum(error, 1e-20))
    return ratios


def bss_eval(stems: Float, estimates: Float, rate: int) -> Ratios:
    """The median over seconds of BSS eval v4's SDR, a target each; nan where there is no second to judge.

    Its distortion filters cancel out of this ratio (not out of SIR and SAR), so that nothing remains to be solved:
    it is the plain ratio of each second, as `museval.evaluate` gives it. As there, seconds count for no target in
    which one of them, or its estimate, is silent. Vincent et al., TASLP 2006; Stöter et al., LVA/ICA 2018.
    """
    seconds = stems.shape[-1] // rate
    ratios = np.full((len(stems), seconds), np.nan)
    for i in range(seconds):
        part = slice(i * rate, (i + 1) * rate)
        true, found = stems[..., part], estimates[..., part]
        if true.any(axis=(1, 2)).all() and found.any(axis=(1, 2)).all():
            ratios[:, i] = plain(true, found)
    known = np.isfinite(ratios).all(axis=0)
    if not known.any():
        return np.full(len(stems), np.nan)
    medians: Ratios = np.median(ratios[:, known], axis=1)
    return medians


def table(songs: dict[str, Scores], targets: Sequence[str]) -> str:
    """A line for every method and measure, a column for every target, and the mean over targets."""
    lines = [f"{'':16}" + "".join(f"{name:>24}" for name in targets) + f"{'mean':>8}"]
    for method in METHODS:
        for measure in MEASURES:
            columns = [column(songs, method, target, measure) for target in targets]
            cells = "".join(f"{cell(values, measure):>24}" for values in columns)
            middle = np.nanmean([summary(values, measure) for values in columns])
            lines.append(f"{method + ' ' + measure:16}" + cells + f"{middle:8.2f}")
    return "\n".join(lines)


def column(songs: dict[str, Scores], method: str, target: str, measure: str) -> np.ndarray:
    """The scores of the songs that have them, (songs,)."""
    scores = [song[method].get(target, {}).get(measure) for song in songs.values()]
    return np.array([score for score in scores if score is not None])


def summary(values: np.ndarray, measure: str) -> float:
    if not len(values):
        return np.nan
    return float(np.median(values) if measure == "bss" else np.mean(values))


def cell(values: np.ndarray, measure: str) -> str:
    """The summary, and the range where there is one; a dash where nothing was scored."""
    if not len(values):
        return "–"
    text = f"{summary(values, measure):.2f}"
    return f"{text} ({values.min():.2f} … {values.max():.2f})" if len(values) > 1 else text


if __name__ == "__main__":
    main()
