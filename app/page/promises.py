"""Promises that may be rejected, and functions that may throw.

In this MicroPython, a task that awaits a rejected promise is never woken, and no `except` catches JavaScript's errors.
"""

import asyncio

import js
from pyscript.ffi import create_proxy, to_js

PATIENCE = 5
"""Seconds that a browser's storage has to answer: some never do."""


class RejectedError(Exception):
    """Why a promise was rejected, and the name that JavaScript gives such an error."""

    def __init__(self, reason, name=""):
        super().__init__(reason)
        self.name = name


async def settle(promise):
    """Await a promise. Gives its value; raises RejectedError."""
    outcome = (await js.Promise.allSettled(to_js([promise])))[0]
    if outcome.status == "rejected":
        raise RejectedError(js.String(outcome.reason), getattr(outcome.reason, "name", ""))
    return outcome.value


async def outcome(promise):
    """Await a promise. Gives its value, or None if it is rejected."""
    try:
        return await settle(promise)
    except RejectedError:
        return None


async def in_time(work, seconds=PATIENCE):
    """Await a coroutine for some seconds. Gives its result, or None where it takes longer; then it goes on unheard.

    `asyncio.wait_for` can't wake a program that awaits at its top level.
    """
    results = []

    async def listen(resolve, timer):
        results.extend(await asyncio.gather(work, return_exceptions=True))
        js.clearTimeout(timer)  # else it would hold all that waits here
        resolve()

    def executor(resolve, reject):
        asyncio.create_task(listen(resolve, js.setTimeout(resolve, 1000 * seconds)))

    await js.Promise.new(create_proxy(executor))
    for result in results:
        if isinstance(result, Exception):
            raise result
        return result
    return None


def attempt(function, *arguments):
    """A promise of the result of a JavaScript function, rejected if it throws.

    The function gets one argument more, undefined.
    """
    return js.Promise.resolve().then(function.bind(None, *arguments))
