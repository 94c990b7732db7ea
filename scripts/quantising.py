#!/usr/bin/env python3
"""Measure what fewer bits a weight cost: the tables of docs/quantising.md.

    python3 scripts/quantising.py CHECKPOINTS SONGS

CHECKPOINTS is a folder of openunmix's training, SONGS one for scripts/evaluate.py. Where songs have no stems, the noise
is measured, and no SDR.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts.common import environment

if __name__ == "__main__":
    environment.need("numpy", "platformdirs", "soundfile", "soxr")
sys.path.insert(0, str(environment.ROOT))

import numpy as np

from scripts.evaluate import load, sounding
from umx.format import checkpoint
from umx.format.convert import TARGETS
from umx.format.library import Model
from umx.format.manifest import Manifest, WeightFile
from umx.format.packing import pack
from umx.format.quantising import round_weights
from umx.format.safetensors import Tensor, Tensors
from umx.kernels.reference import Numpy
from umx.models.openunmix.convert import coarse, describe, fold, mean_inputs, quantize
from umx.models.openunmix.network import Network, OpenUnmix
from umx.models.openunmix.training_folder import read_folder
from umx.separator import Separator
from umx.signal.stft import stft
from umx.types import Float

BITS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
Folded = Mapping[str, Mapping[str, Float]]
Song = dict[str, Float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("songs", type=Path)
    parser.add_argument(
        "--seconds", type=float, default=12, help="of each song (default: %(default)s)"
    )
    options = parser.parse_args()
    paths, rate, signal = read_folder(options.checkpoints)
    every = [target for (target,) in paths]
    targets = sorted(every, key=[*TARGETS, *sorted(every)].index)
    states = {t: checkpoint.read(paths[t,]) for t in targets}
    texts: dict[str, Any] = dict.fromkeys(
        ("name", "title", "licence", "credit", "source", "preset"), ""
    )
    manifest = Manifest(
        **texts,
        architecture="openunmix",
        sample_rate=rate,
        network=describe(states[targets[0]], **signal),
        files=tuple(WeightFile((t,), "", 0, "", 0, "") for t in targets),
    )
    exact = {t: fold(state) for t, state in states.items()}
    folders = sorted(path.parent for path in options.songs.glob("*/mixture.wav"))
    if not folders:
        parser.error(f"{options.songs} has no song: no folder in it holds a mixture.wav.")
    songs = [sounding(load(folder, manifest, options.seconds)) for folder in folders]
    effects(manifest, exact, songs)
    curve(manifest, exact, {t: mean_inputs(state) for t, state in states.items()}, songs)


def effects(manifest: Manifest, exact: Folded, songs: list[Song]) -> None:
    """Print how loud each matrix's noise is in the masked magnitudes, with steps as large as its typical weight."""
    rng = np.random.default_rng(0)
    network = manifest.network
    magnitudes = [
        np.abs(stft(song["mixture"], network.n_fft, network.hop))[np.newaxis] for song in songs
    ]
    print("| matrix | " + " | ".join(exact) + " | median |\n" + "| --- " * (2 + len(exact)) + "|")
    noise: dict[str, list[float]] = {}
    for folded in exact.values():
        wanted = [masks_applied(network, folded, m) for m in magnitudes]
        level = sum(float(np.square(w).sum()) for w in wanted)
        steps = coarse(folded, 4.0)
        for name, step in steps.items():
            weight = folded[f"{name}.weight"]
            part = np.sqrt(np.mean(step**2 / np.square(weight).mean()))
            moved = weight + rng.uniform(-0.5, 0.5, weight.shape).astype(np.float32) * step[:, None]
            noisy = dict(folded) | {f"{name}.weight": moved}
            got = [masks_applied(network, noisy, m) for m in magnitudes]
            error = sum(float(np.square(g - w).sum()) for g, w in zip(got, wanted, strict=True))
            noise.setdefault(name, []).append(10 * np.log10(error / level / part**2))
    for name, values in noise.items():
        cells = " | ".join(f"{value:.1f}" for value in (*values, np.median(values)))
        print(f"| {name} | {cells} |", flush=True)


def masks_applied(network: Network, tensors: Tensors, magnitude: Float) -> Float:
    layers = OpenUnmix(tensors, network, Numpy())
    (encoded,), _ = layers.encode(magnitude[..., : network.max_bin])
    masked: Float = layers.mask(encoded) * magnitude[0]
    return masked


def curve(manifest: Manifest, exact: Folded, means: Folded, songs: list[Song]) -> None:
    """Print size, noise and SDR by bits a weight."""
    wanted = [separate(manifest, exact, song) for song in songs]
    weights = sum(t.size for f in exact.values() for k, t in f.items() if k.endswith(".weight"))
    print("\n| bits a weight | MB | after gzip | SNR in dB: " + " | ".join(exact), end="")
    print(" | mean | mean SDR |\n" + "| --- " * (5 + len(exact)) + "|")
    unknown = "| " * (2 + len(exact))
    print(f"| 32 | {4e-6 * weights:.1f} {unknown}| {sdr(exact, songs, wanted):.2f} |", flush=True)
    for bits in (None, *reversed(BITS)):
        targets: dict[str, dict[str, Tensor]] = {}
        for target, folded in exact.items():
            if bits:
                steps = coarse(folded, bits)
                targets[target] = round_weights(folded, steps, means[target])
            else:
                targets[target] = quantize(folded, "best", means[target])
        size = sum(pack((target,), tensors)[0].size for target, tensors in targets.items())
        got = [separate(manifest, targets, song) for song in songs]
        ratios = [
            [ratio(*pair) for pair in zip(*stems, strict=True)]
            for stems in zip(wanted, got, strict=True)
        ]
        noise = np.mean(ratios, axis=0)
        cells = " | ".join(f"{value:.1f}" for value in (*noise, noise.mean()))
        print(
            f"| {bits or 8} | {size / 1e6:.1f} | {8 * size / weights:.2f} | {cells} "
            f"| {sdr(exact, songs, got):.2f} |",
            flush=True,
        )


def separate(manifest: Manifest, targets: Mapping[str, Tensors], song: Song) -> Float:
    networks: dict[tuple[str, ...], Tensors] = {(t,): tensors for t, tensors in targets.items()}
    return Separator(Model(manifest, networks), Numpy()).separate(song["mixture"])


def ratio(wanted: Float, got: Float) -> float:
    """10·log10(|s|²/|s − ŝ|²) of two signals."""
    error = np.square(wanted - got, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(wanted, dtype=np.float64).sum() / error))


def sdr(targets: Iterable[str], songs: list[Song], estimates: list[Float]) -> float:
    """The mean over songs and targets."""
    return float(
        np.mean(
            [
                ratio(song[target], estimate)
                for song, stems in zip(songs, estimates, strict=True)
                for target, estimate in zip(targets, stems, strict=True)
                if target in song
            ]
        )
    )


if __name__ == "__main__":
    main()
