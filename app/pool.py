"""A pool of workers that each run the engine: made, asked, ended."""

import asyncio

import js
from pyscript import PyWorker
from pyscript.ffi import create_proxy, to_js


class Cancelled(Exception):
    """The worker was ended before it answered."""


class WorkerError(Exception):
    """What a worker says went wrong."""


class Worker:
    """One worker, which answers one request at a time."""

    def __init__(self, options):
        """options: PyScript's, with the interpreter's address as "version"."""
        self.worker = PyWorker("./app/worker.py", to_js(options))
        self.resolve = self.reject = self.listener = None
        self.worker.addEventListener("message", create_proxy(self.hear))
        self.worker.addEventListener("error", create_proxy(self.fail))

    async def ask(self, kind, listener=None, transfer=(), **content):
        """Send a request and wait for its answer.

        listener: called with every message of kind "progress" or "piece" that comes before.
        Raises WorkerError, or Cancelled if the worker is ended.
        """
        await self.worker.ready
        self.listener = listener

        def executor(resolve, reject):
            self.resolve, self.reject = resolve, reject

        answer = js.Promise.new(create_proxy(executor))
        content["kind"] = kind
        self.worker.postMessage(to_js(content), to_js(list(transfer)))
        reply = await answer
        if reply.kind == "error":
            raise WorkerError(reply.message)
        if reply.kind == "cancelled":
            raise Cancelled()
        return reply

    def hear(self, event):
        kind = getattr(event.data, "kind", None)
        if kind in ("answer", "error"):
            self.settle(event.data)
        elif kind in ("progress", "piece") and self.listener:
            self.listener(event.data)

    def fail(self, event):
        self.settle(to_js({"kind": "error", "message": "A worker stopped: " + str(event.message)}))

    def settle(self, reply):
        resolve, self.resolve = self.resolve, None
        if resolve:
            resolve(reply)

    def end(self):
        """Stop at once, whatever it is computing."""
        self.worker.terminate()
        self.settle(to_js({"kind": "cancelled"}))


def default_size():
    """One worker a core, within what the device's memory allows: a worker may take half a gigabyte."""
    cores = js.navigator.hardwareConcurrency or 2
    memory = getattr(js.navigator, "deviceMemory", None) or 4
    return max(1, min(int(cores), int(memory), 8))


class Pool:
    """Workers that have all loaded the same model."""

    def __init__(self, size, options, model_url, on_progress):
        self.size, self.options, self.model_url = size, options, model_url
        self.on_progress = on_progress
        self.workers = []
        self.loaded = None

    def start(self):
        """Begin to make the workers; `await pool.loaded` gives each one's answer to "load"."""
        self.workers = [Worker(self.options) for _ in range(self.size)]
        self.loaded = asyncio.create_task(self.load())

    async def load(self):
        fractions = [0.0] * len(self.workers)

        async def one(index, worker):
            def listen(message):
                fractions[index] = message.fraction
                self.on_progress(sum(fractions) / len(fractions))

            return await worker.ask("load", listen, url=self.model_url)

        return await asyncio.gather(*[one(*pair) for pair in enumerate(self.workers)])

    def restart(self):
        """End all workers at once, and make fresh ones."""
        for worker in self.workers:
            worker.end()
        self.start()
