"""The preview of a song: a small model's stems, heard until the better ones are there. Pure Python, on MicroPython too.

All workers make it before they begin with the better model, and each holds the small one beside it only for so long.
So a device never has more than one small model a worker on top of what it needs anyway, and a song costs little more
time. Pieces are (start, samples, …), in samples of the song.
"""

from shared.facts import SAMPLE_RATE

LONG = 30
"""Seconds of work above which a song gets a preview."""
SHARE = 0.1
"""How much of that time the preview may take."""
LONGEST = 300
"""Seconds of a song that have a preview: until the song is done, it lies on the device beside the stems."""
STEP = SAMPLE_RATE
"""Samples of a preview that are scheduled at once: better stems may come meanwhile."""
FADE = 441
"""Samples over which one model's stems turn into the other's."""


def reach(seconds, pace, small):
    """How many seconds of a song have a preview.

    pace, small: seconds that a second of music takes with the model, and with the small one.
    """
    work = seconds * pace
    return min(seconds, LONGEST, SHARE * work / small) if work > LONG else 0


def suits(lanes, stems):
    """Whether a preview of these stems sounds like the whole song in these lanes.

    At least one of its stems must be a lane. Those that are none need a last lane, "karaoke" or "rest", to go into.
    """
    heard = [stem for stem in lanes if stem in stems]
    return bool(heard) and (len(heard) == len(stems) or lanes[-1] in ("karaoke", "rest"))


def lacking(lanes, stems):
    """The lanes that a preview leaves silent, and the one that has their sound meanwhile; None where all are heard.

    stems: of the small model, which suits the lanes.
    """
    heard = [stem for stem in lanes if stem in stems]
    if len(heard) < len(stems):
        heard.append(
            lanes[-1]
        )  # what is left; beside all of the small model's stems that is nothing
    silent = [stem for stem in lanes if stem not in heard]
    if not silent:
        return None
    return silent, "melody" if "melody" in heard else lanes[-1]


def as_lanes(found, lanes):
    """A preview's stems by the names of lanes. Where they are vocals and karaoke, a lane "rest" gets the karaoke."""
    if lanes[-1] == "rest" and sorted(found) == ["karaoke", "vocals"]:
        return {"vocals": found["vocals"], "rest": found["karaoke"]}
    return found


def at(pieces, sample):
    """The piece that holds a sample, or None."""
    for piece in pieces:
        if piece[0] <= sample < piece[0] + piece[1]:
            return piece
    return None


def heard(finals, previews, sample):
    """The piece to hear at a sample, and where another is to follow; None where there is none.

    Final stems are heard where there are any. Before a place that has a preview alone they end early, to turn into it.
    """
    final, preview = at(finals, sample), at(previews, sample)
    if final:
        end = final[0] + final[1]
        if not preview or at(finals, end) or not at(previews, end):
            return final, end
        if sample < end - FADE:
            return final, end - FADE
    if not preview:
        return None
    ends = [piece[0] for piece in finals if piece[0] > sample]
    return preview, min([preview[0] + preview[1], sample + STEP] + ends)
