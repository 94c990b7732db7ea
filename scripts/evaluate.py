#!/usr/bin/env python3
"""Score a model on songs whose stems are known.

    python3 scripts/evaluate.py SONGS… --model umx-mini

SONGS are folders with one folder a song, as in MUSDB18-HQ: mixture.wav, vocals.wav, drums.wav, bass.wav, other.wav; or
with one folder an artist, in which there is one a song. Targets whose file is missing or silent are not scored. The
signal-to-distortion ratio in dB is given for

  mixture  the mixture, taken for the estimate
  mask     the model's masks with the mixture's phase
  wiener   the model as it is used, with the Wiener filter
  oracle   the ratio mask that the true stems make: no model that masks magnitudes gets much further

in two measures: "plain" is 10·log10(|s|²/|s − ŝ|²) over a whole song; "bss" is the median over seconds of BSS eval v4,
as published scores are. Tables show the mean of "plain" over songs, and the median of "bss", each with the smallest
and the largest. Where there are artists, two more tables follow. One has means of "plain" over each artist's songs, and
over artists, with the interval that holds 95 of 100 such means if songs are drawn anew from each artist's. The other is
about targets that are silent in a song: how far the level of their estimates is below the mixture's.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common import environment

if __name__ == "__main__":
    environment.need("numpy", "platformdirs", "soundfile", "soxr")
sys.path.insert(0, str(environment.ROOT))

import numpy as np
from numpy.typing import NDArray

from umx.desktop.song import read
from umx.format.library import Model, find_model, load_model
from umx.format.manifest import Manifest
from umx.kernels import Engine, choose
from umx.separator import Separator
from umx.signal import stft
from umx.types import Complex, Float

SILENCE = 1e-4  # a stem with no sample above this is not there
METHODS = ("mixture", "mask", "wiener", "oracle")
Ratios = NDArray[np.float64]  # in dB
MEASURES = ("plain", "bss")
BELOW = (
    "below"  # the measure of targets that are silent: the mixture's energy over their estimate's
)
DRAWS = 2000  # of songs, for an interval
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
    parser.add_argument("songs", type=Path, nargs="+")
    parser.add_argument("--model", default="umx-mini", help="a model's name or folder")
    parser.add_argument(
        "--seconds", type=float, help="score only so much from the middle of each song"
    )
    parser.add_argument("--json", type=Path, help="write every song's scores to this file")
    options = parser.parse_args()
    model = load_model(find_model(options.model))
    targets = model.manifest.targets
    scores: dict[str, Scores] = {}
    for root in options.songs:
        paths = [*root.glob("*/mixture.wav"), *root.glob("*/*/mixture.wav")]
        folders = sorted(path.parent for path in paths)
        if not folders:
            parser.error(f"{root} has no song: no folder in it holds a mixture.wav.")
        songs = {}
        for folder in folders:
            name = folder.relative_to(root).as_posix()
            songs[name] = score(load(folder, model.manifest, options.seconds), model)
            print(f"{name}\n{table({name: songs[name]}, targets)}\n", flush=True)
        print(f"{root.name}: {len(songs)} songs, model {model.manifest.name}")
        print(table(songs, targets))
        artists = by_artist(songs)
        if artists:
            print(f"\n{artists_table(artists, targets)}")
        print(flush=True)
        scores |= {f"{root.name}/{name}": found for name, found in songs.items()}
    if options.json:
        result = {"model": model.manifest.name, "songs": scores}
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def load(folder: Path, manifest: Manifest, seconds: float | None) -> dict[str, Float]:
    """The mixture and the stems whose files exist, each float32 (2, samples)."""
    audio = {}
    for name in ("mixture", *manifest.targets):
        path = folder / f"{name}.wav"
        if name == "mixture" or path.exists():
            audio[name] = read(path, manifest.sample_rate)
    samples = min(x.shape[1] for x in audio.values())
    length = min(samples, round(seconds * manifest.sample_rate)) if seconds else samples
    start = (samples - length) // 2
    return {name: x[:, start : start + length] for name, x in audio.items()}


def sounding(audio: dict[str, Float]) -> dict[str, Float]:
    """Those that aren't silent."""
    return {name: x for name, x in audio.items() if np.abs(x).max() > SILENCE}


