"""Tempo, beats and the first beats of bars."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from .features import EDGES, FRAMES, RATE, WINDOW, Array

SLOWEST, FASTEST = 40, 240
"""Beats a minute that are looked for."""
USUAL, SPREAD = 120, 0.9
"""Beats a minute at which people hear most tempi, and its spread in octaves: the prior of `tempo`."""
METER = 4
"""Beats of a bar; others aren't looked for."""
COMB = ((1, 1.0), (2, 1.0), (4, 1.0), (8, 0.5))
"""What counts for a tempo: multiples of its beat, and their weights."""
HEARD = 20
"""Seconds that are compared with themselves at a time."""
FEWEST = 8
"""Beats of a song that has any."""
BINS = 32
"""Parts of a beat that are told apart at first."""
DEPTH = 45
"""dB below a band's loudest in which a rise counts."""
TIGHTNESS = 400
"""How dear it is for a beat to be early or late, against the strength of the onset there."""
LATE = 0.003
"""Seconds from the steepest rise to the onset that made it: frames hear an onset before they are centred on it."""
STEADY = 0.03
"""Seconds that a beat may be off a regular grid, for the grid to be right."""
REGULAR = 0.8
"""Part of the beats that must not be further off."""


@dataclass
class Beats:
    bpm: float  # beats a minute; 0 where there are none
    times: Array  # of the beats, in seconds
    one: int  # the index of the first beat of a bar
    is_steady: bool  # whether they are a regular grid


def reference(bands: Array) -> Array:
    """The loudest energy of each band, (bands,), hits that stand alone apart."""
    return np.percentile(bands, 99.5, axis=0) + 1e-12


def onset_strength(bands: Array, loudest: Array) -> Array:
    """How much louder each frame is than 20 ms before, in dB, the mean over bands: (frames,).

    After S. Dixon, "Onset detection revisited", DAFx (2006): spectral flux, of logarithms as in `track`'s paper.
    bands: (frames, bands); loudest: (bands,), the energy DEPTH below which nothing counts.
    """
    floor = loudest * 10 ** (-DEPTH / 10)
    level = 10 * np.log10(np.maximum(bands, floor))
    rise = np.zeros(len(level))
    rise[1:-1] = np.maximum(level[2:] - level[:-2], 0).mean(axis=1)
    return rise


def normalised(strength: Array) -> Array:
    """Onset strength without its slow changes, smoothed, with a standard deviation of 1: (frames,)."""
    slow = signal.oaconvolve(strength, signal.get_window("hann", FRAMES), mode="same")
    flat = np.maximum(strength - slow / (FRAMES / 2), 0)
    smooth: Array = np.convolve(flat, signal.get_window(("gaussian", 1.5), 7), mode="same")
    smooth /= smooth.std() + 1e-9
    return smooth


