"""Songs that tests make, whose parts are known."""

import numpy as np

from umx.types import Float

RATE = 44100
FORMANTS = ((1, 700, 200), (0.6, 1100, 250), (0.3, 2500, 350), (0.2, 3400, 400))
"""Of ah: how loud, where in Hz, how wide."""


def band(seconds: float, seed: int = 0) -> dict[str, Float]:
    """The targets of a song of sorts at 120 beats a minute: float32 (2, samples) by name."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    beat = (2 * time) % 1
    kick = np.sin(np.pi * 60 * beat) * np.exp(-12 * beat)
    hat = rng.standard_normal(len(time)) * np.exp(-30 * ((4 * time) % 1))
    root = 55 * 2 ** (np.array([0, 5, 7, 3])[(time // 2).astype(int) % 4] / 12)
    phase = 2 * np.pi * np.cumsum(root) / RATE
    bass = np.tanh(3 * np.sin(phase)) * np.exp(-beat)
    chord = np.sum([np.sin(ratio * phase) for ratio in (4, 5, 6)], axis=0) / 3
    pitch = 4 * root * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * time))
    sung = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = np.zeros(len(time))
    for k in range(1, 24):
        loudness = sum(a * np.exp(-(((k * pitch - f) / w) ** 2)) for a, f, w in FORMANTS)
        voice += loudness * np.sin(k * sung)
    parts = {
        "vocals": (0.13 * voice, 0.13 * voice),
        "drums": (0.3 * kick + 0.05 * hat, 0.3 * kick + 0.03 * hat),
        "bass": (0.2 * bass, 0.2 * bass),
        "other": (0.12 * chord, 0.08 * chord),
    }
    return {target: np.stack(sides).astype(np.float32) for target, sides in parts.items()}
