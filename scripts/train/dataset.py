"""Mixtures for training, new in every batch: crops of songs and remixes across songs, as magnitudes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from umx.convert import TARGETS

from .mix import RATE
from .model import MAX_BIN

N_FFT, HOP = 4096, 1024


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

    def crop(self, samples: int, stem: int | slice = slice(None)) -> np.ndarray:
        """A piece of a song: float32 (4, 2, samples), or (2, samples) of one stem."""
        song = self.songs[int(self.r.integers(len(self.songs)))]
        start = int(self.r.integers(song.shape[-1] - samples))
        return np.asarray(song[stem, :, start : start + samples], np.float32) / 32767

    def item(self, samples: int) -> np.ndarray:
        """Stems, float32 (4, 2, samples): as they were mixed, or each from another song."""
        r = self.r
        if r.random() < 0.45:
            stems = self.crop(samples)
        else:
            stems = np.stack([self.crop(samples, i) for i in range(len(TARGETS))])
        for stem in stems:
            if r.random() < 0.5:
                stem[:] = stem[::-1].copy()
        gains = r.uniform(0.25, 1.25, (len(TARGETS), 1, 1))
        gains[r.random(len(TARGETS)) < 0.07] = 0
        return stems * (gains * r.uniform(0.6, 1.7)).astype(np.float32)

    def batch(self, targets: Sequence[int], size: int, frames: int) -> tuple[Tensor, list[Tensor]]:
        """Magnitudes of mixtures, and of each of the targets in them, all (frames, size, 2, MAX_BIN)."""
        items = torch.from_numpy(np.stack([self.item((frames - 1) * HOP) for _ in range(size)]))
        others = [i for i in range(len(TARGETS)) if i not in targets]
        parts = [items[:, i] for i in targets]
        if others:
            parts.append(items[:, others].sum(dim=1))
        spectra = [spectrogram(part) * self.equaliser(size) for part in parts]
        band = self.codec(size)
        mixture = sum(spectra[1:], start=spectra[0])
        wanted = [_frames_first(spectrum * band) for spectrum in spectra[: len(targets)]]
        return _frames_first(mixture * band), wanted

    def equaliser(self, size: int) -> Tensor:
        """Smooth random gains (size, 1, MAX_BIN, 1), about 3 dB up or down."""
        corners = np.log([20, 120, 400, 1200, 3500, 8000, 16000])
        frequency = np.log(np.maximum(np.arange(MAX_BIN) * RATE / N_FFT, 20))
        decibels = np.stack(
            [np.interp(frequency, corners, self.r.normal(0, 3, len(corners))) for _ in range(size)]
        )
        return torch.from_numpy(10 ** (decibels / 20)).float()[:, None, :, None]

    def codec(self, size: int) -> Tensor:
        """Now and then nothing above 10 to 16 kHz, as lossy codecs leave it: (size, 1, MAX_BIN, 1)."""
        edge = np.where(self.r.random(size) < 0.15, self.r.integers(930, MAX_BIN, size), MAX_BIN)
        return torch.from_numpy(np.arange(MAX_BIN) < edge[:, None]).float()[:, None, :, None]


def spectrogram(audio: Tensor) -> Tensor:
    """Complex (size, 2, MAX_BIN, frames) of audio (size, 2, samples)."""
    size, channels, samples = audio.shape
    window = torch.hann_window(N_FFT)
    out = torch.stft(audio.reshape(-1, samples), N_FFT, HOP, window=window, return_complex=True)
    return out[:, :MAX_BIN].reshape(size, channels, MAX_BIN, -1)


def _frames_first(spectrum: Tensor) -> Tensor:
    return spectrum.abs().permute(3, 0, 1, 2).contiguous()
