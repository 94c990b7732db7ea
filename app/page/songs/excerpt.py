"""The excerpt of a song that a visitor chooses, on whole seconds. Pure Python, on MicroPython too."""

from shared.facts import SAMPLE_RATE

SHORTEST = SAMPLE_RATE
"""Samples."""
BETWEEN = ":.,：． "
"""What may stand between hours, minutes and seconds; a phone's keyboard for numbers has no colon."""
WIDE_ZERO = ord("０")
"""The first of the digits that Japanese keyboards may give."""


def seconds_of(text):
    """The seconds of a time such as 1:05, 1:02:03 or 65. Raises ValueError for another text."""
    fields = [""]
    for letter in text.strip():
        digit = ord(letter) - WIDE_ZERO
        if letter in BETWEEN:
            fields.append("")
        elif 0 <= digit < 10:
            fields[-1] += str(digit)
        elif "0" <= letter <= "9":
            fields[-1] += letter
        else:
            raise ValueError(text)
    if len(fields) > 3 or "" in fields:
        raise ValueError(text)
    seconds = 0
    for field in fields:
        seconds = 60 * seconds + int(field)
    return seconds


class Excerpt:
    """Begin and end of what is wanted of a song, in samples. In the beginning that is all of it."""

    def __init__(self, length, chosen=None):
        """length: the song's, in samples; chosen: begin and end from before, if there are any."""
        self.length = length
        self.edges = chosen or (0, length)

    def chosen(self):
        """Begin and end; None for the whole song."""
        return None if self.edges == (0, self.length) else self.edges

    def second(self, sample):
        """The sample at the nearest whole second. The song's last one, which may be cut short, is its end."""
        seconds = int(sample / SAMPLE_RATE + 0.5)
        return (
            max(0, seconds * SAMPLE_RATE) if seconds < self.length // SAMPLE_RATE else self.length
        )

    def move(self, edge, sample):
        """Move the begin (0) or the end (1) near a sample, as far as the other one allows."""
        begin, end = self.edges
        if edge:
            end = min(max(self.second(sample), begin + SHORTEST), self.length)
        else:
            begin = max(0, min(self.second(sample), end - SHORTEST))
        self.edges = begin, end

    def span(self, one, other):
        """Reach from one sample to another, in either order."""
        self.edges = 0, self.length
        self.move(0, min(one, other))
        self.move(1, max(one, other))
