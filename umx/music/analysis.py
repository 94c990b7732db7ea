"""A song's tempo, beats, key and chords, from its stems."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from ..names import KARAOKE, VOCALS, title_of
from ..types import Float
from . import beats, key
from .chords import NONE, chords
from .features import FRAMES, PITCH_FRAMES, RATE, Array, Bands, Pitches, chroma, tuning

Analysis: TypeAlias = dict[str, Any]
"""What is known of a song, in a form for JSON:

"bpm": beats a minute, 0 where there is no beat; "beats": their times in seconds; "meter": beats of a bar; "one": the
index of a beat that begins a bar, and so does every `meter`-th from there; "tempo_sure": "sure" if beats are regular,
"about" if they aren't, "" if there are none; "key": such as "A minor", "" where nothing has a pitch; "second": another
key that it may be, "" where that is clear; "chords": [seconds, name] where a chord begins, such as "Am"; "" is none.
"""

DRUMS, BASS = "drums", "bass"
BLOCK = 10 * RATE
"""Samples that are looked at together."""
AROUND = 0.4
"""How much onsets in the whole song count beside those of its drums: it goes on where drums pause."""
SILENT = 1e-6
"""Energy of the loudest band that no song is below."""
CLEAR = 3.0
"""How much stronger onsets must be on beats than elsewhere, for there to be a beat: 2 in noise, 4 and more in songs."""
LOW = 0.6
"""How much the bass counts for the key, beside what is above."""
APART = 0.08
"""How much more alike the key must be than the second, for it to be clear."""


class Analyser:
    """Hears a song a stretch at a time, and says what it is."""

    def __init__(self) -> None:
        self.samples = 0
        self.drums, self.whole = Bands(), Bands()
        self.bass, self.melody = Pitches(38, 280), Pitches(110, 2000)
        self.has_drums = False

    def add(self, stems: Mapping[str, Float]) -> None:
        """Hear the next stretch of every stem: float32 (2, samples) at 44.1 kHz, by people's or the field's names.

        The same stems must come each time. Karaoke counts only where it is not the sum of others.
        """
        named = {title_of(name): stem for name, stem in stems.items()}
        if KARAOKE in named and set(named) != {VOCALS, KARAOKE}:
            del named[KARAOKE]
        for start in range(0, next(iter(named.values())).shape[1], BLOCK):
            self._add({name: s[:, start : start + BLOCK].mean(axis=0) for name, s in named.items()})

    def _add(self, mono: dict[str, Float]) -> None:
        whole = np.sum(list(mono.values()), axis=0)
        self.samples += len(whole)
        self.whole.add(whole)
        self.has_drums = DRUMS in mono
        if self.has_drums:
            self.drums.add(mono[DRUMS])
        pitched = {name: s for name, s in mono.items() if name != DRUMS}
        played = {name: s for name, s in pitched.items() if name not in (VOCALS, BASS)} or pitched
        tonal = np.sum(list(played.values()), axis=0) if played else 0 * whole
        self.melody.add(tonal)
        self.bass.add(mono.get(BASS, tonal))

    def result(self) -> Analysis:
        """What was heard. To be asked once, after the last stretch."""
        low, high = self.bass.classes(), self.melody.classes()
        tuned = tuning(low + high)
        low, high = chroma(low, tuned), chroma(high, tuned)
        found = self._beats(low + high)
        best, second = keys(low, high)
        return {
            "bpm": round(found.bpm, 2),
            "beats": [round(time, 3) for time in found.times.tolist()],
            "one": found.one,
            "meter": beats.METER,
            "tempo_sure": ("sure" if found.is_steady else "about") if found.bpm else "",
            "key": best,
            "second": second,
            "chords": chord_changes(found.times, low, high) if best else [],
        }

    def _beats(self, amounts: Array) -> beats.Beats:
        whole = self.whole.energies()
        drums = self.drums.energies() if self.has_drums else whole
        loudest = beats.reference(whole)
        strength = beats.normalised(
            beats.onset_strength(drums, loudest) + AROUND * beats.onset_strength(whole, loudest)
        )
        none = beats.Beats(0, np.zeros(0), 0, False)
        if loudest.max() < SILENT or len(strength) < 4 * FRAMES:
            return none
        bpm = beats.tempo(strength)
        places = beats.track(strength, bpm)
        if len(places) < beats.FEWEST:
            return none
        times = beats.seconds(places, strength)
        if strength[places].mean() < CLEAR * strength.mean():
            return none
        period, first, is_steady = beats.regular(times, strength)
        if is_steady:
            times = beats.grid(period, first, self.samples / RATE)
        change = changes(by_beat(amounts, times))
        one = beats.the_one(times, drums, loudest, change)
        return beats.Beats(60 / period, times, one, is_steady)


def by_beat(amounts: Array, times: Array) -> Array:
    """(beats, 12): the mean of pitch class amounts (frames, 12) from each beat to the next."""
    ends = np.append(times, 2 * times[-1] - times[-2])
    frames = np.clip(np.rint(ends * PITCH_FRAMES).astype(int), 0, len(amounts))
    return np.array(
        [
            amounts[min(a, len(amounts) - 1) : max(b, a + 1)].mean(axis=0)
            for a, b in pairwise(frames)
        ]
    )


def changes(amounts: Array) -> Array:
    """(beats,): how much each beat's pitch classes (beats, 12) differ from those of the beat before, from 0 to 1."""
    unit = amounts / (np.linalg.norm(amounts, axis=1, keepdims=True) + 1e-9)
    found = np.zeros(len(unit))
    found[1:] = 1 - (unit[1:] * unit[:-1]).sum(axis=1)
    return found


def keys(low: Array, high: Array) -> tuple[str, str]:
    """The key, and another that it may be. low, high: (frames, 12), of the bass and of what is above."""
    amounts = LOW * balanced(low) + balanced(high)
    if not amounts.any():
        return "", ""
    (best, likeness), (second, next_best) = list(key.likeness(amounts).items())[:2]
    return best, second if likeness - next_best < APART else ""


def balanced(amounts: Array) -> Array:
    """Pitch class amounts of a song (12,), from those of its frames (frames, 12). Loud frames count little more."""
    loud = amounts.sum(axis=1, keepdims=True)
    if not loud.any():
        return np.zeros(12)
    total: Array = (amounts / np.sqrt(loud + 1e-9)).sum(axis=0)
    total /= total.sum()
    return total


def chord_changes(times: Array, low: Array, high: Array) -> list[tuple[float, str]]:
    """Where chords begin, in seconds, and their names."""
    if len(times) < beats.FEWEST:
        return []
    named = chords(by_beat(low + high, times), by_beat(low, times))
    found: list[tuple[float, str]] = []
    for time, name in zip(times.tolist(), named, strict=True):
        if name != (found[-1][1] if found else NONE):
            found.append((round(time, 3), name))
    return found


def analyse(stems: Mapping[str, Float]) -> Analysis:
    """Analyse a whole song. stems: as `Analyser.add` takes them."""
    analyser = Analyser()
    analyser.add(stems)
    return analyser.result()
