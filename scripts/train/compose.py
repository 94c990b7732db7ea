"""A song on paper: key, tempo, sections, chords, and every player's notes. Nothing here makes sound.

Time is counted in bars and sixteenths; `Song.time` turns them into seconds. A Note's pitch is a MIDI number.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

Rng = np.random.Generator

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
PROGRESSIONS = {
    "major": [
        "0453",
        "0534",
        "5304",
        "0343",
        "0304",
        "1405",
        "0234",
        "0413",
        "3425",
        "0034",
        "0514",
    ],
    "minor": ["0526", "0340", "0656", "0534", "0263", "0056", "5600", "0362", "0453"],
    "dorian": ["0303", "0630", "0236", "0103"],
    "mixolydian": ["0630", "0363", "0063", "0634"],
}
# Probability of a hit on each sixteenth of a bar: x surely, o often, + now and then, - seldom.
CHANCE = {"x": 1.0, "o": 0.7, "+": 0.45, "-": 0.25, ".": 0.0}
GROOVES = {
    "rock": {"kick": "x.....-.x-o.....", "snare": "....x..-....x..-", "hat": "x.x.x.x.x.x.x.x."},
    "drive": {"kick": "x..o..x...o.-...", "snare": "....x.......x.--", "ride": "x...x...x...x..."},
    "pop": {"kick": "x...-.o.x....-o.", "snare": "....x.......x...", "hat": "xoxoxoxoxoxoxoxo"},
    "house": {
        "kick": "x...x...x...x...",
        "clap": "....x.......x...",
        "open": "..x...x...x...x.",
        "hat": "+.-++.-++.-++.-+",
    },
    "disco": {
        "kick": "x...x...x...x...",
        "snare": "....x.......x...",
        "hat": "x.-.x.-.x.-.x.-.",
        "open": "..x...x...x...x.",
    },
    "funk": {"kick": "x.-..-x...o--.o.", "snare": "....x..+.+..x..+", "hat": "xoxoxoxoxoxoxoxo"},
    "hiphop": {"kick": "x..-..-o..x..-..", "snare": "....x.......x..-", "hat": "x.x.x.x-x.x.x.x-"},
    "trap": {"kick": "x.....-...x..-..", "clap": "........x.......", "hat": "xoxoxoxoxoxoxoxx"},
    "dnb": {"kick": "x.........x.....", "snare": "....x..-.-..x..-", "hat": "x.x.x.x.x.x.x.x."},
    "metal": {
        "kick": "xxxxx.xxxxxxx.x.",
        "snare": "....x.......x...",
        "crash": "x...-...+...-...",
        "open": "x...x...x...x...",
    },
    "blast": {"kick": "x.x.x.x.x.x.x.x.", "snare": ".x.x.x.x.x.x.x.x", "ride": "x.x.x.x.x.x.x.x."},
    "half": {"kick": "x..-..-.....-.o.", "snare": "........x.......", "hat": "x.x.x.x.x.x.x.x."},
    "ballad": {"kick": "x.......-.x.....", "rim": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
    "latin": {
        "kick": "x..x..x.x..x..x.",
        "rim": "x..x..x...x.x...",
        "hat": "x.xxx.xxx.xxx.xx",
        "percussion": "x.o.x.oox.o.x.oo",
    },
    "shuffle": {
        "kick": "x.....x.x.......",
        "snare": "....x.......x...",
        "ride": "x..xx..xx..xx..x",
    },
}
ROCK = ("rock", "drive", "metal", "blast", "half", "shuffle")
LIKELIHOOD = {"rock": 3, "drive": 2, "pop": 3, "metal": 2, "hiphop": 1.5, "half": 1.5, "blast": 0.5}
TEMPI = {
    "dnb": (150, 178), "house": (112, 132), "disco": (108, 130), "ballad": (62, 92), "trap": (65, 85),
    "hiphop": (78, 104), "metal": (105, 170), "blast": (90, 125), "half": (70, 95),
}  # fmt: skip
SECTIONS = ("intro", "verse", "chorus", "bridge", "break")


class Note(NamedTuple):
    start: float  # seconds
    end: float
    pitch: int
    velocity: int


class Hit(NamedTuple):
    start: float  # seconds
    piece: str
    strength: float  # 0 to 1


@dataclass
class Song:
    """The plan that all players share."""

    style: str
    step: float  # seconds a sixteenth
    swing: float  # fraction of a sixteenth by which every second one is late
    key: int  # MIDI number of the tonic
    mode: str
    sections: list[str]  # a bar each
    chords: list[int]  # a bar each, as a scale degree

    @property
    def bars(self) -> int:
        return len(self.sections)

    @property
    def seconds(self) -> float:
        return self.bars * 16 * self.step + 1.5

    def time(self, bar: int, sixteenth: float) -> float:
        late = self.swing * self.step if int(sixteenth) % 2 else 0.0
        return (16 * bar + sixteenth) * self.step + late

    def pitch(self, degree: int) -> int:
        """The MIDI number of a scale degree; 7 is an octave above the tonic."""
        octave, step = divmod(int(degree), 7)
        return self.key + MODES[self.mode][step] + 12 * octave

    def near(self, degree: int, centre: int) -> int:
        """The same tone in the octave around a MIDI number."""
        return centre - 6 + (self.pitch(degree) - centre + 6) % 12

    def in_scale(self, pitch: int) -> int:
        """The tone of the scale at or just below a MIDI number."""
        return next(p for p in range(pitch, 0, -1) if (p - self.key) % 12 in MODES[self.mode])


def compose(r: Rng) -> Song:
    """Plan 40 to 60 seconds of song."""
    styles = list(GROOVES)
    weights = np.array([LIKELIHOOD.get(style, 1) for style in styles], float)
    style = str(r.choice(styles, p=weights / weights.sum()))
    tempo = r.uniform(*TEMPI.get(style, (80, 150)))
    mode = str(r.choice(list(MODES), p=[0.4, 0.4, 0.1, 0.1]))
    step = 15 / tempo
    swing = r.uniform(0.1, 0.35) if r.random() < 0.2 else 0.0
    song = Song(style, step, swing, 55 + int(r.integers(-5, 7)), mode, [], [])
    progressions = {section: str(r.choice(PROGRESSIONS[mode])) for section in SECTIONS}
    while song.seconds < 40:
        section = str(r.choice(SECTIONS, p=[0.1, 0.35, 0.4, 0.1, 0.05]))
        bars = 4 if section in ("intro", "break") or tempo < 80 else int(r.choice([4, 8]))
        song.sections += [section] * bars
        song.chords += [int(progressions[section][bar % 4]) for bar in range(bars)]
    return song


def playing(r: Rng, **chances: float) -> set[str]:
    """The sections in which a part plays; at least one."""
    on = {section for section in SECTIONS if r.random() < chances.get(section, 0.8)}
    return on or {"verse", "chorus"}


def drums(r: Rng, song: Song) -> list[Hit]:
    """A groove a section, with variation, ghost notes and fills into the next."""
    loose = r.uniform(0, 0.01)
    on = playing(r, intro=0.6, verse=0.95, chorus=0.99, bridge=0.75, **{"break": 0.4})
    grooves = {}
    for section in SECTIONS:
        style = song.style if r.random() < 0.8 else str(r.choice(list(GROOVES)))
        groove = {
            piece: np.array([CHANCE[c] for c in line]) for piece, line in GROOVES[style].items()
        }
        if section == "chorus" and "hat" in groove and r.random() < 0.6:
            groove[str(r.choice(["ride", "open", "crash"]))] = groove.pop("hat")
        if r.random() < 0.25:
            line = str(r.choice(["x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo", "....x.......x..."]))
            groove["percussion"] = np.array([CHANCE[c] for c in line])
        grooves[section] = {piece: (line, r.random(16) < line) for piece, line in groove.items()}
    hits = []
    for bar, section in enumerate(song.sections):
        if section not in on:
            continue
        changes = bar + 1 < song.bars and song.sections[bar + 1] != section
        fill = (
            int(r.choice([8, 12, 12, 14])) if (changes or bar % 4 == 3) and r.random() < 0.5 else 16
        )
        for piece, (line, usual) in grooves[section].items():
            for i in range(fill if piece != "kick" else 16):
                if usual[i] if r.random() < 0.85 else r.random() < line[i]:
                    accent = 0.95 if i % 4 == 0 else 0.72 if i % 2 == 0 else 0.5
                    accent *= 1.1 if piece in ("kick", "snare") else 1
                    hits.append(Hit(song.time(bar, i), piece, accent + r.normal(0, 0.07)))
        for i in range(fill, 16):
            piece = str(
                r.choice(["snare", "high tom", "low tom", "kick"], p=[0.4, 0.25, 0.25, 0.1])
            )
            hits.append(Hit(song.time(bar, i), piece, 0.6 + 0.3 * (i - fill) / 16))
        if (bar == 0 or song.sections[bar - 1] != section) and r.random() < 0.8:
            hits.append(Hit(song.time(bar, 0), "crash", r.uniform(0.6, 1)))
    return [
        Hit(max(0, h.start + r.normal(0, loose)), h.piece, float(np.clip(h.strength, 0.15, 1)))
        for h in hits
    ]


def bass(r: Rng, song: Song) -> list[Note]:
    """A bass line in one manner throughout."""
    low = 28 if r.random() < 0.8 else 24
    manner = str(
        r.choice(["eighths", "sixteenths", "quarters", "octaves", "walk", "long", "funk", "funk"])
    )
    on = playing(r, intro=0.5, verse=0.93, chorus=0.99, **{"break": 0.6})
    held = r.uniform(0.55, 0.98)
    beats = np.arange(16)
    pattern = r.random(16) < np.where(beats % 4 == 0, 0.8, np.where(beats % 2 == 0, 0.45, 0.18))
    pattern[0] = True
    notes = []
    for bar, section in enumerate(song.sections):
        if section not in on:
            continue
        root = song.near(song.chords[bar], low + 6)
        following = song.near(song.chords[min(bar + 1, song.bars - 1)], low + 6)
        match manner:
            case "eighths":
                line = [(i, 2, root if r.random() < 0.9 else root + 7) for i in range(0, 16, 2)]
            case "sixteenths":
                line = [(i, 1, root if r.random() < 0.85 else root + 12) for i in range(16)]
            case "quarters":
                line = [
                    (i, 4, root if i % 8 == 0 else root + int(r.choice([0, 7])))
                    for i in range(0, 16, 4)
                ]
            case "octaves":
                line = [(i, 2, root + 12 * (i % 4 == 2)) for i in range(0, 16, 2)]
            case "walk":
                third = song.near(song.chords[bar] + 2, low + 6)
                line = [(4 * i, 4, p) for i, p in enumerate((root, third, root + 7, following - 1))]
            case "long":
                line = [(0, 16, root)]
            case _:
                starts = [*np.flatnonzero(pattern).tolist(), 16]
                line = [
                    (
                        a,
                        b - a,
                        root + (0 if a == 0 or r.random() < 0.6 else int(r.choice([12, 7, 10]))),
                    )
                    for a, b in pairwise(starts)
                ]
        for i, length, pitch in line:
            start = max(0, song.time(bar, i) + r.normal(0, 0.005))
            velocity = int(np.clip(95 + 8 * (i % 4 == 0) + r.normal(0, 8), 30, 127))
            notes.append(Note(start, start + held * length * song.step, pitch, velocity))
    return notes


def accompaniment(r: Rng, song: Song, manner: str, centre: int) -> list[Note]:
    """Chords, figures or melodies: pad, block, strum, stab, arpeggio, chug, power, riff, lead."""
    on = playing(r, intro=0.6, verse=0.7, chorus=0.95, bridge=0.75, **{"break": 0.7})
    held = r.uniform(0.4, 1) if manner not in ("pad", "power") else 0.98
    beats = np.arange(16)
    pattern = r.random(16) < np.where(beats % 4 == 0, 0.75, np.where(beats % 2 == 0, 0.5, 0.22))
    pattern[0] = True
    order = r.permutation(8)
    pace = int(r.choice([1, 2, 2]))
    tones = r.integers(-3, 8, 16)
    lengths = r.choice([1, 2, 2, 3, 4, 4, 6, 8], 16)
    extra = int(r.choice([3, 3, 4]))  # triads or seventh chords
    notes = []
    for bar, section in enumerate(song.sections):
        if section not in on:
            continue
        degree = song.chords[bar]
        chord = sorted(song.near(degree + 2 * i, centre) for i in range(extra))
        low = song.near(degree, 45)
        power = (low, low + 7, low + 12)
        match manner:
            case "pad":
                line = [(0, 16, p) for p in chord]
            case "block":
                line = [(i, 4, p) for i in range(0, 16, 4) for p in chord]
            case "strum":
                line = [
                    (i + 0.07 * k, 2, p)
                    for i in np.flatnonzero(pattern)
                    for k, p in enumerate([*chord, chord[0] + 12])
                ]
            case "stab":
                line = [(i, 1, p) for i in np.flatnonzero(pattern) if i % 4 for p in chord]
            case "arpeggio":
                wide = [*chord, chord[0] + 12, chord[1] + 12]
                line = [
                    (i, pace, wide[order[i // pace % 8] % len(wide)]) for i in range(0, 16, pace)
                ]
            case "chug":
                line = [
                    (i, 1 + bool(pattern[i]), p)
                    for i in range(16)
                    if pattern[i] or i % 2 == 0
                    for p in power
                ]
            case "power":
                line = [(i, 8, p) for i in (0, 8) for p in power]
            case "riff" | "lead":
                # A riff comes back every second bar; a lead goes on.
                place, i, line = (8 * (bar % 2) if manner == "riff" else int(r.integers(16))), 0, []
                while i < 16:
                    length = int(lengths[place % 16])
                    if r.random() < 0.9:
                        tone = degree + tones[place % 16] if manner == "riff" else tones[place % 16]
                        line.append((i, min(length, 16 - i), song.near(int(tone), centre)))
                    i, place = i + length, place + 1
            case _:
                raise ValueError(f"Nobody knows how to play {manner!r}.")
        for i, length, pitch in line:
            start = max(0, song.time(bar, i) + r.normal(0, 0.006))
            velocity = int(np.clip(88 + 8 * (int(i) % 4 == 0) + r.normal(0, 9), 25, 127))
            end = start + max(held * length * song.step, 0.03)
            notes.append(Note(start, end, int(np.clip(pitch, 21, 108)), velocity))
    return notes


def melody(r: Rng, song: Song, centre: int) -> list[list[Note]]:
    """The singer's phrases around a MIDI number, with chord tones on the strong beats."""
    on = playing(r, intro=0.25, verse=0.93, chorus=0.97, bridge=0.7, **{"break": 0.4})
    home = round((centre - song.key) / 12 * 7)
    leaps = r.integers(-2, 3, 24)
    lengths = r.choice([1, 2, 2, 2, 4, 4, 6, 8], 24)
    phrases, bar, degree = [], 0, home
    while bar < song.bars:
        bars = min(int(r.choice([1, 2, 2, 4])), song.bars - bar)
        end = 16 * bars - int(r.choice([1, 2, 4, 6]))
        if song.sections[bar] not in on:
            bar += bars
            continue
        lift = 3 if song.sections[bar] == "chorus" else 0
        i, place, notes = int(r.choice([0, 0, 2, 4])), int(r.integers(8)), []
        while i < end:
            length = (
                int(lengths[place % 24]) if r.random() < 0.85 else int(r.choice([1, 2, 3, 4, 8]))
            )
            if length == 1 and song.step < 0.12:
                length = 2  # the fastest that anybody sings
            if i + length >= end - 2:
                length = max(length, int(r.choice([4, 6, 8])))
            degree = int(
                np.clip(
                    degree + leaps[place % 24] + r.integers(-1, 2), home + lift - 4, home + lift + 5
                )
            )
            if i % 8 == 0:
                chord = song.chords[min(bar + i // 16, song.bars - 1)]
                degree = min(
                    range(degree - 2, degree + 3),
                    key=lambda d: ((d - chord) % 7 not in (0, 2, 4), abs(d - degree)),
                )
            start = max(0.05, song.time(bar, i) + r.normal(0, 0.012))
            sung = length * song.step * r.uniform(0.8, 1)
            notes.append(Note(start, start + sung, song.pitch(degree), 100))
            i, place = i + length, place + 1
        if notes:
            phrases.append(notes)
        bar += bars
    return phrases
