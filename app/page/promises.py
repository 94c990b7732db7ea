"""Promises that may be rejected, and functions that may throw.

A task of this MicroPython that awaits a rejected promise is never woken, and what a function of JavaScript throws goes
past every `except`.
"""

import asyncio

import js
from pyscript.ffi import create_proxy, to_js

PATIENCE = 5
"""Seconds in which a browser's storage has to answer: it may never do."""


class RejectedError(Exception):
    """Why a promise was rejected."""


async def settle(promise):
    """Await a promise. Gives its value; raises RejectedError."""
    outcome = (await js.Promise.allSettled(to_js([promise])))[0]
    if outcome.status == "rejected":
        raise RejectedError(js.String(outcome.reason))
    return outcome.value


async def outcome(promise):
    """Await a promise. Gives its value, or None if it is rejected."""
    try:
        return await settle(promise)
    except RejectedError:
        return None


async def in_time(work, seconds=PATIENCE):
    """Await a coroutine for some seconds. Gives its result, or None where it takes longer; it goes on unheard.

    Not `asyncio.wait_for`: what is awaited at the top level of a program can't be woken by it.
    """
    results = []

    async def listen(resolve):
        results.extend(await asyncio.gather(work, return_exceptions=True))
        resolve()

    def executor(resolve, reject):
        asyncio.create_task(listen(resolve))
        js.setTimeout(resolve, 1000 * seconds)

    await js.Promise.new(create_proxy(executor))
    for result in results:
        if isinstance(result, Exception):
            raise result
        return result
    return None


def attempt(function, *arguments):
    """A promise of what a function of JavaScript gives, rejected if it throws.

    The function gets one argument more, undefined.
    """
    return js.Promise.resolve().then(function.bind(None, *arguments))