def score(audio: dict[str, Float], model: Model) -> Scores:
    """Scores of one song."""
    mixture = audio["mixture"]
    stems = {name: x for name, x in audio.items() if name != "mixture"}
    complete = len(stems) == len(model.manifest.targets)
    silent = stems.keys() - sounding(stems).keys()
    stems = sounding(stems)
    if not stems:
        return {method: {} for method in METHODS}
    engine = choose()
    estimates = {
        "mixture": dict.fromkeys(stems, mixture),
        "mask": separate(model, cast(Engine, MixturePhase(engine)), mixture),
        "wiener": separate(model, engine, mixture),
        "oracle": oracle(mixture, stems, complete),
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
        if method in ("mask", "wiener"):
            for target in sorted(silent):
                ratio = plain(mixture[np.newaxis], mixture - estimates[method][target][np.newaxis])
                scores[method][target] = {BELOW: float(ratio[0])}
    return scores


def separate(model: Model, engine: Engine, mixture: Float) -> dict[str, Float]:
    separator = Separator(model, engine)
    return dict(zip(separator.targets, separator.separate(mixture), strict=True))


def oracle(mixture: Float, stems: dict[str, Float], complete: bool) -> dict[str, Float]:
    """The mixture under the mask |S| / Σ|S|. Where stems are missing, the rest of the mixture counts as one more."""
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
    """Markdown: a line for every method and measure, a column for every target, and the mean over targets."""
    lines = [f"{'':16}" + "".join(f"{name:>24}" for name in targets) + f"{'mean':>8}"]
    for method in METHODS:
        for measure in MEASURES:
            columns = [column(songs, method, target, measure) for target in targets]
            cells = "".join(f"{cell(values, measure):>24}" for values in columns)
            middle = np.nanmean([summary(values, measure) for values in columns])
            lines.append(f"{method + ' ' + measure:16}" + cells + f"{middle:8.2f}")
    return "\n".join(lines)


def column(songs: Mapping[Any, Scores], method: str, target: str, measure: str) -> np.ndarray:
    """The scores of the songs that have them, (songs,)."""
    scores = [song[method].get(target, {}).get(measure) for song in songs.values()]
    return np.array([score for score in scores if score is not None])


def summary(values: np.ndarray, measure: str) -> float:
    if not len(values):
        return np.nan
    return float(np.median(values) if measure == "bss" else np.mean(values))


def by_artist(songs: dict[str, Scores]) -> dict[str, list[Scores]]:
    """Songs by the name of their artist's folder, if they lie in one."""
    artists: dict[str, list[Scores]] = {}
    for name, found in songs.items():
        artist, _, song = name.rpartition("/")
        if artist and song:
            artists.setdefault(artist, []).append(found)
    return artists


def artists_table(artists: dict[str, list[Scores]], targets: Sequence[str]) -> str:
    """Plain ratios: a line for every method and artist, and the mean over artists with its interval. Then the levels of
    silent targets' estimates."""
    lines = [f"{'':34}" + "".join(f"{name:>24}" for name in targets) + f"{'mean':>24}"]
    for method in METHODS:
        columns = [
            {a: column(dict(enumerate(songs)), method, t, "plain") for a, songs in artists.items()}
            for t in targets
        ]
        for artist in artists:
            cells = "".join(
                f"{c[artist].mean():24.2f}" if len(c[artist]) else f"{'–':>24}" for c in columns
            )
            lines.append(f"{method + ' ' + artist:34}" + cells)
        drawn = np.stack([draws(list(c.values())) for c in columns])
        means = [np.mean([v.mean() for v in c.values() if len(v)] or np.nan) for c in columns]
        cells = "".join(
            f"{interval(mean, values):>24}"
            for mean, values in zip(
                [*means, np.nanmean(means)], [*drawn, np.nanmean(drawn, axis=0)], strict=True
            )
        )
        lines.append(f"{method + ' over artists':34}" + cells)
    for method in ("mask", "wiener"):
        for target in targets:
            for artist, songs in artists.items():
                below = column(dict(enumerate(songs)), method, target, BELOW)
                if len(below):
                    what = f"{method} {artist}, without {target}"
                    lines.append(f"{what}: {below.mean():.2f} dB below the mixture")
    return "\n".join(lines)


def draws(artists: Sequence[np.ndarray]) -> np.ndarray:
    """Means over artists of means over songs drawn anew, (DRAWS,); nan where there are no songs."""
    r = np.random.default_rng(0)
    known = [songs for songs in artists if len(songs)]
    if not known:
        return np.full(DRAWS, np.nan)
    means = [
        songs[r.integers(len(songs), size=(DRAWS, len(songs)))].mean(axis=1) for songs in known
    ]
    return np.asarray(np.mean(means, axis=0))


def interval(mean: float, drawn: np.ndarray) -> str:
    """The mean, and the interval that holds 95 of 100 draws; a dash where there is none."""
    if not np.isfinite(mean):
        return "–"
    low, high = np.percentile(drawn[np.isfinite(drawn)], [2.5, 97.5])
    return f"{mean:.2f} ({low:.2f} … {high:.2f})"


def cell(values: np.ndarray, measure: str) -> str:
    """The summary, and the range where there is one; a dash where nothing was scored."""
    if not len(values):
        return "–"
    text = f"{summary(values, measure):.2f}"
    return f"{text} ({values.min():.2f} … {values.max():.2f})" if len(values) > 1 else text


if __name__ == "__main__":
    main()
