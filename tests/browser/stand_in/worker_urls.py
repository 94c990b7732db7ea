"""The stand-in for PyScript's workers, in the place of app/shims/worker_urls.py."""

import asyncio

import js
from pyscript import PyWorker
from pyscript.ffi import create_proxy, to_js

from page import view

MAKING = ("convert", "download")
"""Requests that only the engine can answer: to make a model of its makers' files."""


class StandIn:
    """A worker that answers at once, or the engine if the first thing that it is asked is to make a model."""

    def __init__(self, script, options):
        self.script, self.options = script, options
        self.worker = js.Worker.new(view.address("app/worker/stand-in.js"))
        self.listeners = []

        def executor(resolve, reject):
            # A task later: the page hears the first message before it takes the worker for ready, as of PyScript's.
            listener = create_proxy(lambda event: js.setTimeout(resolve))
            self.worker.addEventListener("message", listener, to_js({"once": True}))

        self.ready = js.Promise.new(create_proxy(executor))

    def addEventListener(self, kind, listener):  # noqa: N802 (a worker's)
        self.listeners.append((kind, listener))
        self.worker.addEventListener(kind, listener)

    def postMessage(self, message, *transfer):  # noqa: N802 (a worker's)
        if message.kind in MAKING:
            asyncio.create_task(self.make(message))  # noqa: RUF006 (the browser keeps it)
        else:
            self.worker.postMessage(message, *transfer)

    async def make(self, message):
        self.worker.terminate()
        self.worker = PyWorker(self.script, to_js(self.options))
        for kind, listener in self.listeners:
            self.worker.addEventListener(kind, listener)
        await self.worker.ready
        self.worker.postMessage(message)

    def terminate(self):
        self.worker.terminate()


def started(script, options):
    """A worker that begins to answer, and no Blob URLs."""
    return StandIn(script, options), []
