"""Another speed and another key: which stems are shifted together, and by how much. Pure Python, on MicroPython too.

At another speed the sources change the pitch, all alike, and shifters take it back. In another key they shift it on, of
all stems but drums, and leave the formants of a voice where they were.
"""

import math

DRUMS, VOCALS, OTHERS = "drums", "vocals", "others"


def group(stem, key):
    """The group that a stem is shifted with. In the song's own key, all are one."""
    return stem if key and stem in (DRUMS, VOCALS) else OTHERS


def shifts(speed, key):
    """What the shifters of groups are to do, as they take it. A group that isn't in it has none in its way."""
    back = -12 * math.log(speed) / math.log(2)
    if not key:
        return {OTHERS: shift(back)} if speed != 1 else {}
    found = {OTHERS: shift(back + key), VOCALS: shift(back + key, back)}
    if speed != 1:
        found[DRUMS] = shift(back)
    return found


def shift(semitones, formants=None):
    """What a shifter is to do, in semitones. formants: None has them move with the pitch."""
    # No tonality limit (0): a speed changes all frequencies alike.
    wanted = {"active": True, "semitones": semitones, "tonalityHz": 0}
    wanted["formantCompensation"] = formants is not None
    wanted["formantSemitones"] = formants or 0
    return wanted
