"""A song's life: the states that it goes through, and what its card offers in each. Pure Python, on MicroPython too."""

WAITING, DECODING, RUNNING = "waiting", "decoding", "running"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
AT_WORK = (DECODING, RUNNING)
TO_DO = (WAITING,) + AT_WORK
ENDED = (DONE, FAILED, CANCELLED)
SILENT = (FAILED, CANCELLED)
"""Ended with nothing to hear."""

CONTROLS = {
    WAITING: ("cancel", "earlier"),
    DECODING: ("cancel", "bar"),
    RUNNING: ("cancel", "bar"),
    DONE: ("remove", "zip"),
    FAILED: ("remove", "retry"),
    CANCELLED: ("remove", "retry"),
}
"""What a card shows in each state, by the names that `Card` has for it."""


def controls(state, can_retry=True):
    """Whether a card shows each of the controls, by their names.

    can_retry: whether a song that has failed may do better another time.
    """
    shown = [name for name in CONTROLS[state] if can_retry or name != "retry"]
    return {name: name in shown for names in CONTROLS.values() for name in names}
