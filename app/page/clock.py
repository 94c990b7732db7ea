"""A clock that stands still while the computer sleeps."""

import js

LONGEST_TICK = 90
"""Longest time between two looks that counts as awake, in seconds: a hidden page gets one a minute."""

awake = looked = 0.0


def seconds():
    """Seconds in which the page was awake. A sleeping computer or a frozen page doesn't count.

    It must be called often; the pool does.
    """
    global awake, looked
    now = js.performance.now() / 1000
    if now - looked < LONGEST_TICK:
        awake += now - looked
    looked = now
    return awake
