"""Mixtures for training, new in every batch: crops of songs, recorded stems among them, and remixes across songs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from umx.format.convert import TARGETS
from umx.level import REFERENCE

from .mix import RATE
from .model import MAX_BIN

N_FFT, HOP = 4096, 1024
WINDOW_POWER = 0.375 * N_FFT  # of a Hann window, its squares' sum
VOCALS, BASS, OTHER = (TARGETS.index(target) for target in ("vocals", "bass", "other"))
SPEED = (-0.2, 0.2)  # as logarithms
LOWERED = 0.35  # of the basses are other songs', slower,
LOW = (-0.9, 0.0)  # and so down to an octave lower, as electronic music has them
RECORDED = 0.2  # of the stems are exchanged for a recorded one, where there are any
BACKED = 0.15  # of the examples are a voice over music whose stems nobody knows
FILLED = 0.6  # of the stems that rest are another song's: most mixtures are of all parts
TRIES, AUDIBLE = 4, 0.01  # how often a stem is looked for that sounds, and its rms then
LOUDNESS = 0.1  # rms to which recorded stems are brought, about that of the songs' own stems
BALANCE = 4.0  # dB, standard deviation of a stem's level beside the others
SUNKEN = 0.25  # of the mixtures sink in their bass, as trap does:
SUB = (5.0, 15.0)  # by so many dB more
SILENT = 0.05  # of the stems
LEVEL = 0.35  # standard deviation of the logarithm of mixtures' levels
LOUDER = 10.0  # how much they are raised at most
SHUFFLES = 2  # of the same stems, before others are read
LAYERED = 0.25  # of what is shuffled has the other instruments of two songs
CLOSE, SPARSE = 512, 4  # there is little power above 5.5 kHz: one bin of four will do at a time


class Batch(NamedTuple):
    """The networks' input, and in some of the bins the figures that the loss needs."""

    heard: Tensor  # magnitudes of the mixture, bfloat16 (frames, size, 2, MAX_BIN)
    bins: Tensor  # those that are judged: all below CLOSE, a quarter of the others at twice their level
    mixture: Tensor  # magnitudes, float32 (size, 2, frames, bins)
    stems: Tensor  # magnitudes, float32 (size, 4, 2, frames, bins)
    products: Tensor  # Re(stem · conj(mixture)), as stems
    judged: Tensor  # whether a target's stem is known, float32 (size, 4)


