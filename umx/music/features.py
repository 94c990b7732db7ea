"""What tells a song's beats and its key, gathered from its sound a stretch at a time.

Only energies of some bands and of some pitches are kept: 20 MB for an hour of music.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from ..types import Float

Array: TypeAlias = NDArray[np.floating[Any]]

RATE = 44100
"""Samples a second of all sound."""
FRAMES = 100
"""Frames a second of `Bands`."""
WINDOW = 1024
"""Samples of a frame of `Bands`: short, so that a hit is found within some milliseconds."""
EDGES = np.unique(np.geomspace(1, 400, 26).astype(int))
"""First bins of the bands, and the first one behind the last: 43 Hz to 17 kHz, a third of an octave each."""
SLOWER = 4
"""`Pitches` hears every fourth sample: what tells a key is below 2 kHz."""
SPAN, STEP = 4096, 1024
"""Samples of a frame of `Pitches`, and from one to the next, at the lower rate: 0.37 s and 0.09 s."""
PITCH_FRAMES = RATE / SLOWER / STEP
"""Frames a second of `Pitches`."""
QUIET = 1e-3
"""Amplitude in a spectrum of SPAN samples that no note falls below: 120 dB under full scale."""
FINE = 10
"""Parts of a semitone that are told apart, so that songs that are out of tune can be brought into it."""


class Framer:
    """Cuts a signal that comes in stretches into overlapping frames, centred on every `hop`-th sample."""

    def __init__(self, size: int, hop: int):
        self.size, self.hop = size, hop
        self.rest = np.zeros(size // 2, np.float32)

    def add(self, samples: Float) -> Float:
        """The frames that are complete with these samples: (frames, size)."""
        heard = np.concatenate([self.rest, samples])
        count = max(0, (len(heard) - self.size) // self.hop + 1)
        self.rest = heard[count * self.hop :]
        if not count:
            return np.empty((0, self.size), np.float32)
        return np.lib.stride_tricks.sliding_window_view(heard, self.size)[
            : count * self.hop : self.hop
        ]

    def end(self) -> Float:
        """The frames that reach beyond the end."""
        return self.add(np.zeros(self.size // 2, np.float32))


class Bands:
    """The energy in bands of a third of an octave, FRAMES a second."""

    def __init__(self) -> None:
        self.framer = Framer(WINDOW, RATE // FRAMES)
        self.window = signal.get_window("hann", WINDOW).astype(np.float32)
        self.found: list[Float] = []

    def add(self, samples: Float) -> None:
        """samples: (samples,)"""
        self._measure(self.framer.add(samples))

    def energies(self) -> Float:
        """(frames, bands) of all that was added."""
        self._measure(self.framer.end())
        return np.concatenate(self.found)

    def _measure(self, frames: Float) -> None:
        spectra = np.fft.rfft(frames * self.window)[:, : EDGES[-1]]
        power = spectra.real**2 + spectra.imag**2
        self.found.append(np.add.reduceat(power, EDGES[:-1], axis=1).astype(np.float32))


class Pitches:
    """How much of each pitch class there is, in tenths of a semitone, PITCH_FRAMES a second.

    The peaks of the spectrum are placed between bins by a parabola through their logarithms, and each counts for its
    pitch class, as in the harmonic pitch class profile of E. Gómez, "Tonal description of polyphonic audio for music
    content processing", INFORMS Journal on Computing 18 (2006).
    """

    def __init__(self, low: float, high: float):
        """low, high: Hz between which peaks count."""
        self.filter = signal.ellip(8, 0.1, 80, 4400, fs=RATE, output="sos")
        self.state = np.zeros((len(self.filter), 2))
        self.phase = 0
        self.framer = Framer(SPAN, STEP)
        self.window = signal.get_window("hann", SPAN).astype(np.float32)
        self.hertz = RATE / SLOWER / SPAN  # from one bin to the next
        self.low, self.high = int(low / self.hertz), int(high / self.hertz) + 1
        self.found: list[Float] = []

    def add(self, samples: Float) -> None:
        """samples: (samples,)"""
        filtered, self.state = signal.sosfilt(self.filter, samples, zi=self.state)
        slower = filtered[self.phase :: SLOWER].astype(np.float32)
        self.phase = (self.phase - len(filtered)) % SLOWER
        self._measure(self.framer.add(slower))

    def classes(self) -> Float:
        """(frames, 12 · FINE) of all that was added: amplitudes by pitch class, from C on."""
        self._measure(self.framer.end())
        return np.concatenate(self.found)

    def _measure(self, frames: Float) -> None:
        amplitude = np.abs(np.fft.rfft(frames * self.window))[:, self.low - 1 : self.high + 1]
        left, middle, right = amplitude[:, :-2], amplitude[:, 1:-1], amplitude[:, 2:]
        frame, place = np.nonzero((middle > left) & (middle >= right) & (middle > QUIET))
        a, b, c = (np.log(side[frame, place] + QUIET) for side in (left, middle, right))
        between = np.clip(0.5 * (a - c) / (a - 2 * b + c - 1e-9), -0.5, 0.5)
        hertz = (self.low + place + between) * self.hertz
        tenths = np.rint(FINE * (12 * np.log2(hertz / 440) + 9)).astype(int) % (12 * FINE)
        flat = np.bincount(
            frame * 12 * FINE + tenths, middle[frame, place], len(frames) * 12 * FINE
        )
        self.found.append(flat.reshape(-1, 12 * FINE).astype(np.float32))


def tuning(classes: Array) -> float:
    """How far a song is from 440 Hz, in semitones from −0.5 to 0.5. classes: as `Pitches.classes` gives them.

    The mean angle of all peaks, a semitone being a whole turn.
    """
    total = classes.sum(axis=0).reshape(12, FINE).sum(axis=0)
    turn = total @ np.exp(2j * np.pi * np.arange(FINE) / FINE)
    return float(np.angle(turn) / (2 * np.pi))


def chroma(classes: Array, tuned: float) -> Array:
    """(frames, 12): `Pitches.classes` by semitone, in a song that is `tuning` away from 440 Hz."""
    offsets = (np.arange(12 * FINE) / FINE - tuned) % 12
    apart = (offsets[:, None] - np.arange(12) + 6) % 12 - 6
    shares = np.cos(np.pi * np.clip(apart, -0.5, 0.5)) ** 2
    return classes @ shares.astype(np.float32)
