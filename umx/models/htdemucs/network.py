"""The network: one segment in, its estimates out.

Two U-Nets, one on the complex spectrum and one on the waveform, meet in a transformer at the bottom. Both have the same
layers; a spectrum is convolved along its bins, a waveform along its samples. Estimates of both are added.

Arrays are channels last: spectra (frames, bins, channels), waveforms (1, samples, channels), and the transformer's
tokens (tokens, channels).
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...format.safetensors import Tensor, Tensors
from ...kernels import Engine
from ...kernels.htdemucs import Kernels, Matrix, Norm, Packed, Residual, Then
from ...types import Float
from .. import Progress
from .description import (
    BRANCHES,
    DEPTH,
    KERNEL,
    REACHES,
    STRIDE,
    Network,
    is_cross,
    values,
    work,
)  # fmt: skip
from .spectra import inverse, spectrum

Report: TypeAlias = Callable[..., None]
"""Called with the names of matrices, or of an attention, when they have been multiplied."""

FEED = 384
"""Tokens that pass the feed-forward part together: its hidden layer stays in the cache."""
PERIOD = 10000.0
"""Longest wavelength of the positional embeddings, over 2 pi."""


class Grid:
    """An array (outer, inner, channels) in memory with zeros around it, so that convolutions know no edges."""

    def __init__(self, memory: Float, outer: int, inner: int, channels: int):
        """memory: float32, one dimension of `size` floats."""
        self.outer, self.inner, self.channels = outer, inner, channels
        self._edge, before, behind = self._border(outer)
        whole = (outer + 2 * self._edge, before + inner + behind, channels)
        self._whole = memory.reshape(whole)
        self._before = before
        self.inside = self._whole[self._edge : self._edge + outer, before : before + inner]

    @staticmethod
    def _border(outer: int) -> tuple[int, int, int]:
        """Zeros on both sides of the outer axis, and before and behind the inner one.

        Convolutions reach two beyond; a waveform is also filled up to a multiple of STRIDE, at each end of a level.
        """
        return (0, 2, 8) if outer == 1 else (2, 2, 2)

    @classmethod
    def size(cls, outer: int, inner: int, channels: int) -> int:
        edge, before, behind = cls._border(outer)
        return (outer + 2 * edge) * (before + inner + behind) * channels

    def clear(self) -> None:
        """Zero the border again."""
        edge, start, end = self._edge, self._before, self._before + self.inner
        self._whole[:edge] = 0
        self._whole[edge + self.outer :] = 0
        self._whole[:, :start] = 0
        self._whole[:, end:] = 0

    def rows(self, first: int, step: int, count: int, taps: int, pieces: int = 1) -> Float:
        """A view (outer, count, pieces, taps * channels): row i is `taps` neighbours from `first` + i * `step` on.

        pieces: how many neighbours along the outer axis, centred, give a piece each.
        """
        start = self._whole[self._edge - pieces // 2 :, self._before + first :]
        row, place, item = self._whole.strides
        return np.lib.stride_tricks.as_strided(
            start,
            (self.outer, count, pieces, taps * self.channels),
            (row, step * place, row, item),
        )

    def signals(self) -> Float:
        """A view (signals, 2 + time + 2, channels): a spectrum has a signal in each bin, a waveform is one."""
        start, end = self._before, self._before + self.inner
        if self._edge:
            return self._whole[:, start:end].transpose(1, 0, 2)
        return self._whole[:, start - 2 : end + 2]


class Arena:
    """The memory that networks of one shape work in, one after the other.

    It is allocated once, as one block: Pyodide's heap never shrinks, and memory that comes and goes leaves holes in it.
    """

    def __init__(self, network: Network):
        self._network = network
        self._places: dict[str, int] = {}
        size = 0

        def place(start: int, floats: int, name: str) -> int:
            nonlocal size
            self._places[name] = start
            size = max(size, start + floats)
            return start + floats

        def level(start: int, branch: str, level: int, kind: str) -> int:
            floats = Grid.size(*network.extent(branch, level), self._channels(branch, level, kind))
            return place(start, floats, f"{branch}.{kind}.{level}")

        # What the encoders leave for the decoders stays in place ...
        end = 0
        for branch in BRANCHES:
            for number in range(DEPTH):
                end = level(end, branch, number, "skip")
        # ... but the last spectrum, nearly as large as all of that, may overwrite all but the outermost level.
        outermost = self._places["freq.skip.1"]
        free = max(end, level(outermost, "freq", -1, "output"))
        for branch in BRANCHES:
            inner = [level(free, branch, number, "hidden") for number in range(DEPTH)]
            level(inner[0], branch, -1, "input")
        level(level(free, "time", 0, "hidden"), "time", -1, "output")
        most = max(map(network.tokens, BRANCHES)) * network.width
        for name, floats in {
            **{f"{branch}.tokens": network.tokens(branch) * network.width for branch in BRANCHES},
            "before": most, "normed": most, "memory": most, "projected": 3 * most, "mixed": most,
            "feed": FEED * network.hidden_size,
        }.items():  # fmt: skip
            free = place(free, floats, name)
        self._memory = np.zeros(size, np.float32)
        self.size = self._memory.nbytes

    def array(self, name: str, *shape: int) -> Float:
        """A part of the memory by its name. Its content is arbitrary: parts overlap."""
        start = self._places[name]
        return self._memory[start : start + prod(shape)].reshape(shape)

    def grid(self, branch: str, level: int, kind: str) -> Grid:
        """An array of a level, with its zeros. kind: "skip", "hidden", "input" or "output"."""
        shape = (*self._network.extent(branch, level), self._channels(branch, level, kind))
        grid = Grid(self.array(f"{branch}.{kind}.{level}", Grid.size(*shape)), *shape)
        grid.clear()
        return grid

    def _channels(self, branch: str, level: int, kind: str) -> int:
        if level >= 0:
            return self._network.widths[level]
        return values(branch) * (self._network.sources if kind == "output" else 1)


class Forward:
    """A network with its weights."""

    def __init__(
        self, network: Network, tensors: Tensors, engine: Engine, kernels: Kernels, arena: Arena
    ):
        """tensors: those that `shapes` names; matrices may also be floats, without `low` and `scale`."""
        self.network, self._engine, self._kernels, self._arena = network, engine, kernels, arena
        self._work = work(network)
        self._matrices: dict[str, Packed] = {}
        self._residuals: dict[str, Packed] = {}
        self._norms: dict[str, Norm] = {}
        self._load(tensors)
        self._positions = {
            "freq": positions_2d(network.frames, network.heights[-1], network.width),
            "time": positions_1d(network.lengths[-1], network.width),
        }

    def _load(self, tensors: Tensors) -> None:
        def vector(name: str) -> Float:
            # A copy: a view would keep the whole file in memory.
            return np.array(tensors[name], np.float32)

        def norm(name: str) -> Norm:
            return Norm(vector(f"{name}.gain"), vector(f"{name}.bias"))

        def matrix(name: str) -> Matrix:
            weight = joined(tensors[f"{name}.weight"], tensors.get(f"{name}.low"))
            scale = tensors.get(f"{name}.scale", np.ones(len(weight), np.float32))
            return Matrix(weight, np.array(scale, np.float32), vector(f"{name}.bias"))

        self._embedding = vector("freq.embedding")
        for key in tensors:
            name, _, kind = key.rpartition(".")
            if kind == "layer_scale":
                residual = Residual(
                    matrix(f"{name}.squeeze"), norm(f"{name}.squeeze_norm"),
                    matrix(f"{name}.expand"), norm(f"{name}.expand_norm"), vector(key),
                )  # fmt: skip
                self._residuals[name] = self._kernels.pack_residual(residual)
            elif ".dconv." not in name and kind == "weight":
                self._matrices[name] = self._kernels.pack(matrix(name), name.endswith(".rewrite"))
            elif ".dconv." not in name and kind == "gain":
                self._norms[name] = norm(name)

    def estimate(
        self, mixture: Float, wanted: Sequence[int], progress: Progress = lambda done: None
    ) -> Float:
        """Separate one segment: float32 (2, segment) to (wanted, 2, segment).

        wanted: which of the sources to give. progress: called with the fraction of the work that is done.
        """
        done, whole = 0, sum(self._work.values())

        def report(*names: str) -> None:
            nonlocal done
            done += sum(self._work[name] for name in names)
            progress(done / whole)

        normal = {}
        for branch in BRANCHES:
            normal[branch] = self._enter(branch, mixture)
            for level in range(DEPTH):
                self._encode(branch, level, report)
        self._transform(report)
        out = np.empty((len(wanted), 2, self.network.segment), np.float32)
        # The waveform goes first: its estimates are small, while those of the spectrum overwrite everything else.
        for branch in reversed(BRANCHES):
            for level in reversed(range(DEPTH)):
                self._decode(branch, level, report)
            self._leave(branch, *normal[branch], wanted, out)
        return out

    def _enter(self, branch: str, mixture: Float) -> tuple[Float, Float]:
        """Write the spectrum or the waveform into the input, normalised as a whole. Returns its mean and deviation."""
        grid = self._arena.grid(branch, -1, "input")
        given = spectrum(mixture, self._engine) if branch == "freq" else mixture.T[np.newaxis]
        mean = given.mean(dtype=np.float64).astype(np.float32)
        np.subtract(given, mean, out=grid.inside)
        power = np.square(grid.inside).sum(dtype=np.float64) / (given.size - 1)
        deviation = np.sqrt(power).astype(np.float32)
        grid.inside[:] /= np.float32(1e-5) + deviation
        return mean, deviation

    def _leave(
        self, branch: str, mean: Float, deviation: Float, wanted: Sequence[int], out: Float
    ) -> None:
        """Bring the wanted estimates back to their level. The waveform's are written, then the spectrum's added."""
        inside = self._arena.grid(branch, -1, "output").inside
        count = values(branch)

        def leave(given: tuple[Float, int]) -> None:
            signal, source = given
            estimate = inside[..., source * count : (source + 1) * count] * deviation + mean
            if branch == "freq":
                signal += inverse(estimate, signal.shape[-1], self._engine)
            else:
                signal[:] = estimate[0].T

        self._engine.threads.run(leave, zip(out, wanted, strict=True))

    def _encode(self, branch: str, level: int, report: Report) -> None:
        """One level down: a quarter of the bins or samples, more channels."""
        name, arena, product = f"{branch}.encoder.{level}", self._arena, self._kernels.product
        above = arena.grid(branch, level - 1, "skip" if level else "input")
        hidden, skip = arena.grid(branch, level, "hidden"), arena.grid(branch, level, "skip")
        rows = above.rows(-2, STRIDE, hidden.inner, KERNEL)
        product(rows, self._matrices[f"{name}.conv"], "gelu", hidden.inside)
        report(f"{name}.conv")
        self._dconv(name, hidden, report)
        rows = hidden.rows(0, 1, hidden.inner, 1)
        product(rows, self._matrices[f"{name}.rewrite"], "glu", skip.inside)
        if branch == "freq" and level == 0:
            skip.inside[:] += self._embedding  # so that a convolution can tell one bin from another
        report(f"{name}.rewrite")

    def _decode(self, branch: str, level: int, report: Report) -> None:
        """One level up. The level below has been added to the encoder's output already."""
        name, arena, product = f"{branch}.decoder.{level}", self._arena, self._kernels.product
        skip, hidden = arena.grid(branch, level, "skip"), arena.grid(branch, level, "hidden")
        above = arena.grid(branch, level - 1, "skip" if level else "output")
        rows = skip.rows(-1, 1, skip.inner, 3, pieces=3 if branch == "freq" else 1)
        product(rows, self._matrices[f"{name}.rewrite"], "glu", hidden.inside)
        report(f"{name}.rewrite")
        self._dconv(name, hidden, report)
        # Neighbours i - 1 and i give the four places from 4 i - 2 on.
        pairs, fours = hidden.inner + 1, KERNEL - STRIDE
        rows, places = hidden.rows(-1, 1, pairs, 2), above.rows(-2, STRIDE, pairs, fours)
        then: Then = "gelu_add" if level else "write"
        product(rows, self._matrices[f"{name}.conv"], then, places[:, :, 0])
        report(f"{name}.conv")

    def _dconv(self, name: str, grid: Grid, report: Report) -> None:
        """Residual branches along time."""
        for index, reach in enumerate(REACHES):
            part = f"{name}.dconv.{index}"
            self._kernels.dconv(grid.signals(), self._residuals[part], reach)
            report(f"{part}.squeeze", f"{part}.expand")

    def _transform(self, report: Report) -> None:
        """The transformer between the branches, in place on the encoders' innermost outputs."""
        network, kernels = self.network, self._kernels
        tokens, inside = {}, {}
        for branch in BRANCHES:
            skip = inside[branch] = self._arena.grid(branch, DEPTH - 1, "skip").inside
            x = self._arena.array(f"{branch}.tokens", *skip.shape[:2], network.width)
            if network.bottom_channels:
                up = self._matrices[f"{branch}.upsample"]
                kernels.product(skip[:, :, np.newaxis], up, "write", x)
                report(f"{branch}.upsample")
            else:
                x[:] = skip
            x = tokens[branch] = x.reshape(-1, network.width)
            kernels.layer_norm(x, self._norms[f"{branch}.norm_in"], x)
            x += self._positions[branch]
        for index in range(network.layers):
            before = tokens["freq"]
            if is_cross(index):  # each sees the other as it was before the layer
                before = self._arena.array("before", *before.shape)
                before[:] = tokens["freq"]
            self._layer("freq", index, tokens["freq"], tokens["time"], report)
            self._layer("time", index, tokens["time"], before, report)
        for branch, skip in inside.items():
            x = tokens[branch].reshape(*skip.shape[:2], network.width)
            if network.bottom_channels:
                down = self._matrices[f"{branch}.downsample"]
                kernels.product(x[:, :, np.newaxis], down, "add", skip)
                report(f"{branch}.downsample")
            else:
                skip += x

    def _layer(self, branch: str, index: int, x: Float, memory: Float, report: Report) -> None:
        """One layer of the transformer, in place: attention, then feed-forward, each added to its input."""
        name, kernels, array = f"{branch}.transformer.{index}", self._kernels, self._arena.array
        count, width = x.shape
        normed = array("normed", count, width)
        self._norm(x, f"{name}.norm_query", normed)
        if is_cross(index):
            seen = array("memory", *memory.shape)
            self._norm(memory, f"{name}.norm_memory", seen)
            both = array("projected", (count + 2 * len(memory)) * width)
            query = both[: count * width].reshape(count, width)
            pair = both[count * width :].reshape(len(memory), 2 * width)
            self._linear(normed, f"{name}.query", "write", query)
            report(f"{name}.query")
            self._linear(seen, f"{name}.memory", "write", pair)
            report(f"{name}.memory")
            key, value = pair[:, :width], pair[:, width:]
        else:
            three = array("projected", count, 3 * width)
            self._linear(normed, f"{name}.attention", "write", three)
            report(f"{name}.attention")
            query, key, value = (three[:, i * width : (i + 1) * width] for i in range(3))
        mixed = array("mixed", count, width)
        kernels.attend(query, key, value, self.network.heads, mixed)
        report(f"{name}.attend")
        self._linear(
            mixed, f"{name}.out", "add", x
        )  # LayerScale is in its weights, and in those of `back`
        report(f"{name}.out")

        self._norm(x, f"{name}.norm_feed", normed)
        for start in range(0, count, FEED):
            some = x[start : start + FEED]
            hidden = array("feed", len(some), self.network.hidden_size)
            self._linear(normed[start : start + FEED], f"{name}.feed", "gelu", hidden)
            self._linear(hidden, f"{name}.back", "add", some)
        kernels.group_norm(x, self._norms[f"{name}.norm_out"])
        report(f"{name}.feed", f"{name}.back")

    def _linear(self, x: Float, name: str, then: Then, out: Float) -> None:
        rows = x[np.newaxis, :, np.newaxis]
        self._kernels.product(rows, self._matrices[name], then, out[np.newaxis])

    def _norm(self, x: Float, name: str, out: Float) -> None:
        self._kernels.layer_norm(x, self._norms[name], out)


