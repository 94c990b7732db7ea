"""What is known of a song's music: tempo, beats, key and chords, and how it is said. Pure Python, on MicroPython too.

An analysis is a dict, as `umx.music.analysis` describes it.
"""

from page.text.texts import tr

SLOWEST, FASTEST = 25, 400
"""Beats a minute between which a tempo can be halved or doubled."""
ROW = 4
"""Bars of a line of chords."""
NOTES = ("C", "C♯", "D♭", "D", "E♭", "E", "F", "F♯", "G", "G♯", "A♭", "A", "B♭", "B")
"""Tonics of keys, as `umx.music.key` spells them."""
SAME, NONE, BAR = "–", "N.C.", " | "
"""Stand for a bar without a new chord, for no chord, and between bars."""


def understood(found):
    """An analysis from an earlier visit; None where it isn't one."""
    try:
        beats = [float(time) for time in found["beats"]]
        chords = [(float(time), str(name)) for time, name in found["chords"]]
        whole = dict(found)
        whole["beats"], whole["chords"] = beats, chords
        whole["bpm"], whole["one"], whole["meter"] = (
            float(found["bpm"]),
            int(found["one"]),
            int(found["meter"]),
        )
        fits = 0 <= whole["one"] <= len(beats) and whole["meter"] > 0
        is_said = found["tempo_sure"] in ("sure", "about", "")
        for key in (found["key"], found["second"]):
            is_said = is_said and (key == "" or key_name(key))
        return whole if fits and is_said else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def tempo(found):
    """Beats a minute and beats of a bar, for files; None where nothing is known, or there is no steady beat."""
    return (found["bpm"], found["meter"]) if found and found["tempo_sure"] else None


def can_halve(found):
    return found["bpm"] / 2 >= SLOWEST


def can_double(found):
    return 0 < found["bpm"] * 2 <= FASTEST


def halved(found):
    """The same music at half the tempo: every second beat, the first ones of bars among them."""
    first, changed = found["one"] % 2, dict(found)
    changed["bpm"], changed["one"] = found["bpm"] / 2, found["one"] // 2
    changed["beats"] = [time for index, time in enumerate(found["beats"]) if index % 2 == first]
    return changed


def doubled(found):
    """The same music at twice the tempo: a beat more between two."""
    beats, changed = [], dict(found)
    for index, time in enumerate(found["beats"]):
        if index:
            beats.append((beats[-1] + time) / 2)
        beats.append(time)
    changed["bpm"], changed["one"], changed["beats"] = found["bpm"] * 2, found["one"] * 2, beats
    return changed


def tempo_in_words(found):
    if not found["tempo_sure"]:
        return tr("no steady beat")
    bpm = int(found["bpm"] + 0.5)
    if found["tempo_sure"] == "about":
        return tr("about {} BPM").format(bpm)
    tenths = int(10 * found["bpm"] + 0.5)
    # A steady tempo that is no whole number is said as it is.
    return tr("{} BPM").format(tenths / 10 if abs(tenths - 10 * bpm) > 1 else bpm)


def key_name(key):
    """A key's name in the visitor's language. key: such as "F♯ minor"."""
    note, mode = key.split(" ")
    name = tr("C C♯ D♭ D E♭ E F F♯ G G♯ A♭ A B♭ B").split()[NOTES.index(note)]
    return (tr("{} minor") if mode == "minor" else tr("{} major")).format(name)


def key_in_words(found):
    if not found["key"]:
        return tr("no key")
    if not found["second"]:
        return key_name(found["key"])
    return tr("{}, or {}").format(key_name(found["key"]), key_name(found["second"]))


def in_words(found):
    """Tempo and key."""
    return tempo_in_words(found) + " · " + key_in_words(found)


def bars(found):
    """When each bar begins, in seconds; before the first one there may be a shorter one."""
    beats, meter = found["beats"], found["meter"]
    first = found["one"] % meter
    starts = [time for index, time in enumerate(beats) if index % meter == first]
    return beats[:1] + starts if first else starts


def lines_of_chords(found):
    """The chords, ROW bars a line: pairs of the line's time in seconds and its text."""
    starts, chords = bars(found), list(found["chords"])
    texts = []
    for end in starts[1:] + [float("inf")]:
        names = []
        # A chord that changes just before a bar belongs to it.
        while chords and chords[0][0] < end - 0.05:
            names.append(chords.pop(0)[1] or NONE)
        texts.append(" ".join(names) or SAME)
    if not found["chords"]:
        return []
    return [
        (starts[index], BAR.join(texts[index : index + ROW]))
        for index in range(0, len(starts), ROW)
    ]
