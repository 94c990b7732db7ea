"""Chords of a song: a major or a minor triad at a time, or none."""

import numpy as np

from .features import Array
from .key import MAJOR_NAMES, MINOR_NAMES

TRIADS = {"": (0, 4, 7), "m": (0, 3, 7)}
NONE = ""
"""The name of no chord."""
CHANGE = 0.6
"""How dear a change of the chord is, against the likeness of a beat to a chord, at most 1."""
ROOT = 0.3
"""How much it speaks for a chord that the bass plays its root, against its likeness."""
LEAST = 0.3
"""Likeness to a chord below which there is none."""


def names() -> list[str]:
    """Names of all chords, such as "C" and "F♯m"."""
    return [*MAJOR_NAMES, *(name + "m" for name in MINOR_NAMES)]


def templates() -> Array:
    """(chords, 12): the pitch classes of each, without their mean, of length 1."""
    found = np.zeros((24, 12))
    for row, degrees in zip((0, 12), TRIADS.values(), strict=True):
        for tonic in range(12):
            found[row + tonic, [(tonic + degree) % 12 for degree in degrees]] = 1
    found -= found.mean(axis=1, keepdims=True)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def chords(amounts: Array, roots: Array) -> list[str]:
    """The chord of each beat, or NONE.

    Likeness to templates, smoothed by Viterbi's algorithm: T. Fujishima, "Realtime chord recognition of musical sound",
    ICMC (1999); A. Sheh and D. Ellis, "Chord segmentation and recognition using EM-trained hidden Markov models", ISMIR
    (2003).
    amounts: (beats, 12), of all pitches; roots: (beats, 12), of the bass.
    """
    centred = amounts - amounts.mean(axis=1, keepdims=True)
    like = centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-9) @ templates().T
    lowest = roots / (roots.max(axis=1, keepdims=True) + 1e-9)
    like += ROOT * np.concatenate([lowest, lowest], axis=1)
    score, before = like[0], np.zeros(like.shape, int)
    for beat in range(1, len(like)):
        best = int(score.argmax())
        stays = score >= score[best] - CHANGE
        before[beat] = np.where(stays, np.arange(24), best)
        score = np.where(stays, score, score[best] - CHANGE) + like[beat]
    path = [int(score.argmax())]
    for beat in range(len(like) - 1, 0, -1):
        path.append(int(before[beat, path[-1]]))
    known = names()
    return [
        known[chord] if row[chord] >= LEAST else NONE
        for chord, row in zip(path[::-1], like, strict=True)
    ]