def joined(weight: Tensor, low: Tensor | None) -> Float | NDArray[np.int16]:
    """Weights from their two bytes, if they have two; floats stay floats."""
    if weight.dtype != np.int8:
        return weight.astype(np.float32, copy=False)
    whole: NDArray[np.int16] = weight.astype(np.int16)
    if low is not None:
        whole = 256 * whole + low.astype(np.int16)
    return whole


def positions_1d(length: int, width: int) -> Float:
    """Positional embedding of samples, (length, width): cosines, then sines, of falling frequency."""
    half = width // 2
    phase = np.arange(length)[:, np.newaxis] / PERIOD ** (np.arange(half) / max(1, half - 1))
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=-1).astype(np.float32)


def positions_2d(frames: int, bins: int, width: int) -> Float:
    """Positional embedding of a spectrum, (frames * bins, width): half of it tells the frame, half the bin.

    Sines and cosines take turns, of falling frequency.
    """
    half = width // 2
    rate = PERIOD ** (-np.arange(0, half, 2) / half)

    def embedding(count: int) -> NDArray[np.float64]:
        phase = np.arange(count)[:, np.newaxis] * rate
        return np.stack([np.sin(phase), np.cos(phase)], axis=-1).reshape(count, half)

    out = np.empty((frames, bins, width), np.float32)
    out[..., :half] = embedding(frames)[:, np.newaxis]
    out[..., half:] = embedding(bins)
    return out.reshape(-1, width)
