"""Mixtures for training, new in every batch: crops of songs and remixes across songs, as spectra."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from umx.convert import TARGETS

from .mix import RATE
from .model import MAX_BIN

N_FFT, HOP = 4096, 1024
SPEED = 0.15  # at most, up or down, as a logarithm
CLOSE, SPARSE = 512, 4  # there is little power above 5.5 kHz: one bin of four will do at a time


class Batch(NamedTuple):
    """What the networks hear, and what a loss needs to know of it in some of the bins."""

    heard: Tensor  # magnitudes of the mixture, bfloat16 (frames, size, 2, MAX_BIN)
    bins: Tensor  # those that are judged: all below CLOSE, a quarter of the others at twice their level
    mixture: Tensor  # magnitudes, float32 (size, 2, frames, bins)
    stems: Tensor  # magnitudes, float32 (size, 4, 2, frames, bins)
    products: Tensor  # Re(stem · conj(mixture)), as stems


class Songs:
    """The rendered songs of a folder, read where they are needed; `look` finds those that came later.

    Raises FileNotFoundError where there are none.
    """

    def __init__(self, folder: Path, seed: int | Sequence[int]):
        self.folder = folder
        self.r = np.random.default_rng(seed)
        self.look()

    def look(self) -> None:
        paths = sorted(p for p in self.folder.glob("*.npy") if not p.name.endswith(".part.npy"))
        if not paths:
            raise FileNotFoundError(f"{self.folder} has no songs; run scripts.train.render first.")
        self.songs = [np.load(path, mmap_mode="r") for path in paths]

    def batches(self, size: int, frames: int) -> Iterator[Batch]:
        """Without end: stems as they were mixed, then the same stems each from another song."""
        while True:
            crops = [self.crop((frames - 1) * HOP) for _ in range(size)]
            spectra = spectrogram(torch.from_numpy(np.stack(crops)))
            yield self.mixed(spectra)
            shuffled = [spectra[self.r.permutation(size), i] for i in range(len(TARGETS))]
            yield self.mixed(torch.stack(shuffled, dim=1))

    def crop(self, samples: int) -> np.ndarray:
        """A piece of a song, faster or slower than it was, which makes other voices and drums of those in it; here and
        there a stem with its sides swapped: float32 (4, 2, samples)."""
        r = self.r
        song = self.songs[int(r.integers(len(self.songs)))]
        speed = np.exp(r.uniform(-SPEED, SPEED))
        length = min(round(samples * speed), song.shape[-1])
        start = int(r.integers(song.shape[-1] - length + 1))
        crop = np.array(song[..., start : start + length])
        swapped = r.random(len(crop)) < 0.5
        crop[swapped] = crop[swapped, ::-1]
        audio = torch.from_numpy(crop.astype(np.float32) / 32767)
        return functional.interpolate(audio, samples, mode="linear").numpy()

    def mixed(self, spectra: Tensor) -> Batch:
        """A batch of complex stems (size, 4, 2, frames, MAX_BIN), each at a level of its own and equalised, and all of
        them as a lossy codec may leave them."""
        size, targets = spectra.shape[:2]
        gains = self.levels(size, targets) * self.equaliser((size, targets)) * self.codec(size)
        stems = spectra * gains[:, :, None, None]
        mixture = stems.sum(dim=1)
        heard = magnitude(mixture).permute(2, 0, 1, 3).bfloat16()
        every = torch.arange(MAX_BIN)
        bins = every[(every < CLOSE) | ((every + int(self.r.integers(SPARSE))) % SPARSE == 0)]
        weight = torch.where(bins < CLOSE, 1.0, SPARSE**0.5)
        stems, mixture = stems[..., bins] * weight, mixture[..., bins] * weight
        products = stems.real * mixture.real[:, None]
        products.addcmul_(stems.imag, mixture.imag[:, None])
        return Batch(heard, bins, magnitude(mixture), magnitude(stems), products)

    def levels(self, size: int, targets: int) -> Tensor:
        """Gains (size, targets, 1), some of them nothing."""
        gains = self.r.uniform(0.25, 1.25, (size, targets, 1))
        gains[self.r.random((size, targets)) < 0.05] = 0
        return torch.from_numpy(gains * self.r.uniform(0.6, 1.7, (size, 1, 1))).float()

    def equaliser(self, shape: tuple[int, ...]) -> Tensor:
        """Smooth random gains (…, MAX_BIN), about 4 dB up or down."""
        corners = np.log([20, 120, 400, 1200, 3500, 8000, 16000])
        frequency = np.log(np.maximum(np.arange(MAX_BIN) * RATE / N_FFT, 20))
        decibels = np.stack(
            [
                np.interp(frequency, corners, self.r.normal(0, 4, len(corners)))
                for _ in range(int(np.prod(shape)))
            ]
        )
        return torch.from_numpy(10 ** (decibels / 20)).float().reshape(*shape, MAX_BIN)

    def codec(self, size: int) -> Tensor:
        """Now and then nothing above 10 to 16 kHz, as lossy codecs leave it: (size, 1, MAX_BIN)."""
        edge = np.where(self.r.random(size) < 0.15, self.r.integers(930, MAX_BIN, size), MAX_BIN)
        return torch.from_numpy(np.arange(MAX_BIN) < edge[:, None]).float()[:, None]


def spectrogram(audio: Tensor) -> Tensor:
    """Complex (…, frames, MAX_BIN) of audio (…, samples)."""
    window = torch.hann_window(N_FFT)
    out = torch.stft(audio.flatten(0, -2), N_FFT, HOP, window=window, return_complex=True)
    return out[:, :MAX_BIN].mT.unflatten(0, audio.shape[:-1])


def magnitude(spectra: Tensor) -> Tensor:
    """The absolute value; torch's own guards against overflow, and takes five times as long."""
    return (spectra.real.square() + spectra.imag.square()).sqrt_()