def tempo(strength: Array) -> float:
    """Beats a minute, by autocorrelation, on a scale that prefers what people tap to.

    A tempo counts with what is at its beats, half bars, bars and pairs of bars, times the log-Gaussian prior of
    `track`'s paper.
    """
    size = HEARD * FRAMES
    padded = np.pad(strength, (0, max(0, size - len(strength))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    windows = windows - windows.mean(axis=1, keepdims=True)
    # Padded to twice the size, so that ends don't meet beginnings.
    power = np.abs(np.fft.rfft(windows, 2 * size)) ** 2
    longest = COMB[-1][0] * 60 * FRAMES // SLOWEST
    alike = np.fft.irfft(power)[:, : longest + 2] / (size - np.arange(longest + 2))
    # Square roots: loud windows count more, but not by much.
    alike = (alike / np.sqrt(alike[:, :1] + 1e-9)).mean(axis=0)
    candidates = np.geomspace(SLOWEST, FASTEST, 1200)
    beat = FRAMES * 60 / candidates
    combed = sum(
        weight * np.interp(times * beat, np.arange(len(alike)), alike) for times, weight in COMB
    )
    prior = np.exp(-0.5 * (np.log2(candidates / USUAL) / SPREAD) ** 2)
    return float(candidates[np.argmax(np.maximum(combed, 0) * prior)])


def track(strength: Array, bpm: float) -> NDArray[np.intp]:
    """The frames of the beats: those with the strongest onsets that are about a beat apart.

    Dynamic programming: D. Ellis, "Beat tracking by dynamic programming", Journal of New Music Research 36 (2007). A
    beat is at least half a beat behind the one before, so that many frames are looked at together.
    """
    period = 60 * FRAMES / bpm
    near, far = round(period / 2), round(period * 2)
    offsets = np.arange(-far, -near + 1)
    cost = -TIGHTNESS * np.log(-offsets / period) ** 2 / 4
    count = len(strength)
    score = np.zeros(far + count)  # those before the song count nothing
    before = np.zeros(count, int)
    for start in range(0, count, near):
        stop = min(start + near, count)
        rows = np.lib.stride_tricks.sliding_window_view(
            score[start : stop + far - near], len(offsets)
        )
        total = rows[: stop - start] + cost
        best = total.argmax(axis=1)
        gained = total[np.arange(stop - start), best]
        score[far + start : far + stop] = strength[start:stop] + np.maximum(gained, 0)
        before[start:stop] = np.where(gained > 0, np.arange(start, stop) + offsets[best], -1)
    place = count - 1 - int(np.argmax(score[::-1][: min(far, count)]))
    found = []
    while place >= 0:
        found.append(place)
        place = before[place]
    return np.array(found[::-1], np.intp)


def seconds(frames: NDArray[np.intp], strength: Array) -> Array:
    """Times of the onsets at frames, each placed between frames by a parabola."""
    inner = np.clip(frames, 1, len(strength) - 2)
    left, middle, right = strength[inner - 1], strength[inner], strength[inner + 1]
    bend = left - 2 * middle + right
    between = np.where(bend < -1e-9, 0.5 * (left - right) / np.minimum(bend, -1e-9), 0)
    times: Array = (inner + np.clip(between, -0.5, 0.5)) / FRAMES + LATE
    return times


def regular(times: Array, strength: Array) -> tuple[float, float, bool]:
    """The period and the first beat of the regular grid that beats are on, in seconds, and whether they are on one.

    Where they are on none, the period is the usual one. Beats that are half a beat off speak for the grid, too: `track`
    may change to between the beats and back where a song pauses.
    """
    span = min(16, len(times) - 1)
    usual = float(np.median(times[span:] - times[:-span]) / span)
    period = refined(strength, usual)
    counts = np.bincount((times % period / period * BINS).astype(int) % BINS, minlength=BINS)
    near = counts + np.roll(counts, 1) + np.roll(counts, -1)
    first = (np.argmax(near) + 0.5) / BINS * period
    for _ in range(2):
        numbers = np.rint((times - first) / period)
        keep = np.abs(times - first - period * numbers) < 2 * STEADY
        if keep.sum() < FEWEST:
            return usual, float(times[0]), False
        period, first = np.polyfit(numbers[keep], times[keep], 1)
    off = (times - first + period / 4) % (period / 2) - period / 4
    if np.mean(np.abs(off) < STEADY) < REGULAR:
        return usual, float(times[0]), False
    return float(period), float(first), True


def refined(strength: Array, period: float) -> float:
    """A period in seconds, as exact as a whole song tells it.

    The spectrum of its onsets has a peak at the beats, and others at their halves and quarters, which are more exact.
    """
    count = 8 * len(strength)
    spectrum = np.abs(np.fft.rfft(strength - strength.mean(), count))
    nearby = np.linspace(0.99, 1.01, 801) / period
    bins = np.arange(len(spectrum))
    found = sum(np.interp(k * nearby * count / FRAMES, bins, spectrum) for k in (1, 2, 4))
    return float(1 / nearby[np.argmax(found)])


def grid(period: float, first: float, length: float) -> Array:
    """The times of a regular grid within `length` seconds."""
    start = first % period
    return start + period * np.arange(int(np.ceil((length - start) / period)))


def the_one(times: Array, bands: Array, loudest: Array, change: Array) -> int:
    """Which of the first METER beats begins a bar: where the bass comes in, and the harmony changes.

    After M. Goto, "An audio-based real-time beat tracking system for music with or without drum-sounds", Journal of New
    Music Research 30 (2001): bars begin with the bass drum and with new chords.
    bands, loudest: as `onset_strength` takes them; change: (beats,), how much the harmony changes at each beat.
    """
    low = EDGES[:-1] * RATE / WINDOW < 130
    deep = onset_strength(bands[:, low], loudest[low])
    frame = np.clip(np.rint(times * FRAMES).astype(int), 0, len(deep) - 1)
    reach = np.arange(-4, 5)
    near = deep[np.clip(frame[:, None] + reach, 0, len(deep) - 1)].max(axis=1)
    evidence = np.zeros(METER)
    for weight, some in ((1.0, near), (2.0, change)):
        means = np.array([some[phase::METER].mean() for phase in range(METER)])
        evidence += weight * (means - means.mean()) / (some.std() + 1e-9)
    return int(np.argmax(evidence))
