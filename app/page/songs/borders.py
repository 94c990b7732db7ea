"""Where the batches of a song meet: their faded ends, which are added up there. Pure Python, on MicroPython too.

Border n lies between batches n and n + 1. Its "tail" is the faded end of batch n, its "head" the faded beginning of
batch n + 1.
"""

SIDES = ("tail", "head")


class Borders:
    """Keeps ends until their neighbours are there, and gives each border's two ends once."""

    def __init__(self):
        self.ends = {}  # by border and side
        self.taken = set()  # borders that are added up, or are being added up just now

    def add(self, border, side, end):
        """Keep an end, in place of the one that the batch gave when it was done before."""
        if border not in self.taken:
            self.ends[border, side] = end

    def take(self, border):
        """The tail and the head of a border, which is to be added up now; None if one is missing, or it has begun."""
        if border in self.taken or not all((border, side) in self.ends for side in SIDES):
            return None
        self.taken.add(border)
        return [self.ends[border, side] for side in SIDES]

    def failed(self, border, side):
        """A worker that was to add up a border has stopped: one side's end is lost, and its batch is done again."""
        self.taken.remove(border)
        del self.ends[border, side]

    def done(self, border):
        """Let go of both ends, which are added up."""
        for side in SIDES:
            del self.ends[border, side]
