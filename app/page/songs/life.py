"""A song's life: the states that it goes through, and what its card offers in each. Pure Python, on MicroPython too."""

WAITING, DECODING, RUNNING = "waiting", "decoding", "running"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
CHOOSING = "choosing"
"""The visitor chooses an excerpt, and no work is done."""
AT_WORK = (DECODING, RUNNING)
TO_DO = (WAITING,) + AT_WORK
ENDED = (DONE, FAILED, CANCELLED)
SILENT = (CHOOSING, FAILED, CANCELLED)
"""Has no stems to hear, and will have none by itself."""

CONTROLS = {
    WAITING: ("cancel", "earlier", "choose"),
    CHOOSING: ("cancel",),
    DECODING: ("cancel", "bar", "choose"),
    RUNNING: ("cancel", "bar", "choose"),
    DONE: ("remove", "zip"),
    FAILED: ("remove", "retry"),
    CANCELLED: ("remove", "retry", "choose"),
}
"""What a card shows in each state, by the names that `Card` has for it."""


def controls(state, can_retry=True):
    """Whether a card shows each of the controls, by their names.

    can_retry: whether a song that has failed may do better another time.
    """
    shown = [name for name in CONTROLS[state] if can_retry or name != "retry"]
    return {name: name in shown for names in CONTROLS.values() for name in names}


GO_ON, WAIT, AGAIN, LIGHTER = "go on", "wait", "again", "lighter"
"""Other ways to separate a song: now, later with the model that comes, again with a better one, or with a smaller."""


def other_way(state, is_coming, waits, can_be_better, can_be_lighter):
    """The way that a card offers beside its controls, or None.

    is_coming: whether a better model is on its way; waits: whether the song waits for it; can_be_better: whether the
    model in use would make better stems than the song's; can_be_lighter: whether the song found no memory, and another
    model needs less.
    """
    if state == WAITING and is_coming:
        return GO_ON if waits else WAIT
    if state == DONE and can_be_better:
        return AGAIN
    if state == FAILED and can_be_lighter:
        return LIGHTER
    return None
