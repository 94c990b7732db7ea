"""Another speed and another key: which stems are shifted together, and by how much. Pure Python, on MicroPython too.

Speed: sources play faster or slower, which changes the pitch of all stems alike, and shifters undo that. Key: shifters
change the pitch of all stems but drums, and keep the formants of vocals.
"""

import math

DRUMS, VOCALS, OTHERS = "drums", "vocals", "others"


def group(stem, key):
    """The group that a stem is shifted with. In the song's own key, all are one."""
    return stem if key and stem in (DRUMS, VOCALS) else OTHERS


def shifts(speed, key):
    """Settings of the shifters by group, see `shift`. A group that isn't listed bypasses its shifter."""
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
