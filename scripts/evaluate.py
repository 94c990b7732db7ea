#!/usr/bin/env python3
"""Score a model on songs whose stems are known.

    python3 scripts/evaluate.py SONGS --model umx-mini

SONGS is a folder with one folder a song, as in MUSDB18-HQ: mixture.wav, vocals.wav, drums.wav, bass.wav, other.wav.
Targets whose file is missing are not scored. The signal-to-distortion ratio in dB is given for

  mixture  the mixture taken for the estimate
  mask     the model's masks with the mixture's phase
  wiener   the model as it is used, with the Wiener filter
  oracle   the ratio mask that the true stems make: no model that masks magnitudes gets much further

in two measures: "plain" is 10·log10(|s|²/|s − ŝ|²) over a whole song; "bss" is the median over seconds of BSS eval v4, as
published scores are, where museval is installed. Tables show the mean over songs of the first and the median of the
second, with the smallest and the largest.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from umx import stft
from umx.audio import read
from umx.kernels import Engine, choose
from umx.separator import Separator
from umx.types import Complex, Float
from umx.weights import Model, find_model, load_model

METHODS = ("mixture", "mask", "wiener", "oracle")
Scores = dict[str, dict[str, dict[str, float]]]  # method, target, measure


class MixturePhase:
    """An engine that leaves the Wiener filter out: estimates are masks times the mixture."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)

    def wiener(self, masks: Float, mixture: Complex) -> Complex:
        return masks * mixture


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("songs", type=Path)
    parser.add_argument("--model", default="umx-mini", help="a model's name or folder")
    parser.add_argument("--seconds", type=float, help="score only so much from the middle of each song")
    parser.add_argument("--plain", action="store_true", help="leave BSS eval out: it takes long")
    parser.add_argument("--json", type=Path, help="write every song's scores to this file")
    options = parser.parse_args()
    model = load_model(find_model(options.model))
    folders = sorted(path.parent for path in options.songs.glob("*/mixture.wav"))
    if not folders:
        parser.error(f"{options.songs} has no song: no folder in it holds a mixture.wav.")
    measures = {"plain": plain} | ({} if options.plain else bss_eval())
    songs = {}
    for folder in folders:
        songs[folder.name] = score(load(folder, model, options.seconds), model, measures)
        print(f"{folder.name}\n{table({folder.name: songs[folder.name]})}\n", flush=True)
    print(f"{len(songs)} songs, model {model.manifest.name}\n{table(songs)}")
    if options.json:
        result = {"model": model.manifest.name, "songs": songs}
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def load(folder: Path, model: Model, seconds: float | None) -> dict[str, Float]:
    """The mixture and the stems that are there, each float32 (2, samples)."""
    out = {}
    for name in ("mixture", *model.targets):
        path = folder / f"{name}.wav"
        if name == "mixture" or path.exists():
            out[name] = read(path, model.manifest.sample_rate)
    samples = min(audio.shape[1] for audio in out.values())
    length = min(samples, round(seconds * model.manifest.sample_rate)) if seconds else samples
    start = (samples - length) // 2
    return {name: audio[:, start : start + length] for name, audio in out.items()}


def score(audio: dict[str, Float], model: Model, measures: dict[str, Callable]) -> Scores:
    """One song's scores."""
    mixture = audio["mixture"]
    stems = {name: x for name, x in audio.items() if name != "mixture"}
    engine = choose()
    estimates = {
        "mixture": dict.fromkeys(stems, mixture),
        "mask": separate(model, MixturePhase(engine), mixture),
        "wiener": separate(model, engine, mixture),
        "oracle": oracle(mixture, stems, complete=len(stems) == len(model.targets)),
    }
    return {
        method: {
            name: {measure: f(stem, estimates[method][name]) for measure, f in measures.items()}
            for name, stem in stems.items()
        }
        for method in METHODS
    }


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


def plain(stem: Float, estimate: Float) -> float:
    """10·log10 of the stem's energy over the error's; nan for a silent stem."""
    energy = float(np.square(stem, dtype=np.float64).sum())
    error = float(np.square(stem - estimate, dtype=np.float64).sum())
    return 10 * np.log10(energy / max(error, 1e-20)) if energy > 1e-6 else np.nan


def bss_eval() -> dict[str, Callable[[Float, Float], float]]:
    """The measure "bss", where museval is installed."""
    try:
        import museval
    except ImportError:
        return {}

    def median(stem: Float, estimate: Float) -> float:
        if not stem.any():
            return np.nan
        ratios = museval.evaluate(stem.T[np.newaxis], estimate.T[np.newaxis])[0]
        return float(np.nanmedian(ratios))

    return {"bss": median}


def table(songs: dict[str, Scores]) -> str:
    """A line for every method and measure, a column for every target, and the mean over targets."""
    first = next(iter(songs.values()))
    targets = list(dict.fromkeys(t for s in songs.values() for t in s["wiener"]))
    measures = list(first["wiener"][next(iter(first["wiener"]))])
    lines = [f"{'':16}" + "".join(f"{name:>24}" for name in targets) + f"{'mean':>8}"]
    for method in METHODS:
        for measure in measures:
            columns = [column(songs, method, target, measure) for target in targets]
            cells = "".join(f"{cell(values, measure):>24}" for values in columns)
            middle = np.mean([summary(values, measure) for values in columns])
            lines.append(f"{method + ' ' + measure:16}" + cells + f"{middle:8.2f}")
    return "\n".join(lines)


def column(songs: dict[str, Scores], method: str, target: str, measure: str) -> np.ndarray:
    values = [s[method][target][measure] for s in songs.values() if target in s[method]]
    return np.array([v for v in values if np.isfinite(v)])


def summary(values: np.ndarray, measure: str) -> float:
    if not len(values):
        return np.nan
    return float(np.median(values) if measure == "bss" else np.mean(values))


def cell(values: np.ndarray, measure: str) -> str:
    """The summary, and the range where there is one."""
    text = f"{summary(values, measure):.2f}"
    return f"{text} ({values.min():.2f} … {values.max():.2f})" if len(values) > 1 else text


if __name__ == "__main__":
    main()
