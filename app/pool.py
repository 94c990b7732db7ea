"""A pool of workers that each run the engine: made, asked, ended."""

import asyncio

import clock
import js
import reach
from promises import RejectedError, settle
from pyscript import PyWorker
from pyscript.ffi import create_proxy, to_js
from texts import tr
from told import told


class Cancelled(Exception):  # noqa: N818 (not an error)
    """The worker was ended before it answered."""


class WorkerError(Exception):
    """What a worker says went wrong."""


class WorkerStoppedError(WorkerError):
    """A worker that died, or has said nothing for too long. Another may do what it was asked."""


class OutOfMemoryError(WorkerError):
    """A worker that found no memory. Fewer of them may do what it was asked."""


SCRIPT, SNAPSHOT = "./app/worker.py", "./app/snapshot.mjs"
TRIES = 3
"""How often a request is made before it is given up."""
PATIENCE = 900
"""Seconds that a worker may compute without a word. Plain numpy takes minutes for a step on a slow device."""
SLOW_START = 15
"""Seconds without a sign of life after which the page looks for what keeps a worker from starting, again and again."""
GROWN = 300_000_000
"""Bytes by which a worker's heap may have grown. A batch takes less than half of that, with the largest model, too."""
LONGEST_START = 300
"""Seconds in which a worker must have started, if all of its files can be had."""
NO_MEMORY = "There is not enough memory. Close other programs or pages, or set fewer workers, and try again."


