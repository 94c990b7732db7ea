"""Settings of the visitor: in the page's address for one visit, such as ?workers=4, or kept from an earlier one."""

import asyncio

import js

from page.promises import attempt, outcome

MOST_WORKERS = 32

storage = None


async def find():
    """Find where the browser keeps settings, unless it refuses. Must be called before anything else here."""
    global storage
    storage = await outcome(attempt(js.Reflect.get, js.window, "localStorage"))


def get(name, parse, otherwise):
    """The address's value, the kept one, or `otherwise`: the first that `parse` takes without ValueError."""
    return first((asked(name), stored(name)), parse, otherwise)


def first(texts, parse, otherwise):
    """The first of `texts` that `parse` takes without ValueError, parsed; else `otherwise`."""
    for text in texts:
        if text:
            try:
                return parse(text)
            except ValueError:
                pass
    return otherwise


def asked(name):
    """A setting's value in the page's address."""
    return js.URLSearchParams.new(js.location.search).get(name)


def stored(name):
    return storage and storage.getItem(name)


def store(name, value):
    if storage:  # which may be full
        asyncio.create_task(outcome(attempt(storage.setItem, name, str(value))))


def forget(name):
    if storage:
        asyncio.create_task(outcome(attempt(storage.removeItem, name)))


def workers(text):
    """A pool size from text; raises ValueError."""
    return max(1, min(MOST_WORKERS, int(text)))


def model(text):
    """The name of a folder in weights/; raises ValueError."""
    for letter in text:
        if not (letter.isalpha() or letter.isdigit() or letter in "-_."):
            raise ValueError(text)
    return text


def one_of(choices):
    """A parser that takes one of these."""

    def parse(text):
        if text not in choices:
            raise ValueError(text)
        return text

    return parse
