"""The pool's policy: which worker does what, who takes over from one that fails, when workers are made anew.

The caller gives a function that makes a worker, in the page a `client.Worker`. Pure Python, on MicroPython too.
"""

import asyncio

from page.text.texts import tr


class Cancelled(Exception):  # noqa: N818 (not an error)
    """The worker was ended before it answered."""


class WorkerError(Exception):
    """An error that a worker tells of."""


class WorkerStoppedError(WorkerError):
    """A worker that died, or was silent for too long. Another worker may succeed."""


class OutOfMemoryError(WorkerError):
    """A worker that found no memory. Fewer workers may succeed."""


TRIES = 3
"""How often a request is made before it is given up."""
SLOW_START = 15
"""Seconds without a sign of life after which the page looks why a worker doesn't start; then it looks again."""
GROWN = 300_000_000
"""Bytes by which a worker's heap may grow. A batch takes less than half of it, even with the largest model."""
LONGEST_START = 300
"""Seconds that a worker has to start, where all of its files can be fetched."""


def can_be_spared(error):
    """Whether other workers may succeed where one has failed."""
    return isinstance(error, (WorkerStoppedError, OutOfMemoryError))


class Pool:
    """Workers that have all loaded the same model, and hand out their time."""

    def __init__(self, size, make, model_url, on_change, seconds):
        """make: gives a new worker, which begins to start at once. seconds: gives the time.

        on_change is called when `fraction`, `model`, `engine` or `failure` has changed. `tick` is to be called
        once a second.
        """
        self.size, self.make, self.model_url = size, make, model_url
        self.files = {}  # the model's files that workers needn't fetch, Blobs by name
        self.on_change, self.seconds = on_change, seconds
        # Called with the reason where the model can't be loaded; returns whether another one takes its place.
        self.on_failure = lambda reason: False
        self.workers = []
        self.queue = []
        self.settled = asyncio.Event()
        # Whether it was loaded once, and did not fail since: when workers are made anew, that is no news to anybody.
        self.has_started = False
        self.made = 0  # how many workers there were at the start
        self.looking = False  # whether a check of what keeps workers from starting is under way
        self.looked = 0  # when the last check ended

    def tick(self, *_):
        for worker in self.workers:
            worker.tick()
        late = [worker for worker in self.workers if worker.is_starting()]
        quiet = late and min(self.seconds() - self.looked, late[0].silence())
        if late and not self.looking and quiet >= SLOW_START:
            self.looking = True
            asyncio.create_task(self.look_after(late))

    async def look_after(self, late):
        # The check fetches the workers' files again; two checks at once would slow a slow line further.
        try:
            reason = await late[0].trouble()
        finally:
            self.looking, self.looked = False, self.seconds()
        for worker in late:
            if worker.is_starting() and (reason or worker.silence() > LONGEST_START):
                worker.stop(reason or tr("it did not start."))

    def start(self):
        """Make the workers anew, ending what they were at."""
        for worker in self.workers:
            worker.end()
        for ticket in self.queue:
            ticket.set()
        self.made = self.size
        self.begin([self.make() for _ in range(self.size)])

    def begin(self, workers):
        """Have these workers load the model."""
        self.queue, self.idle, self.workers = [], [], workers
        self.fraction, self.model, self.engine, self.failure = 0.0, None, None, None
        self.cutting = None  # how songs are cut for the model, see `models.Cutting`
        self.settled.clear()
        asyncio.create_task(self.load(workers))
        self.on_change()

    def give_up(self, error):
        """End what the workers are at, since a song has failed; where it found no memory, go on with half as many."""
        if isinstance(error, OutOfMemoryError):
            self.size = max(1, self.size // 2)
        self.start()

    def change(self, model_url, files):
        """Between songs: have the workers load another model.

        Workers stay, unless they are busy, or another number of them is wanted by now.
        """
        self.model_url, self.files = model_url, files
        if self.model and len(self.idle) == len(self.workers) and self.size == self.made:
            self.begin(list(self.workers))
        else:
            self.start()

    async def load(self, workers):
        fractions = [0.0] * len(workers)

        async def one(index, worker):
            def listen(message):
                fractions[index] = message.fraction
                before, self.fraction = self.fraction, sum(fractions) / len(fractions)
                # Pieces of files come by the thousand, and what the page does at each takes time from the workers.
                if int(100 * before) != int(100 * self.fraction):
                    self.on_change()

            return await worker.load(self.model_url, self.files, listen)

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
            if self.on_failure(self.failure):
                return
        else:
            for worker in failed:
                self.drop(worker)
            self.model, self.engine, self.cutting = next(iter(loaded.values()))
            self.idle = list(loaded)
        self.has_started = not self.failure
        self.settled.set()
        self.on_change()

    async def ready(self):
        """Wait until the model is loaded. Raises WorkerError if it can't be."""
        while not self.settled.is_set():  # the workers may be made anew before this wakes
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

        Replace workers whose heaps have grown far beyond their need.
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
        """Give a worker the next request that waits."""
        self.idle.append(worker)
        if self.queue:
            self.queue.pop(0).set()

    async def add(self, workers):
        """Add a worker, which begins as soon as it has loaded the model."""
        if workers is not self.workers:
            return  # started anew meanwhile
        worker = self.make()
        workers.append(worker)
        try:
            await worker.load(self.model_url, self.files)
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
