"""The page's half of a worker that runs the engine: it asks, watches and ends the worker."""

import js
from pyscript.ffi import create_proxy, to_js

from page import clock, view
from page.promises import RejectedError, settle
from page.text.texts import said, tr
from page.workers import startup_check
from page.workers.pool import Cancelled, OutOfMemoryError, WorkerError, WorkerStoppedError
from shims import worker_urls
from umx.version import WHEEL

SCRIPT, SNAPSHOT = "./app/worker/worker.py", "./app/offline/snapshot.mjs"
FILES = (
    "shared/facts.py",
    "worker/analysing.py",
    "worker/converting.py",
    "worker/fetching.py",
    "worker/storage.py",
    "worker/unpacking.py",
)
"""The script's own modules, in app/."""
PATIENCE = 900
"""Seconds that a worker may compute without a word. Plain numpy takes minutes for a step on a slow device."""
NO_MEMORY = "There is not enough memory. Close other programs or pages, or set fewer workers, and try again."


class Worker:
    """One worker, which answers one request at a time."""

    def __init__(self, options):
        """options: PyScript's, with the interpreter's address as "version"."""
        self.options = options
        self.worker, self.urls = worker_urls.started(SCRIPT, options)
        self.resolve = self.listener = None
        self.ended = self.started = False
        self.heap = self.least = 0  # bytes: now, and when the model was loaded
        self.heard = 0.0  # when it was asked, or has last said something
        self.worker.addEventListener("message", create_proxy(self.hear))
        self.worker.addEventListener("error", create_proxy(self.fail))

    async def ask(self, kind, listener=None, transfer=(), **content):
        """Send a request and wait for its answer.

        listener: called with every message of kind "progress" or "piece" that comes before.
        Raises WorkerError, or Cancelled if the worker is ended.
        """
        if self.ended:
            raise Cancelled()
        self.listener, self.heard = listener, clock.seconds()

        def executor(resolve, reject):
            self.resolve = resolve

        answer = js.Promise.new(create_proxy(executor))
        # `ready` never settles for a worker that ends or fails before it is ready: the answer may come first.
        try:
            await settle(js.Promise.race(to_js([self.worker.ready, answer])))
        except RejectedError as error:
            self.stop(str(error))
        if self.resolve and not self.started:
            # PyScript resolves `ready` for a failed script too; then its last line has posted nothing.
            self.stop(await self.trouble() or tr("its program failed."))
        self.revoke()
        if self.resolve:
            content["kind"] = kind
            self.worker.postMessage(to_js(content), to_js(list(transfer)))
        reply = await answer
        if reply.kind == "error" and reply.memory:
            raise OutOfMemoryError(tr(NO_MEMORY))
        if reply.kind == "error":
            fields = {name: getattr(reply.fields, name) for name in js.Object.keys(reply.fields)}
            raise WorkerError(said(reply.code, fields, reply.message))
        if reply.kind == "stopped":
            raise WorkerStoppedError(reply.message)
        if reply.kind == "cancelled":
            raise Cancelled()
        return reply

    async def load(self, url, files, listener=None):
        """Have the worker load a model in place of the one that it has.

        files: the model's files that needn't be fetched, Blobs by name.
        Gives the model's manifest, the name of the engine and how songs are cut for the model, see `models.Cutting`.
        Raises as `ask` does.
        """
        self.least = 0
        answer = await self.ask("load", listener, url=url, files=files)
        # The browser parses it, because MicroPython's dicts don't keep the targets' order.
        return js.JSON.parse(answer.manifest), answer.engine, answer.cutting

    def hear(self, event):
        kind = getattr(event.data, "kind", None)
        if self.ended or not kind:  # PyScript talks to its workers too
            return
        self.started, self.heard = True, clock.seconds()
        if kind == "answer":
            self.heap = event.data.heap
            self.least = self.least or self.heap
        if kind in ("answer", "error"):
            self.settle(event.data)
        elif kind in ("progress", "piece") and self.listener:
            self.listener(event.data)

    async def trouble(self):
        """The reason why it doesn't start, in words; "" if that isn't known."""
        config = self.options["config"]
        # Joined by +: this MicroPython has no stars in lists.
        files = [self.options["version"], SNAPSHOT, SCRIPT] + config["packages"][1:]
        return await startup_check.trouble(files + list(config["files"]))

    def fail(self, event):
        """Handle an uncaught error in the worker, after which Pyodide can't be used."""
        self.stop(str(getattr(event, "message", None) or tr("it could not be loaded")))

    def stop(self, reason):
        self.settle(
            to_js({"kind": "stopped", "message": tr("A worker stopped: {}").format(reason)})
        )

    def tick(self):
        """Stop a worker that is silent for too long; the computer's sleep doesn't count. Called once a second."""
        if self.resolve and self.silence() > PATIENCE:
            self.stop(tr("no answer for {} minutes").format(PATIENCE // 60))

    def is_starting(self):
        """Whether it was asked for something and has not said anything yet."""
        return bool(self.resolve) and not self.started

    def silence(self):
        """Seconds since it was asked, or has last said something."""
        return clock.seconds() - self.heard

    def settle(self, reply):
        resolve, self.resolve = self.resolve, None
        if resolve:
            resolve(reply)

    def end(self):
        """Stop at once, whatever it is computing. May be called again."""
        if self.ended:
            return
        self.ended = True
        self.worker.terminate()
        self.revoke()
        # Break the cycle: the JavaScript worker holds our listeners.
        self.worker = self.listener = None
        self.settle(to_js({"kind": "cancelled"}))

    def revoke(self):
        while self.urls:
            js.URL.revokeObjectURL(self.urls.pop())


def worker_options():
    """PyScript's options for starting a worker."""
    config = {
        "packages": ["numpy", view.address("app/vendor/umx/" + WHEEL)],
        "files": {view.address("app/" + path): "./" + path for path in FILES},
        "packages_cache": "passthrough",  # straight to Pyodide, without micropip
        "sync_main_only": True,  # no SharedArrayBuffer, so no special headers
    }
    interpreter = view.address("app/shims/interpreter.mjs")
    return {"type": "pyodide", "version": interpreter, "config": config}


def cores():
    return int(getattr(js.navigator, "hardwareConcurrency", None) or 2)


def memory():
    """The device's memory in GB, as far as the browser says."""
    return getattr(js.navigator, "deviceMemory", None) or 4


def default_size(most=8):
    """Number of workers: one a core, as far as the device's memory allows.

    most: how many may have the model, if it is known, see `model_choice.most_workers`.
    """
    return max(1, min(cores(), int(memory()), most, 8))
