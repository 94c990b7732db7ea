"""The click: a metronome on a song's beats, which counts in and can be corrected. Pure Python, on MicroPython too.

A song's analysis says where its beats are: `beats` in seconds, in order, `one`, the index of a first beat of a bar, and
`meter`, the beats of a bar.
"""

import math
import struct

from page.files.wav import CHANNELS
from shared.facts import SAMPLE_RATE

LENGTH = int(0.03 * SAMPLE_RATE)
"""Samples of a click."""
PITCHES = (1000, 1500)
"""In Hz, of a beat and of the first of a bar."""
LEVEL = 0.5
LOUDEST = 1.5
"""The highest volume."""
TAPS = 4
"""Taps from which on they correct the beats."""
PAUSE = 2.5
"""Seconds between two taps after which a new series begins."""
ALIKE = 0.08
"""Fraction by which the tempo of taps may differ from that of the beats that they are to move."""


# Where clicks are


def has_beats(analysis):
    return bool(analysis) and len(analysis["beats"]) > 1


def is_first(analysis, index):
    """Whether a beat, or one beyond the first or the last, is the first of a bar."""
    return (index - analysis["one"]) % analysis["meter"] == 0


def clicks(analysis, begin, end):
    """The clicks from one sample up to another: pairs of a sample and whether a bar begins there."""
    found = []
    for index, seconds in enumerate(analysis["beats"]):
        sample = int(seconds * SAMPLE_RATE + 0.5)
        if begin <= sample < end:
            found.append((sample, is_first(analysis, index)))
    return found


def count_in(analysis, sample):
    """The bar that is counted before a sample is heard: its length in samples, and its clicks as `clicks` has them.

    It goes on into the song's own beats, so the accent is where they have it.
    """
    now, beats, meter = sample / SAMPLE_RATE, analysis["beats"], analysis["meter"]
    index = 0
    while index < len(beats) - 1 and int(beats[index] * SAMPLE_RATE + 0.5) < sample:
        index += 1
    period = period_near(beats, index)
    # Before the first beat and after the last, beats are where they would be.
    ahead = beats[index] - now
    away = math.floor(ahead / period + 1e-6)
    index, ahead = index - away, max(0, ahead - away * period)
    length = int((meter * period - ahead) * SAMPLE_RATE + 0.5)
    found = []
    for number in range(meter):
        place = int(number * period * SAMPLE_RATE + 0.5)
        found.append((place, is_first(analysis, index - meter + number)))
    return length, found


def period_near(beats, index):
    """Seconds from beat to beat around one of them: the median of some."""
    some = beats[max(0, index - 4) : index + 5]
    steps = sorted([some[index + 1] - some[index] for index in range(len(some) - 1)])
    return steps[len(steps) // 2]


# How a click sounds


def sound(begins_bar):
    """A click's samples."""
    turn = 2 * math.pi * PITCHES[begins_bar] / SAMPLE_RATE
    # It ends at zero, so that nothing is cut off.
    return [
        LEVEL * math.sin(turn * place) * math.exp(-place / 250) * (1 - place / LENGTH)
        for place in range(LENGTH)
    ]


def as_bytes(samples, kind):
    """A click, the same on every channel, as samples of a kind in wav.FORMATS."""
    if kind == "float":
        each = [struct.pack("<f", sample) for sample in samples]
    elif kind == "24":
        each = [struct.pack("<i", round(sample * 2**23))[:3] for sample in samples]
    else:
        each = [struct.pack("<h", round(sample * 2**15)) for sample in samples]
    return b"".join([sample * CHANNELS for sample in each])


# Correcting it


def with_one(analysis, seconds):
    """The analysis, with the beat that is nearest to a time as the first of a bar."""
    changed = dict(analysis)
    changed["one"] = nearest(analysis["beats"], seconds)
    return changed


def nearest(beats, seconds):
    """The index of the beat nearest to a time."""
    return min(range(len(beats)), key=lambda index: abs(beats[index] - seconds))


def with_taps(analysis, taps, length):
    """The analysis, with beats where they were tapped. taps: seconds, in order; length: the song's, in seconds.

    Taps at about the tempo of the beats move these. Others make new ones of their own tempo all over the song;
    a bar begins at the first tap.
    """
    beats, changed = analysis["beats"], dict(analysis)
    index = nearest(beats, taps[-1])
    period = steady_period(taps)
    if abs(period / period_near(beats, index) - 1) < ALIKE:
        moves = sorted([tap - beats[nearest(beats, tap)] for tap in taps])
        move = moves[len(moves) // 2]
        changed["beats"] = [seconds + move for seconds in beats]
        return changed
    # The middle of the taps is where they are surest.
    middle = sum([tap - number * period for number, tap in enumerate(taps)]) / len(taps)
    before = int(middle / period)
    first = middle - before * period
    count = int((length - first) / period) + 1
    changed["beats"] = [first + number * period for number in range(count)]
    changed["bpm"], changed["one"], changed["tempo_sure"] = 60 / period, before, "sure"
    return changed


def steady_period(taps):
    """Seconds from tap to tap, as they fit all of them best: least squares."""
    middle = (len(taps) - 1) / 2
    weights = [number - middle for number in range(len(taps))]
    fitted = sum([weight * tap for weight, tap in zip(weights, taps)])
    return fitted / sum([weight * weight for weight in weights])


class Click:
    """What the visitor has set of a song's click, and the taps that are to correct it."""

    def __init__(self):
        self.is_on = self.counts_in = False
        self.volume = 1.0
        self.taps = []

    def tap(self, seconds):
        """Take a tap at a time of the song. Gives the taps of the series if they are enough to correct the beats."""
        if self.taps and not 0.1 < seconds - self.taps[-1] < PAUSE:
            self.taps = []
        self.taps.append(seconds)
        return self.taps if len(self.taps) >= TAPS else None

    def facts(self):
        return {"on": self.is_on, "counts_in": self.counts_in, "volume": self.volume}

    def restore(self, facts):
        """Take over what `facts` gave on an earlier visit, as far as it makes sense."""
        if not isinstance(facts, dict):
            return
        self.is_on, self.counts_in = facts.get("on") is True, facts.get("counts_in") is True
        volume = facts.get("volume")
        if isinstance(volume, (int, float)) and 0 <= volume <= LOUDEST:
            self.volume = volume
