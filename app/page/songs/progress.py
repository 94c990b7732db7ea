"""Percentage and time left, from events. Pure Python, on MicroPython too."""

from page.text.texts import tr


class Progress:
    """Progress of work in equal parts, several of which may be under way at once."""

    def __init__(self, parts):
        self.fractions = [0.0] * parts
        self.begun, self.told = {}, {}  # seconds on any clock, by part
        self.at_once = 1

    def update(self, part, fraction, now):
        """Note a part's fraction. To be called with 0 when a part begins."""
        if not fraction:
            self.begun[part] = now
        self.fractions[part], self.told[part] = fraction, now
        self.at_once = max(self.at_once, len(self.under_way()))

    def under_way(self):
        return [part for part in self.begun if self.fractions[part] < 1]

    def fraction(self):
        return sum(self.fractions) / len(self.fractions)

    def seconds_left(self, now):
        """Seconds until the end, at any time, not only after an update. None while too little is done to tell."""
        done = sum(self.fractions)
        if self.fraction() < 0.02:
            return None
        busy = sum(self.told[part] - self.begun[part] for part in self.begun)
        whole = busy / done * len(self.fractions)
        # Parts under way have gone on since their last update.
        spent = busy + sum(now - self.told[part] for part in self.under_way())
        return max(0, whole - spent) / self.at_once


def spoken(seconds):
    """A time left in words: "about 2 min 10 s"."""
    if seconds is None:
        return tr("estimating the time left")
    seconds = int(seconds + 0.5)
    if seconds < 1:
        return tr("almost done")
    if seconds < 60:
        return tr("about {} s left").format(seconds)
    minutes, seconds = divmod(seconds, 60)
    return tr("about {} min {} s left").format(minutes, seconds - seconds % 5)