class Worker:
    """One worker, which answers one request at a time."""

    def __init__(self, options):
        """options: PyScript's, with the interpreter's address as "version"."""
        self.options = options
        self.worker, self.urls = made(options)
        self.resolve = self.listener = None
        self.ended = self.started = False
        self.heap = self.least = 0  # bytes of it: now, and when the model was loaded
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
        # A worker that is ended, or fails, before it is ready never says that it is.
        try:
            await settle(js.Promise.race(to_js([self.worker.ready, answer])))
        except RejectedError as error:
            self.stop(str(error))
        if self.resolve and not self.started:
            # PyScript says it also of a script that failed, and whose last line has posted nothing.
            self.stop(await self.trouble() or tr("its program failed."))
        self.revoke()
        if self.resolve:
            content["kind"] = kind
            self.worker.postMessage(to_js(content), to_js(list(transfer)))
        reply = await answer
        if reply.kind == "error" and reply.memory:
            raise OutOfMemoryError(tr(NO_MEMORY))
        if reply.kind == "error":
            raise WorkerError(told(reply.message))
        if reply.kind == "stopped":
            raise WorkerStoppedError(reply.message)
        if reply.kind == "cancelled":
            raise Cancelled()
        return reply

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
        """In words, what keeps it from starting; "" if that isn't known."""
        config = self.options["config"]
        # Joined by +: this MicroPython has no stars in lists.
        files = [self.options["version"], SNAPSHOT, SCRIPT] + config["packages"][1:]
        return await reach.trouble(files + list(config["files"]))

    def fail(self, event):
        """Called by the browser for what nobody in the worker has caught; Pyodide is of no use after that."""
        self.stop(str(getattr(event, "message", None) or tr("it could not be loaded")))

    def stop(self, reason):
        self.settle(
            to_js({"kind": "stopped", "message": tr("A worker stopped: {}").format(reason)})
        )

    def tick(self):
        """To be called now and then. It is not ended for what the computer has slept."""
        if self.resolve and self.silence() > PATIENCE:
            self.stop(tr("no answer for {} minutes").format(PATIENCE // 60))

    def silence(self):
        """Seconds since it was asked, or has last said something."""
        return clock.seconds() - self.heard

    def settle(self, reply):
        resolve, self.resolve = self.resolve, None
        if resolve:
            resolve(reply)

    def end(self):
        """Stop at once, whatever it is computing; once is enough."""
        if self.ended:
            return
        self.ended = True
        self.worker.terminate()
        self.revoke()
        # It holds what listens to it, which must not hold it.
        self.worker = self.listener = None
        self.settle(to_js({"kind": "cancelled"}))

    def revoke(self):
        while self.urls:
            js.URL.revokeObjectURL(self.urls.pop())


def made(options):
    """A PyScript worker, and the Blob URLs of its scripts, which PyScript itself never revokes."""
    create, urls = js.URL.createObjectURL, []

    def listen(blob):
        urls.append(create(blob))
        return urls[-1]

    js.URL.createObjectURL = create_proxy(listen)
    worker = PyWorker(SCRIPT, to_js(options))
    js.URL.createObjectURL = create
    return worker, urls


def can_be_spared(error):
    """Whether others may do what a worker has failed at."""
    return isinstance(error, (WorkerStoppedError, OutOfMemoryError))


def default_size():
    """One worker a core, within what the device's memory allows: a worker may take half a gigabyte."""
    cores = getattr(js.navigator, "hardwareConcurrency", None) or 2
    memory = getattr(js.navigator, "deviceMemory", None) or 4
    return max(1, min(int(cores), int(memory), 8))


class Pool:
    """Workers that have all loaded the same model, and hand out their time."""

    def __init__(self, size, options, model_url, on_change):
        """on_change is called when `fraction`, `model`, `engine` or `failure` has changed."""
        self.size, self.options, self.model_url = size, options, model_url
        self.on_change = on_change
        self.workers = []
        self.queue = []
        self.settled = asyncio.Event()
        self.made = 0  # how many workers there were at the start
        self.looking = False  # for what keeps workers from starting
        self.looked = 0  # when it was looked for it last
        js.setInterval(create_proxy(self.tick), 1000)

    def tick(self, *_):
        for worker in self.workers:
            worker.tick()
        late = [worker for worker in self.workers if worker.resolve and not worker.started]
        quiet = late and clock.seconds() - max(self.looked, late[0].heard)
        if late and not self.looking and quiet >= SLOW_START:
            self.looking = True
            asyncio.create_task(self.look_after(late))

    async def look_after(self, late):
        # It fetches what they fetch: on a slow line, two looks at once would keep them from it.
        try:
            reason = await late[0].trouble()
        finally:
            self.looking, self.looked = False, clock.seconds()
        for worker in late:
            if not worker.started and (reason or worker.silence() > LONGEST_START):
                worker.stop(reason or tr("it did not start."))

    def start(self):
        """Make the workers anew, ending what they were at."""
        for worker in self.workers:
            worker.end()
        for ticket in self.queue:
            ticket.set()
        self.queue, self.idle = [], []
        self.fraction, self.model, self.engine, self.failure = 0.0, None, None, None
        self.settled.clear()
        self.made = self.size
        self.workers = [Worker(self.options) for _ in range(self.size)]
        asyncio.create_task(self.load(self.workers))
        self.on_change()

    async def load(self, workers):
        fractions = [0.0] * len(workers)

        async def one(index, worker):
            def listen(message):
                fractions[index] = message.fraction
                self.fraction = sum(fractions) / len(fractions)
                self.on_change()

            return await worker.ask("load", listen, url=self.model_url)

        pairs = enumerate(workers)
        answers = await asyncio.gather(*[one(*pair) for pair in pairs], return_exceptions=True)
        if workers is not self.workers:
            return  # started anew meanwhile
        loaded, failed = {}, {}
        for worker, answer in zip(list(workers), answers):
            (failed if isinstance(answer, Exception) else loaded)[worker] = answer
        reasons = [error for error in failed.values() if not can_be_spared(error)]
        if reasons or not loaded:
            self.failure = str((reasons or list(failed.values()))[0])
        else:
            for worker in failed:
                self.drop(worker)
            answer = next(iter(loaded.values()))
            # By the browser's reader, because it keeps the order of the targets.
            self.model, self.engine = js.JSON.parse(answer.manifest), answer.engine
            self.idle = list(loaded)
        self.settled.set()
        self.on_change()

    async def ready(self):
        """Wait until the model is loaded. Raises WorkerError if it can't be."""
        await self.settled.wait()
        if self.failure:
            raise WorkerError(tr("The engine could not start: {}").format(self.failure))

    async def run(self, request, *arguments, urgent=False):
        """`await request(worker, *arguments)` as soon as a worker has time; urgent ones go first.

        Where the worker stops or finds no memory, the request is made again with another.
        To be called when the pool is `ready`. Raises WorkerError, or Cancelled if all workers are made anew.
        """
        workers, tries = self.workers, TRIES
        while True:
            while not self.idle:
                ticket = asyncio.Event()
                self.queue.insert(0 if urgent else len(self.queue), ticket)
                await ticket.wait()
                if workers is not self.workers:
                    raise Cancelled()
                if self.failure:
                    raise WorkerError(self.failure)
            worker = self.idle.pop()
            try:
                return await request(worker, *arguments)
            except WorkerError as error:
                if workers is not self.workers or not can_be_spared(error):
                    raise
                self.drop(worker)
                if isinstance(error, WorkerStoppedError) or not workers:
                    asyncio.create_task(self.add(workers))
                tries -= 1
                if not tries:
                    raise
            finally:
                if worker in self.workers:
                    self.release(worker)

    def renew(self):
        """Between songs: have as many workers as are wanted by now.

        Have fresh ones in place of those whose heaps have grown far beyond what they need.
        """
        if self.size != self.made:
            self.start()
        for worker in list(self.idle):
            if worker.heap > worker.least + GROWN:
                self.idle.remove(worker)
                self.drop(worker)
                asyncio.create_task(self.add(self.workers))

    def drop(self, worker):
        worker.end()
        self.workers.remove(worker)

    def release(self, worker):
        """Let a worker do what waits."""
        self.idle.append(worker)
        if self.queue:
            self.queue.pop(0).set()

    async def add(self, workers):
        """One more worker, which begins as soon as it has loaded the model."""
        if workers is not self.workers:
            return  # started anew meanwhile
        worker = Worker(self.options)
        workers.append(worker)
        try:
            await worker.ask("load", url=self.model_url)
        except WorkerError as error:
            if worker in self.workers:
                self.drop(worker)
            if not self.workers:
                self.failure = str(error)
                for ticket in self.queue:
                    ticket.set()
                self.queue = []
                self.on_change()
        except Cancelled:
            pass
        else:
            if worker in self.workers:
                self.release(worker)
