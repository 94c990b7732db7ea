"""A clock that stands still while the computer sleeps."""

import js

LONGEST_TICK = 90
"""Seconds between two looks at the clock that were still awake: browsers give a hidden page one a minute."""

awake = looked = 0.0


def seconds():
    """Seconds in which the page was awake: a computer that sleeps, or a page that is frozen, doesn't work.

    To be called often, as the pool does.
    """
    global awake, looked
    now = js.performance.now() / 1000
    if now - looked < LONGEST_TICK:
        awake += now - looked
    looked = now
    return awake
