"""The songs of the page in the order of their list, which is the order of work too. Pure Python, on MicroPython too.

A job has its song as `song`, whose `state` is one of `life`.
"""

from page.songs.life import CANCELLED, CHOOSING, DONE, ENDED, FAILED, SILENT, TO_DO, WAITING

PAGE_STATES = {DONE: "done", FAILED: "error", CANCELLED: "ready", CHOOSING: "ready"}
"""What the page is like after a song, by the song's state."""


class Order:
    def __init__(self):
        self.jobs = []
        self.last = None  # the job that ended last

    def in_state(self, *states):
        return [job for job in self.jobs if job.song.state in states]

    def next(self):
        """The first job that waits for nothing but its turn, or None."""
        for job in self.in_state(WAITING):
            if job.may_go():
                return job
        return None

    def has_work(self):
        """Whether a song is at work or waits, be it for a better model."""
        return bool(self.in_state(*TO_DO))

    def opened(self):
        """The job whose mixer the visitor sees, or None."""
        for job in self.jobs:
            if job.is_open and job.song.state not in SILENT:
                return job
        return None

    def unsaved(self):
        """Whether work would be lost with the page."""
        lost = [job for job in self.in_state(DONE) if not job.saved]
        return bool(lost or self.in_state(CHOOSING, *TO_DO))

    def page_state(self, is_ready, has_failed):
        """What the page is like: that of the song that ended last, once none is at work, else that of the engine.

        is_ready, has_failed: whether the engine has loaded its model, or could not.
        """
        if self.has_work():
            return "running"
        if self.last:
            return PAGE_STATES[self.last.song.state]
        if has_failed:
            return "error"
        return "ready" if is_ready else "loading"

    # Places

    def place(self):
        """Where a new song goes in the list: behind those that are still to be done, else on top."""
        place = 0
        for index, job in enumerate(self.jobs):
            if job.song.state not in ENDED:
                place = index + 1
        return place

    def place_before(self, others):
        """Where a song goes that comes before these, as far as they are still there, else at the end."""
        places = [self.jobs.index(other) for other in others if other in self.jobs]
        return places[0] if places else len(self.jobs)

    def behind(self, job):
        """The jobs that come after it in the list."""
        return self.jobs[self.jobs.index(job) + 1 :]

    def move_up(self, job):
        """Have a waiting job come right before the one that waits before it, and give that one; None where none does.

        Songs that have ended may stand between the two, and stay where they are.
        """
        waiting = self.in_state(WAITING)
        place = waiting.index(job)
        if not place:
            return None
        before = waiting[place - 1]
        self.jobs.remove(job)
        self.jobs.insert(self.jobs.index(before), job)
        return before

    def is_first(self, job):
        """Whether no other job waits before a waiting one."""
        return self.in_state(WAITING)[0] is job

    def take_out(self, job):
        self.jobs.remove(job)
        if self.last is job:
            self.last = None


def may_replace(new, old):
    """Whether a song that was separated again takes the place of the one before: nothing is lost by it.

    new, old: jobs. The old one stays while it is heard, and where it alone is kept on the device.
    """
    return (
        new.song.state == DONE
        and not old.is_heard()
        and bool(new.song.kept_bytes or not old.song.kept_bytes)
    )
