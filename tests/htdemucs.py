"""Tiny HTDemucs networks and a signal for them, from numpy's frozen generator: nothing but answers need be stored."""

import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parent / "parity" / "htdemucs.npz"
"""What the makers' implementation makes of them; `scripts/golden_htdemucs.py` made it."""
FOUR = ("drums", "bass", "other", "vocals")
_BASE: dict[str, Any] = {
    "channels": 8, "depth": 4, "growth": 2, "nfft": 4096, "cac": True, "dconv_mode": 3, "dconv_comp": 8, "t_layers": 3,
    "t_heads": 4, "t_hidden_scale": 2.0, "samplerate": 44100, "use_train_segment": True,
}  # fmt: skip
ARGUMENTS: dict[str, dict[str, Any]] = {
    "four": {**_BASE, "sources": [*FOUR], "bottom_channels": 32, "segment": Fraction(1)},
    "six": {
        **_BASE,
        "sources": [*FOUR, "guitar", "piano"],
        "bottom_channels": 0,
        "segment": Fraction(7, 10),
    },
}
"""What the makers' class is made with."""
OVERLAPS = {"four": 0.25, "six": 0.1}
"""What neighbouring segments of the songs share, of their length."""
STEP = 52
"""Every 52nd number of a long answer is stored."""


def parameter(network: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A plausible random value of a parameter, whatever the order they are asked for in."""
    rng = np.random.RandomState(zlib.crc32(f"{network} {name}".encode()))
    noise = rng.standard_normal(shape)
    if name == "freq_emb.embedding.weight":
        noise = 0.1 * noise
    elif "gamma_" in name or name.endswith(".6.scale"):
        noise = 0.3 * np.exp(0.3 * noise)
    elif len(shape) > 1:
        fan = np.prod(shape) / shape[1 if "conv_tr" in name else 0]
        noise = 1.3 * noise / np.sqrt(fan / (4 if "conv_tr" in name else 1))
    elif name.endswith("weight"):
        noise = np.exp(0.3 * noise)
    else:
        noise = 0.2 * noise
    return noise.astype(np.float16).astype(np.float32)


def state(network: str) -> dict[str, np.ndarray]:
    """The state dict of a tiny network."""
    with np.load(GOLDEN) as golden:
        names, sizes = golden[f"{network}.names"].tolist(), golden[f"{network}.shapes"].tolist()
    shapes = (tuple(map(int, size.split())) for size in sizes)
    return {
        name: parameter(network, name, shape) for name, shape in zip(names, shapes, strict=True)
    }


def odd_state(network: str) -> dict[str, np.ndarray]:
    """The same with a huge weight in every row, beside which integers have few steps left for the others."""
    found = state(network)
    for name, tensor in found.items():
        if tensor.ndim > 1 and "embedding" not in name:
            tensor.reshape(len(tensor), -1)[:, 0] *= 300
    return found


def signal(samples: int, seed: int = 1) -> np.ndarray:
    """Stereo: tones that swell and fade, a click, noise in the right channel; silence at the end."""
    rng = np.random.RandomState(seed)
    t = np.arange(samples) / 44100
    left = 0.3 * np.sin(2 * np.pi * 220 * t) * np.sin(3 * t) ** 2
    left += 0.1 * np.sin(2 * np.pi * 3520 * t)
    right = 0.2 * np.sin(2 * np.pi * 331 * t + 1) + 0.05 * rng.standard_normal(samples)
    audio = np.stack([left, right]).astype(np.float32)
    audio[:, samples // 3] += 0.5
    audio[:, int(0.9 * samples) :] = 0
    return audio
