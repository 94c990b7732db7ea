"""The key of a song, from how much there is of each pitch class, and how tonics are spelt."""

import numpy as np

from .features import Array

MAJOR_NAMES = ("C", "D♭", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
MINOR_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "G♯", "A", "B♭", "B")
"""As keys are usually spelt."""

PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}
"""How much there is of each degree, from the tonic on: J. Albrecht and D. Shanahan, "The use of large corpora to train
a new type of key-finding algorithm", Music Perception 31 (2013).
"""


def name_of(tonic: int, mode: str) -> str:
    """The name of a key, such as "F♯ minor". tonic: semitones above C."""
    return (MAJOR_NAMES if mode == "major" else MINOR_NAMES)[tonic] + " " + mode


def likeness(amounts: Array) -> dict[str, float]:
    """The correlation of pitch class amounts (12,) with each key's profile, by its name; the best first.

    C. Krumhansl, "Cognitive Foundations of Musical Pitch" (1990).
    """
    found = {}
    for mode, profile in PROFILES.items():
        for tonic in range(12):
            expected = np.roll(np.array(profile), tonic)
            found[name_of(tonic, mode)] = float(np.corrcoef(amounts, expected)[0, 1])
    return dict(sorted(found.items(), key=lambda item: -item[1]))