class Songs:
    """The songs of a folder, read when they are needed; `look` finds new ones.

    recorded: a folder that holds `stems` and `backing`, as `scripts.train.recorded` writes them.
    Raises FileNotFoundError where there are no songs.
    """

    def __init__(self, folder: Path, seed: int | Sequence[int], recorded: Path | None = None):
        self.folder = folder
        self.r = np.random.default_rng(seed)
        stems = [_arrays(recorded / "stems" / target) if recorded else [] for target in TARGETS]
        self.stems = dict(enumerate(stems))
        self.backing = _arrays(recorded / "backing") if recorded else []
        self.look()

    def look(self) -> None:
        self.songs = _arrays(self.folder)
        if not self.songs:
            raise FileNotFoundError(f"{self.folder} has no songs; run scripts.train.render first.")

    def batches(self, size: int, frames: int) -> Iterator[Batch]:
        """Yield batches for ever: stems as mixed, then SHUFFLES times the same stems, each from another song."""
        while True:
            crops, backed = zip(
                *(self.example((frames - 1) * HOP) for _ in range(size)), strict=True
            )
            spectra = spectrogram(torch.from_numpy(np.stack(crops)))
            known = ~np.array(backed)
            yield self.mixed(spectra, known)
            for _ in range(SHUFFLES):
                yield self.mixed(*self.shuffled(spectra, known))

    def shuffled(self, spectra: Tensor, known: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Take every stem from another example. Backing as `other` has its own drums and bass, so those are silent."""
        r, size = self.r, len(spectra)
        orders = [r.permutation(size) for _ in TARGETS]
        stems = torch.stack([spectra[order, i] for i, order in enumerate(orders)], dim=1)
        known = known[orders[OTHER]]
        for i in {*range(len(TARGETS))} - {VOCALS, OTHER}:
            stems[torch.from_numpy(~known), i] = 0
        second = torch.from_numpy(known[::-1] & known & (r.random(size) < LAYERED))
        stems[:, OTHER] += second[:, None, None, None] * stems[:, OTHER].flip(0)
        return stems, known

    def example(self, samples: int) -> tuple[np.ndarray, bool]:
        """Stems, some of them recorded, float32 (4, 2, samples), and whether they are a voice over backing.

        Backing stands in the place of other.
        """
        r = self.r
        stems = self.crop(self.songs, samples)
        for i, recorded in self.stems.items():
            if recorded and r.random() < RECORDED:
                stems[i] = self.stem(recorded, samples)
            elif i == BASS and r.random() < LOWERED:
                stems[i] = self.stem([song[i] for song in self.songs], samples, LOW)
            elif rms(stems[i]) < AUDIBLE and r.random() < FILLED:
                stems[i] = self.stem([song[i] for song in self.songs], samples)
        backed = bool(self.backing) and r.random() < BACKED
        if backed:
            stems[np.arange(len(stems)) != VOCALS] = 0
            stems[OTHER] = self.stem(self.backing, samples)
        swapped = r.random(len(stems)) < 0.5
        stems[swapped] = stems[swapped, ::-1]
        return stems, backed

    def stem(
        self, recorded: Sequence[np.ndarray], samples: int, speed: tuple[float, float] = SPEED
    ) -> np.ndarray:
        """A piece of a recorded stem at LOUDNESS, seldom of its rests: float32 (2, samples)."""
        for _ in range(TRIES):
            crop = self.crop(recorded, samples, speed)
            level = rms(crop)
            if level > AUDIBLE:
                return crop * np.float32(LOUDNESS / level)
        return crop

    def crop(
        self, arrays: Sequence[np.ndarray], samples: int, speed: tuple[float, float] = SPEED
    ) -> np.ndarray:
        """A piece of one of the arrays, faster or slower, so that it has other voices and drums: float32 (…, samples).

        Long recordings are drawn more often, by the root of their length, so that a few of them don't drown the others.
        Short ones are followed by silence.
        """
        r = self.r
        weights = np.sqrt([array.shape[-1] for array in arrays])
        array = arrays[int(r.choice(len(arrays), p=weights / weights.sum()))]
        length = round(samples * np.exp(r.uniform(*speed)))
        start = int(r.integers(max(1, array.shape[-1] - length + 1)))
        crop = np.array(array[..., start : start + length], np.float32) / 32767
        crop = np.pad(crop, [(0, 0)] * (crop.ndim - 1) + [(0, length - crop.shape[-1])])
        audio = torch.from_numpy(crop.reshape(-1, 2, length))
        return (
            functional.interpolate(audio, samples, mode="linear")
            .numpy()
            .reshape(*crop.shape[:-1], samples)
        )

    def mixed(self, spectra: Tensor, known: np.ndarray) -> Batch:
        """A batch of complex stems (size, 4, 2, frames, MAX_BIN), each at a level of its own and equalised, and all of
        them as a lossy codec may leave them. Where they are not known, only the vocals are judged."""
        size, targets = spectra.shape[:2]
        gains = (self.levels(size, targets) * self.equaliser((size, targets)) * self.codec(size))[
            :, :, None, None
        ]
        mixture = scaled(spectra[:, 0], gains[:, 0])
        for i in range(1, targets):
            mixture += scaled(spectra[:, i], gains[:, i])
        heard = magnitude(mixture)
        factor = self.gains(heard)
        heard *= factor
        heard = heard.permute(2, 0, 1, 3).bfloat16()
        every = torch.arange(MAX_BIN)
        bins = every[(every < CLOSE) | ((every + int(self.r.integers(SPARSE))) % SPARSE == 0)]
        factor = factor * torch.where(bins < CLOSE, 1.0, SPARSE**0.5)
        stems = scaled(spectra[..., bins], gains[..., bins] * factor[:, None])
        mixture = scaled(mixture[..., bins], factor)
        products = stems.real * mixture.real[:, None]
        products.addcmul_(stems.imag, mixture.imag[:, None])
        judged = torch.from_numpy(known).float()[:, None].repeat(1, targets)
        judged[:, VOCALS] = 1
        return Batch(heard, bins, magnitude(mixture), magnitude(stems), products, judged)

    def levels(self, size: int, targets: int) -> Tensor:
        """Gains (size, targets, 1), some of them 0."""
        r = self.r
        decibels = r.normal(0, BALANCE, (size, targets))
        decibels[:, BASS] += (r.random(size) < SUNKEN) * r.uniform(*SUB, size)
        gains = 10 ** (decibels / 20) * (r.random((size, targets)) >= SILENT)
        return torch.from_numpy(gains[..., None]).float()

    def gains(self, heard: Tensor) -> Tensor:
        """Gains (size, 1, 1, 1) that bring magnitudes (size, 2, frames, MAX_BIN) to about the level at which the engine
        gives songs to the networks."""
        power = heard.square().sum(dim=-1).mean(dim=(1, 2))
        rms = (power * 2 / (WINDOW_POWER * N_FFT)).sqrt()
        wanted = REFERENCE * np.exp(self.r.normal(0, LEVEL, len(heard)))
        return (torch.from_numpy(wanted).float() / rms.clamp(min=1e-6)).clamp(max=LOUDER)[
            :, None, None, None
        ]

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
        """Masks (size, 1, MAX_BIN), some of which cut off at 10 to 16 kHz, as lossy codecs do."""
        edge = np.where(self.r.random(size) < 0.15, self.r.integers(930, MAX_BIN, size), MAX_BIN)
        return torch.from_numpy(np.arange(MAX_BIN) < edge[:, None]).float()[:, None]


def _arrays(folder: Path) -> list[np.ndarray]:
    paths = sorted(p for p in folder.glob("*.npy") if not p.name.endswith(".part.npy"))
    return [np.load(path, mmap_mode="r") for path in paths]


def rms(audio: np.ndarray) -> float:
    return float(np.sqrt(np.square(audio).mean()))


def spectrogram(audio: Tensor) -> Tensor:
    """Complex (…, frames, MAX_BIN) of audio (…, samples)."""
    window = torch.hann_window(N_FFT)
    out = torch.stft(audio.flatten(0, -2), N_FFT, HOP, window=window, return_complex=True)
    return out[:, :MAX_BIN].mT.unflatten(0, audio.shape[:-1])


def scaled(spectra: Tensor, gains: Tensor) -> Tensor:
    """Complex spectra (…, bins) times real gains. torch's product makes the gains complex, and takes twice as long."""
    pairs = gains.repeat_interleave(2, dim=-1).unflatten(-1, (-1, 2))
    return torch.view_as_complex(torch.view_as_real(spectra) * pairs)


def magnitude(spectra: Tensor) -> Tensor:
    """Absolute values. torch's function guards against overflow, and takes five times as long."""
    return (spectra.real.square() + spectra.imag.square()).sqrt_()
