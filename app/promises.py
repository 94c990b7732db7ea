"""Promises that may be rejected, and functions that may throw.

A task of this MicroPython that awaits a rejected promise is never woken, and what a function of JavaScript throws goes
past every `except`.
"""

import js
from pyscript.ffi import to_js


class RejectedError(Exception):
    """Why a promise was rejected."""


async def settle(promise):
    """What a promise comes to. Raises RejectedError."""
    outcome = (await js.Promise.allSettled(to_js([promise])))[0]
    if outcome.status == "rejected":
        raise RejectedError(js.String(outcome.reason))
    return outcome.value


async def outcome(promise):
    """What a promise comes to, or None if it is rejected."""
    try:
        return await settle(promise)
    except RejectedError:
        return None


def attempt(function, *arguments):
    """A promise of what a function of JavaScript gives, rejected if it throws.

    The function gets one argument more, undefined.
    """
    return js.Promise.resolve().then(function.bind(None, *arguments))
