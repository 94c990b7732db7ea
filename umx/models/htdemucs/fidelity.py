"""Fidelity of a network in integers: the signal-to-noise ratio of its stems against those that its floats make.

Weights are the loudest source of error, and how loud depends on how they are spread: within rows, and over what the
activations need. No statistic of the weights alone tells it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...format.safetensors import Tensors
from ...kernels import choose
from ...kernels.htdemucs import Kernels, Reference
from ...kernels.htdemucs import choose as choose_kernels
from ...level import Meter, gain
from ...types import Float
from .description import SAMPLE_RATE, Network
from .network import Arena, Forward

SAMPLES = SAMPLE_RATE
"""Length of the music that is compared. With floats a second of it takes half a minute in a browser."""
MOST = 120.0
"""dB, where the two hardly differ."""


def fidelity(network: Network, floats: Mapping[str, Float], integers: Tensors) -> float:
    """The signal-to-noise ratio in dB, mean over the stems, from 0 to MOST; 0 also where numbers aren't finite.

    floats: as `fold` returns them; integers: as `quantize` makes them of those.
    """
    engine = choose()
    short = replace(network, segment=min(network.segment, SAMPLES))
    mixture = music(short.segment)

    def estimates(tensors: Tensors, kernels: Kernels) -> Float:
        forward = Forward(short, tensors, engine, kernels, Arena(short))
        return forward.estimate(mixture, range(short.sources))

    with np.errstate(all="ignore"):  # weights of a hostile file may overflow
        right = estimates(floats, Reference(engine.product))
        error = estimates(integers, choose_kernels(engine)) - right
        signal, noise = (np.square(each, dtype=float).sum(axis=(1, 2)) for each in (right, error))
        ratios = 10 * np.log10((signal + 1e-30) / (noise + 1e-30))
    if not np.isfinite(ratios).all():
        return 0.0
    return float(np.clip(ratios.mean(), 0, MOST))


def music(samples: int) -> Float:
    """A song of sorts at the level that networks know, (2, samples): drums, bass, chords and a voice, made here."""
    t = np.arange(samples) / SAMPLE_RATE
    beat, hiss = 2 * t % 1, np.random.default_rng(0).standard_normal((2, samples))

    def tone(frequency: float, wobble: float = 0) -> Any:
        return np.sin(2 * np.pi * frequency * t + wobble * np.sin(2 * np.pi * 5.5 * t))

    kick = tone(60) * np.exp(-12 * beat)
    bass = np.tanh(3 * tone(55)) * np.exp(-beat)
    chord = sum(tone(frequency) for frequency in (220, 277.2, 329.6)) / 3
    voice = sum(tone(number * 440, number / 2) / number for number in range(1, 12))
    middle = 0.3 * kick + 0.2 * bass + 0.1 * voice
    sides = np.array([[0.12], [0.08]]) * chord + 0.03 * hiss * np.exp(-30 * (4 * t % 1))
    song: Float = (middle + sides).astype(np.float32)
    meter = Meter()
    meter.add(song)
    song *= np.float32(gain(meter.level))
    return song
