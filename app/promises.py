"""Promises that may be rejected: a task of this MicroPython that awaits one of those is never woken."""

import js
from pyscript.ffi import to_js


class RejectedError(Exception):
    """Why a promise was rejected."""


async def settle(promise):
    """What a promise comes to. Raises RejectedError."""
    outcome = (await js.Promise.allSettled(to_js([promise])))[0]
    if outcome.status == "rejected":
        raise RejectedError(str(outcome.reason))
    return outcome.value
