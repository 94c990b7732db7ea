"""Where playback is: which sample is heard at which time, what is to be scheduled next, and what is repeated.

Times are seconds on a clock that the caller reads, such as an audio context's. Pure Python, on MicroPython too.
"""

from shared.facts import SAMPLE_RATE

AHEAD = 2.0
"""Seconds that are scheduled before they are heard."""
LEAD = 0.08
"""Seconds from scheduling to sound, at the start."""

OVER, REST, SCHEDULE, WAIT = "over", "rest", "schedule", "wait"


class Playhead:
    def __init__(self, length):
        """length: samples of the song."""
        self.length = length
        self.position = 0  # the next sample to schedule
        self.rate, self.delay = (
            1.0,
            0.0,
        )  # how fast samples pass, and seconds by which they are heard late
        self.loop_range = None  # begin and end, in samples, of what is repeated
        self.count_in = lambda sample: 0  # samples that pass before playback begins at a sample
        self.playing = False
        self.run = (
            0  # counts starts, so that what belongs to an earlier one notices that it is over
        )
        self.anchors = []  # (time from which it counts in, time, the sample heard then), in order of time

    def start(self):
        """Begin to play, at the beginning if the song has ended. Gives the number of this run, for `goes_on`."""
        if self.position >= self.length:
            self.position = 0
        self.playing = True
        self.run += 1
        return self.run

    def goes_on(self, run):
        return self.playing and run == self.run

    def stop(self, time):
        """Stop at the sample that is heard."""
        self.position = self.heard(time)
        self.playing = False
        self.anchors = []

    def seek(self, sample):
        """Go to a sample, or to the nearest one of the song, while nothing plays."""
        self.position = max(0, min(int(sample), self.length))

    def heard(self, time):
        """The sample that is heard."""
        if not self.anchors:
            return self.position
        time -= self.delay
        while len(self.anchors) > 1 and self.anchors[1][0] <= time:
            self.anchors.pop(0)
        _, begun, sample = self.anchors[0]
        heard = sample + max(0, int((time - begun) * SAMPLE_RATE * self.rate))
        # Before a jump, what is heard may be far behind the position, which is where the jump leads to.
        return heard if len(self.anchors) > 1 else min(heard, self.position)

    def start_clock(self, time, counted=0):
        """Have the next sample heard as soon as it can be, after some seconds of counting in."""
        self.anchors = [(time + LEAD, time + LEAD + counted, self.position)]

    def due(self):
        """When the next sample to schedule is to be heard."""
        _, begun, sample = self.anchors[-1]
        return begun + (self.position - sample) / SAMPLE_RATE / self.rate

    def counted(self):
        """Seconds of counting in right before the next sample to schedule."""
        counts, begun, sample = self.anchors[-1]
        return begun - counts if sample == self.position else 0

    def counted_at(self, sample):
        """Seconds of counting in where playback begins at a sample."""
        return self.count_in(sample) / SAMPLE_RATE / self.rate

    def step(self, time, is_there):
        """What is to be done now while it plays.

        is_there: says whether there is something to schedule at a sample.
        OVER: all has been heard. REST: nothing is to be done. SCHEDULE: what comes next is there, and due soon. WAIT:
        it isn't there, and silence is heard; the clock stands still until it is.
        """
        if not self.anchors:
            self.start_clock(time, self.counted_at(self.position))
        spare = self.due() - time
        if self.position >= self.length:
            return OVER if spare + self.delay <= 0 else REST
        if spare - self.counted() >= AHEAD:
            return REST
        if is_there(self.position):
            return SCHEDULE
        if spare > 0:
            return REST
        self.start_clock(time)
        return WAIT

    def catch_up(self, time):
        """Have the next sample heard later if its time has passed, instead of skipping some; say whether it had.

        What is counted in before it isn't skipped either.
        """
        counted = self.counted()
        is_late = self.due() - counted < time
        if is_late:
            self.start_clock(time, counted)
        return is_late

    def end_within(self, end):
        """Where to stop in a piece that ends at a sample: there, or where the loop ends."""
        return self.loop_range[1] if self.wraps_within(end) else end

    def wraps_within(self, end):
        """Whether the loop ends between the position and a sample."""
        return bool(self.loop_range) and self.position < self.loop_range[1] <= end

    def advance(self, end):
        """All up to `end_within` is scheduled; after the loop's end comes its begin."""
        wraps = self.wraps_within(end)
        self.position = end
        if wraps:
            due, self.position = self.due(), self.loop_range[0]
            self.anchors.append((due, due + self.counted_at(self.position), self.position))

    def is_outside(self, begin, end, time):
        """Whether playback must jump to get into a loop: it isn't in there, or has been scheduled beyond its end."""
        return not begin <= self.heard(time) < end or self.position > end
