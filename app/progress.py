"""From events to a percentage and a time left. Pure Python, on MicroPython too."""


class Progress:
    """Fractions of equal parts of the work, and the time that has been spent on them."""

    def __init__(self, parts, now):
        """parts: how many; now: seconds on any clock."""
        self.fractions = [0.0] * parts
        self.begun = now

    def update(self, part, fraction):
        self.fractions[part] = fraction

    def fraction(self):
        return sum(self.fractions) / len(self.fractions)

    def seconds_left(self, now):
        """None as long as too little is done to tell."""
        done = self.fraction()
        if done < 0.02:
            return None
        return (now - self.begun) * (1 - done) / done


def spoken(seconds):
    """A time left as people say it: "about 2 min 10 s"."""
    if seconds is None:
        return "estimating the time left"
    seconds = int(seconds + 0.5)
    if seconds < 1:
        return "almost done"
    if seconds < 60:
        return "about {} s left".format(seconds)
    minutes, seconds = divmod(seconds, 60)
    return "about {} min {} s left".format(minutes, seconds - seconds % 5)
