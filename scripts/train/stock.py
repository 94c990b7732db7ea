"""All songs in a graphics card's memory, and mixtures made there: those of dataset.py, many times as fast.

Two respects differ from dataset.py: every mixture has pieces of its own, two of three mixtures each stem from another
song, where there the same pieces are mixed three times; and recordings are heard more often, as the shares below say.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from umx.format.convert import TARGETS
from umx.level import REFERENCE

from . import dataset
from .dataset import BASS, HOP, N_FFT, OTHER, VOCALS, Batch
from .mix import RATE
from .model import MAX_BIN

ROOM = 8_000_000_000  # samples of both channels, four bytes each
BITS = 20  # of a position's fraction between two samples
LISTENED = 3  # seconds over which a place's level is measured
TOGETHER = 1 / 3  # of the mixtures are stems as they were mixed
RECORDED = {"vocals": 0.45, "drums": 0.3, "bass": 0.3, "other": 0.3}  # of the stems
REAL = 5.0  # how much more often pieces of recorded songs are drawn than rendered songs
TONES = (20, 120, 400, 1200, 3500, 8000, 16000)  # Hz, corners of the equaliser


class Places:
    """Where in memory a stem sounds: first sample, samples until its end, and level, drawn at random.

    A stem is drawn by the root of its length, as in dataset.py.
    """

    def __init__(self) -> None:
        self.found: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []

    def add(self, first: int, length: int, levels: np.ndarray) -> None:
        """A stem with its levels, second by second."""
        seconds = np.flatnonzero(levels > dataset.AUDIBLE)
        starts = seconds * RATE
        self.found.append(np.stack([first + starts, length - starts, levels[seconds]]))
        self.weights.append(np.full(len(seconds), length**0.5 / max(1, len(seconds))))

    def __len__(self) -> int:
        return sum(len(weights) for weights in self.weights)

    def draw(self, r: np.random.Generator, count: int) -> np.ndarray:
        """Places (3, count)."""
        if len(self.found) > 1:
            self.found = [np.concatenate(self.found, axis=1)]
            self.weights = [np.concatenate(self.weights)]
        sums = np.cumsum(self.weights[0])
        chosen = np.searchsorted(sums, sums[-1] * r.random(count))
        return self.found[0][:, np.minimum(chosen, len(sums) - 1)]


class Stock:
    """The songs, stems and backing of a folder; `look` takes what was rendered since.

    device: where torch keeps them, "cuda" or, for tests, "cpu"; room: for so many samples.
    Raises FileNotFoundError where there are no songs.
    """

    def __init__(self, work: Path, seed: int, device: str, room: int = ROOM):
        self.folder = work / "songs"
        self.r = np.random.default_rng(seed)
        self.device = device
        self.audio = torch.empty(room, 2, dtype=torch.int16, device=device)
        self.end = 0
        self.seen: set[Path] = set()
        self.firsts: list[list[int]] = []
        self.lengths: list[int] = []
        self.levels: list[np.ndarray] = []
        self.weights: list[float] = []
        self.rendered, self.recorded = ([Places() for _ in TARGETS] for _ in range(2))
        self.backing = Places()
        for target, places in zip(TARGETS, self.recorded, strict=True):
            for path in sorted((work / "stems" / target).glob("*.npy")):
                self._take(np.load(path)[np.newaxis], [places])
        for path in sorted((work / "backing").glob("*.npy")):
            self._take(np.load(path)[np.newaxis], [self.backing])
        self.look()
        hertz = np.log(np.maximum(np.arange(MAX_BIN) * RATE / N_FFT, 20))
        curves = [np.interp(hertz, np.log(TONES), corner) for corner in np.eye(len(TONES))]
        self.curves = self._tensor(np.stack(curves))
        self.window = torch.hann_window(N_FFT, device=device)
        self.bins = torch.arange(MAX_BIN, device=device)

    def look(self) -> None:
        """Take new songs, as long as there is room."""
        paths = [p for p in sorted(self.folder.glob("*.npy")) if not p.name.endswith(".part.npy")]
        new = [path for path in paths if path not in self.seen]
        with ThreadPoolExecutor(8) as pool:
            for path, song in zip(new, pool.map(np.load, new), strict=True):
                if self.end + len(song) * song.shape[-1] > len(self.audio):
                    break
                firsts, levels = self._take(song, self.rendered)
                self.seen.add(path)
                self.firsts.append(firsts)
                self.levels.append(levels)
                self.lengths.append(song.shape[-1])
                rendered = path.stem.isdigit()
                self.weights.append(song.shape[-1] ** 0.5 * (1 if rendered else REAL))
        if not self.seen:
            raise FileNotFoundError(f"{self.folder} has no songs; run scripts.train.render first.")

    def _take(self, stems: np.ndarray, places: list[Places]) -> tuple[list[int], np.ndarray]:
        """Put int16 stems (stems, 2, samples) into memory: where they begin, and their levels (stems, seconds)."""
        firsts, levels, length = [], [], stems.shape[-1]
        seconds = max(1, length // RATE)
        for stem, known in zip(stems, places, strict=True):
            audio = torch.from_numpy(np.ascontiguousarray(stem)).to(self.device)
            self.audio[self.end : self.end + length] = audio.T
            heard = audio[:, : seconds * RATE].float() / 32767
            heard = functional.pad(heard, (0, seconds * RATE - heard.shape[1])).square()
            power = heard.reshape(2, seconds, RATE).mean(dim=(0, 2)).cpu().numpy()
            ends = np.minimum(np.arange(seconds) + LISTENED, seconds)
            sums = np.concatenate([[0], np.cumsum(power, dtype=np.float64)])
            level = np.sqrt((sums[ends] - sums[:-1]) / (ends - np.arange(seconds)))
            known.add(self.end, length, level)
            firsts.append(self.end)
            levels.append(level)
            self.end += length
        return firsts, np.stack(levels)

    def batch(self, size: int, frames: int) -> Batch:
        """New mixtures, as `dataset.Batch`, on the device; `heard` is float32."""
        r, targets, samples = self.r, len(TARGETS), (frames - 1) * HOP
        places = [*range(targets), OTHER]  # another song's `other` may play, too
        shape = size, len(places)
        together = r.random(size) < TOGETHER
        weights = np.array(self.weights)
        song = r.choice(len(weights), shape, p=weights / weights.sum())
        speed, start = np.exp(r.uniform(*dataset.SPEED, shape)), r.random(shape)
        for drawn in (song, speed, start):
            drawn[together] = drawn[together, :1]
        length = np.array(self.lengths)[song]
        start = (start * np.maximum(0, length - samples * speed)).astype(np.int64)
        first = np.array(self.firsts)[song, np.array(places)] + start
        length = length - start
        level = np.array(
            [
                [
                    self.levels[s][i, min(at // RATE, self.levels[s].shape[1] - 1)]
                    for i, (s, at) in enumerate(row)
                ]
                for row in np.stack([song, start], axis=-1)[:, :targets]
            ]
        )
        backed = (r.random(size) < dataset.BACKED) & (len(self.backing) > 0)
        layered = ~together & ~backed & (r.random(size) < dataset.LAYERED)
        gain = np.ones(shape)
        gain[:, targets] = layered

        def instead(where: np.ndarray, i: int, known: Places, speeds: tuple[float, float]) -> None:
            count = int(where.sum())
            if count and len(known):
                first[where, i], length[where, i], heard = known.draw(r, count)
                gain[where, i] = dataset.LOUDNESS / heard
                speed[where, i] = np.exp(r.uniform(*speeds, count))

        for i, target in enumerate(TARGETS):
            recorded = r.random(size) < RECORDED[target] * (len(self.recorded[i]) > 0)
            lowered = ~recorded & (i == BASS) & (r.random(size) < dataset.LOWERED)
            rests = level[:, i] < dataset.AUDIBLE
            filled = ~recorded & ~lowered & rests & (r.random(size) < dataset.FILLED)
            instead(recorded, i, self.recorded[i], dataset.SPEED)
            instead(lowered, i, self.rendered[i], dataset.LOW)
            instead(filled, i, self.rendered[i], dataset.SPEED)
        gain[np.ix_(backed, [i for i in range(targets) if i not in (VOCALS, OTHER)])] = 0
        instead(backed, OTHER, self.backing, dataset.SPEED)
        audio = self.cut(first, length, speed, gain, samples)
        audio[:, OTHER] += audio[:, targets]
        audio = audio[:, :targets]
        swapped = torch.from_numpy(r.random((size, targets)) < 0.5).to(self.device)
        audio = torch.where(swapped[:, :, None, None], audio.flip(2), audio)
        flat = audio.flatten(0, 2)
        spectra = torch.stft(flat, N_FFT, HOP, window=self.window, return_complex=True)
        return self.mixed(spectra[:, :MAX_BIN].mT.unflatten(0, audio.shape[:3]), ~backed)

    def cut(
        self,
        first: np.ndarray,
        length: np.ndarray,
        speed: np.ndarray,
        gain: np.ndarray,
        samples: int,
    ) -> Tensor:
        """Pieces float32 (…, 2, samples) of stems, at a speed; silence follows their ends."""
        step = torch.from_numpy(np.round(speed * 2**BITS).astype(np.int64)).to(self.device)
        place = torch.arange(samples, device=self.device) * step[..., None]
        fraction = (place & (2**BITS - 1)).float().div_(2**BITS)
        place >>= BITS
        last = torch.from_numpy(length).to(self.device)[..., None] - 2
        there = place <= last
        place = torch.minimum(place, last) + torch.from_numpy(first).to(self.device)[..., None]
        now, then = self.audio[place].float(), self.audio[place + 1].float()
        weight = self._tensor(gain)[..., None] * there / 32767
        return (torch.lerp(now, then, fraction[..., None]) * weight[..., None]).mT

    def mixed(self, spectra: Tensor, known: np.ndarray) -> Batch:
        """`dataset.Songs.mixed` for complex stems (size, 4, 2, frames, MAX_BIN) on the device."""
        r, (size, targets) = self.r, spectra.shape[:2]
        decibels = r.normal(0, dataset.BALANCE, (size, targets))
        decibels[:, BASS] += (r.random(size) < dataset.SUNKEN) * r.uniform(*dataset.SUB, size)
        levels = 10 ** (decibels / 20) * (r.random((size, targets)) >= dataset.SILENT)
        curve = self._tensor(r.normal(0, 4, (size, targets, len(TONES)))) @ self.curves
        edge = np.where(r.random(size) < 0.15, r.integers(930, MAX_BIN, size), MAX_BIN)
        codec = self.bins < torch.from_numpy(edge).to(self.device)[:, None]
        gains = 10 ** (curve / 20) * self._tensor(levels)[..., None] * codec[:, None]
        stems = spectra * gains[:, :, None, None]
        mixture = stems.sum(dim=1)
        heard = mixture.abs()
        power = heard.square().sum(dim=-1).mean(dim=(1, 2))
        rms = (power * 2 / (dataset.WINDOW_POWER * N_FFT)).sqrt()
        wanted = self._tensor(REFERENCE * np.exp(r.normal(0, dataset.LEVEL, size)))
        factor = (wanted / rms.clamp(min=1e-6)).clamp(max=dataset.LOUDER)[:, None, None, None]
        heard = (heard * factor).permute(2, 0, 1, 3)
        one_of = (self.bins + int(r.integers(dataset.SPARSE))) % dataset.SPARSE == 0
        bins = self.bins[(self.bins < dataset.CLOSE) | one_of]
        factor = factor * torch.where(bins < dataset.CLOSE, 1.0, dataset.SPARSE**0.5)
        stems = stems[..., bins] * factor[:, None]
        mixture = mixture[..., bins] * factor
        products = (stems * mixture.conj()[:, None]).real
        judged = self._tensor(known)[:, None].repeat(1, targets)
        judged[:, VOCALS] = 1
        return Batch(heard, bins, mixture.abs(), stems.abs(), products, judged)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(self.device)
