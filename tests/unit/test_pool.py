"""The pool's policy with workers that only pretend: who does what, who takes over, when workers are made anew."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.workers import pool
from page.workers.pool import Cancelled, OutOfMemoryError, Pool, WorkerError, WorkerStoppedError

STOPPED, NO_MEMORY, WRONG = WorkerStoppedError("died"), OutOfMemoryError("full"), WorkerError("no")


class Worker:
    """Has loaded a model when it is told to, and does what a request does with it."""

    def __init__(self, now: Callable[[], float]):
        self.now, self.asked = now, now()
        self.loading = asyncio.get_running_loop().create_future()
        self.url, self.files, self.listener = "", {}, None
        self.heap = self.least = 100
        self.ended = self.started = self.busy = False
        self.looks = 0
        self.reason: Awaitable[str] | None = None

    def load(
        self, url: str, files: dict[str, Any], listener: Any = None
    ) -> Awaitable[tuple[str, str, str]]:
        if self.loading.done() and not self.ended:  # in place of the model that it has
            self.loading = asyncio.get_running_loop().create_future()
        self.url, self.files, self.listener = url, files, listener
        return self.loading

    def loaded(self, error: Exception | None = None) -> None:
        if self.loading.done():
            return
        if error:
            self.loading.set_exception(error)
        else:
            self.loading.set_result(("the model", "simd", "its cutting"))

    def progress(self, fraction: float) -> None:
        assert self.listener
        self.started = True
        self.listener(type("Message", (), {"fraction": fraction}))

    def end(self) -> None:
        self.ended = True
        self.loaded(Cancelled())

    def tick(self) -> None:
        pass

    def is_starting(self) -> bool:
        return not (self.started or self.loading.done())

    def silence(self) -> float:
        return self.now() - self.asked

    async def trouble(self) -> str:
        self.looks += 1
        return await self.reason if self.reason else ""

    def stop(self, reason: str) -> None:
        self.loaded(WorkerStoppedError(reason))

    async def work(self, hours: Awaitable[Any]) -> Any:
        """One thing at a time, and only with a model."""
        assert self.loading.done()
        assert not self.busy
        assert not self.ended
        self.busy = True
        try:
            return await hours
        finally:
            self.busy = False


class House:
    """A pool of `size` workers, what it says, and a clock that stands still."""

    def __init__(self, size: int):
        self.made: list[Worker] = []
        self.time, self.changes = 0.0, 0
        self.pool = Pool(size, self.make, "umx-mini/", self.changed, lambda: self.time)
        self.pool.start()

    def make(self) -> Worker:
        self.made.append(Worker(lambda: self.time))
        return self.made[-1]

    def changed(self) -> None:
        self.changes += 1

    async def load(self, *errors: Exception | None) -> None:
        """Have all workers loaded, or failed to, in turn."""
        await soon()
        waiting = [worker for worker in self.made if not worker.loading.done()]
        for worker, error in zip(waiting, errors or [None] * len(waiting), strict=True):
            worker.loaded(error)
        await soon()

    def run(self, *results: Any, urgent: bool = False) -> "asyncio.Task[Any]":
        """Ask for something that the first worker answers with the first result, the next with the next."""
        left = list(results)

        async def request(worker: Worker) -> Any:
            return await worker.work(answer(left.pop(0)))

        return asyncio.create_task(self.pool.run(request, urgent=urgent))


async def answer(result: Any) -> Any:
    if isinstance(result, asyncio.Future):
        result = await result
    if isinstance(result, Exception):
        raise result
    return result


async def soon() -> None:
    """Let everybody come as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


def later() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Has a test run, and no task end with an error that nobody hears of."""

    async def watched(*arguments: Any, **named: Any) -> None:
        unheard = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: unheard.append(context.get("exception")))
        await test(*arguments, **named)
        await soon()
        gc.collect(1)  # which is when asyncio tells
        assert not any(unheard)

    @wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(watched(*arguments, **named))

    return run


# Loading


@in_a_loop
async def test_the_model_is_there_when_all_have_it() -> None:
    house = House(2)
    first, second = house.made
    await soon()
    assert (first.url, second.url) == ("umx-mini/", "umx-mini/")
    first.progress(0.5)
    second.progress(0.1)
    assert house.pool.fraction == pytest.approx(0.3)
    first.loaded()
    await soon()
    assert not house.pool.settled.is_set()
    second.loaded()
    await house.pool.ready()
    found = house.pool.model, house.pool.engine, house.pool.cutting
    assert found == ("the model", "simd", "its cutting")
    assert house.pool.failure is None
    assert house.changes == 4  # at the start, two fractions, and the end


@in_a_loop
async def test_what_the_page_does_at_each_piece_of_a_file_is_done_once_a_percent() -> None:
    house = House(2)
    await soon()
    for piece in range(10_000):
        for worker in house.made:
            worker.progress(piece / 10_000)
    assert house.pool.fraction == pytest.approx(0.9999)
    assert house.changes == 1 + 99


@pytest.mark.parametrize("error", [STOPPED, NO_MEMORY])
@in_a_loop
async def test_fewer_workers_than_hoped_for_are_enough(error: Exception) -> None:
    house = House(3)
    await house.load(None, error, None)
    assert house.pool.workers == [house.made[0], house.made[2]]
    assert house.made[1].ended
    await house.pool.ready()


@pytest.mark.parametrize(
    "errors", [[None, WRONG], [NO_MEMORY, WRONG], [WorkerError("no"), WorkerError("nor this")]]
)
@in_a_loop
async def test_what_would_fail_everywhere_is_the_failure(errors: list[Exception | None]) -> None:
    house = House(2)
    await house.load(*errors)
    assert house.pool.failure == "no"
    assert house.pool.model is None
    with pytest.raises(WorkerError, match="The engine could not start: no"):
        await house.pool.ready()


@in_a_loop
async def test_no_worker_at_all_is_a_failure_too() -> None:
    house = House(2)
    await house.load(NO_MEMORY, STOPPED)
    assert house.pool.failure == "full"


@in_a_loop
async def test_workers_stay_when_the_model_changes() -> None:
    house = House(2)
    await house.load()
    house.pool.change("umxl/", {"bass.gz": "a Blob"})
    waiting = asyncio.create_task(house.pool.ready())
    await soon()
    assert not waiting.done()
    assert house.pool.model is None
    assert [(w.url, w.files, w.ended) for w in house.made] == [
        ("umxl/", {"bass.gz": "a Blob"}, False)
    ] * 2
    await house.load()
    await waiting
    assert await house.run("done") == "done"
    assert len(house.made) == 2


@in_a_loop
async def test_workers_that_are_at_something_are_made_anew_for_another_model() -> None:
    house = House(1)
    await house.load()
    busy = house.run(later())
    await soon()
    house.pool.change("umxl/", {})
    await soon()
    first, second = house.made
    assert first.ended
    assert (second.url, second.ended) == ("umxl/", False)
    busy.cancel()


@in_a_loop
async def test_a_model_that_cant_be_loaded_gives_way_to_another_unnoticed() -> None:
    house = House(1)
    await house.load()

    def fall_back(reason: str) -> bool:
        if house.pool.model_url != "umxl/":
            return False
        assert reason == "no"
        house.pool.change("umx-mini/", {})
        return True

    house.pool.on_failure = fall_back
    house.pool.change("umxl/", {})
    waiting = asyncio.create_task(house.pool.ready())
    await house.load(WRONG)
    assert not waiting.done()
    assert house.made[-1].url == "umx-mini/"
    await house.load()
    await waiting
    assert house.pool.failure is None
    # Where there is no other, it is a failure.
    house.pool.change("umx-mini/", {})
    await house.load(WRONG)
    with pytest.raises(WorkerError, match="The engine could not start: no"):
        await house.pool.ready()


@in_a_loop
async def test_a_start_replaces_the_one_before() -> None:
    house = House(1)
    house.pool.model_url = "umxl/"
    house.pool.start()
    first, second = house.made
    await soon()
    assert first.ended
    assert not house.pool.settled.is_set()
    assert second.url == "umxl/"
    second.loaded()
    await house.pool.ready()
    assert house.pool.workers == [second]


# Doing


@in_a_loop
async def test_as_many_things_at_once_as_workers_and_in_order() -> None:
    house = House(2)
    await house.load()
    ends, done = [later() for _ in range(4)], []
    tasks = [house.run(end) for end in ends]
    for task in tasks:
        task.add_done_callback(lambda task: done.append(task.result()))
    await soon()
    assert [worker.busy for worker in house.made] == [True, True]
    for name, end in enumerate(ends):
        end.set_result(name)
        await soon()
    assert done == [0, 1, 2, 3]


@in_a_loop
async def test_what_is_urgent_goes_first() -> None:
    house = House(1)
    await house.load()
    order = []
    hold = later()
    tasks = [house.run(hold)]
    await soon()
    for name, urgent in (("one", False), ("two", False), ("now", True)):
        task = house.run(name, urgent=urgent)
        task.add_done_callback(lambda task: order.append(task.result()))
        tasks.append(task)
        await soon()
    hold.set_result("held")
    await asyncio.gather(*tasks)
    assert order == ["now", "one", "two"]


@in_a_loop
async def test_what_a_worker_says_is_wrong_is_wrong_for_all() -> None:
    house = House(1)
    await house.load()
    with pytest.raises(WorkerError, match="no"):
        await house.run(WRONG)
    assert len(house.made) == 1
    assert await house.run("next") == "next"


@in_a_loop
async def test_a_worker_that_stops_is_replaced_and_its_work_done_again() -> None:
    house = House(2)
    await house.load()
    assert await house.run(STOPPED, "done") == "done"
    await soon()
    assert len(house.made) == 3
    dead = [worker for worker in house.made if worker.ended]
    assert len(dead) == 1
    assert house.made[2] in house.pool.workers
    assert house.made[2].url == "umx-mini/"
    # The fresh one works as soon as it has loaded the model, and not before.
    ends = [later(), later()]
    tasks = [house.run(end) for end in ends]
    await soon()
    assert not house.made[2].busy
    house.made[2].loaded()
    await soon()
    assert house.made[2].busy
    for end in ends:
        end.set_result("")
    await asyncio.gather(*tasks)


@in_a_loop
async def test_without_memory_there_is_one_worker_less() -> None:
    house = House(2)
    await house.load()
    assert await house.run(NO_MEMORY, "done") == "done"
    await soon()
    assert len(house.made) == 2
    assert len(house.pool.workers) == 1


@in_a_loop
async def test_the_last_one_is_replaced_even_without_memory() -> None:
    house = House(1)
    await house.load()
    task = house.run(NO_MEMORY, "done")
    await house.load()
    assert await task == "done"
    assert len(house.made) == 2


@pytest.mark.parametrize("error", [STOPPED, NO_MEMORY])
@in_a_loop
async def test_a_request_is_given_up_in_the_end(error: Exception) -> None:
    house = House(1)
    await house.load()
    task = house.run(*[error] * pool.TRIES)
    for _ in range(pool.TRIES):
        await house.load()
    with pytest.raises(type(error)):
        await task
    # Others are served all the same.
    assert await house.run("next") == "next"


@in_a_loop
async def test_a_replacement_that_fails_leaves_those_that_are_there() -> None:
    house = House(2)
    await house.load()
    assert await house.run(STOPPED, "done") == "done"
    await house.load(NO_MEMORY)
    assert len(house.pool.workers) == 1
    assert house.pool.failure is None
    assert await house.run("next") == "next"


@in_a_loop
async def test_no_worker_left_is_told_to_all_that_wait() -> None:
    house = House(1)
    await house.load()
    tasks = [house.run(STOPPED, "never"), house.run("never")]
    await soon()
    changes = house.changes
    await house.load(WRONG)
    for task in tasks:
        with pytest.raises(WorkerError, match="no"):
            await task
    assert house.pool.failure == "no"
    assert house.changes == changes + 1


@pytest.mark.parametrize(
    "anew", [Pool.start, lambda pool: pool.give_up(WRONG)], ids=["started", "given up"]
)
@in_a_loop
async def test_workers_made_anew_cancel_what_waits_and_what_they_were_at(
    anew: Callable[[Pool], None],
) -> None:
    house = House(1)
    await house.load()
    at_work = later()
    tasks = [house.run(at_work), house.run("never")]
    await soon()
    anew(house.pool)
    at_work.set_exception(Cancelled())  # as a worker's answer is, once it is ended
    for task in tasks:
        with pytest.raises(Cancelled):
            await task
    await house.load()
    assert house.made[0].ended
    assert house.pool.idle == [house.made[1]]
    assert await house.run("next") == "next"


@in_a_loop
async def test_a_worker_of_before_is_not_taken_back() -> None:
    house = House(1)
    await house.load()
    late = later()
    task = house.run(late)
    await soon()
    house.pool.start()
    late.set_exception(WorkerStoppedError("late"))
    with pytest.raises(WorkerStoppedError):
        await task
    await house.load()
    assert house.pool.workers == house.pool.idle == [house.made[1]]


@in_a_loop
async def test_replacements_end_with_those_that_they_were_for() -> None:
    house = House(2)
    await house.load()
    assert await house.run(STOPPED, "done") == "done"
    await soon()
    assert house.made[2].is_starting()
    house.pool.start()
    await soon()
    assert [worker.ended for worker in house.made] == [True, True, True, False, False]
    # Nor does one come that was still to be made.
    await house.load()
    house.made[3].heap += pool.GROWN + 1
    house.pool.renew()
    house.pool.start()
    await house.load()
    assert house.pool.workers == house.made[-2:]
    assert len(house.made) == 7


@in_a_loop
async def test_where_memory_was_too_little_the_next_song_has_half_the_workers() -> None:
    house = House(3)
    for size in (1, 1):
        await house.load()
        house.pool.give_up(NO_MEMORY)
        assert house.pool.size == len(house.pool.workers) == size


# Between songs


@in_a_loop
async def test_what_has_grown_is_renewed_and_nothing_else() -> None:
    house = House(3)
    await house.load()
    grown, large, _ = house.made
    large.least = large.heap = 10 * pool.GROWN  # a large model
    grown.heap += pool.GROWN + 1
    house.pool.renew()
    await soon()
    assert [worker.ended for worker in house.made] == [True, False, False, False]
    assert house.made[3].url == "umx-mini/"
    house.made[3].loaded()
    await soon()
    assert sorted(map(id, house.pool.idle)) == sorted(map(id, house.made[1:]))


@in_a_loop
async def test_a_grown_worker_that_is_at_work_is_left_alone() -> None:
    house = House(1)
    await house.load()
    end = later()
    task = house.run(end)
    await soon()
    house.made[0].heap += pool.GROWN + 1
    house.pool.renew()
    end.set_result("done")
    assert await task == "done"
    assert len(house.made) == 1


@in_a_loop
async def test_another_number_of_workers_is_made_between_songs() -> None:
    house = House(2)
    await house.load()
    house.pool.size = 1
    assert len(house.pool.workers) == 2
    house.pool.renew()
    await house.load()
    assert house.pool.workers == [house.made[2]]
    house.pool.renew()
    assert len(house.made) == 3


# Workers that don't start


@in_a_loop
async def test_what_keeps_workers_from_starting_is_looked_for_once_at_a_time() -> None:
    house = House(2)
    await soon()
    first, second = house.made
    first.reason = later()
    for house.time in (1, pool.SLOW_START - 1):
        house.pool.tick()
        await soon()
    assert first.looks == 0
    for house.time in (pool.SLOW_START, 2 * pool.SLOW_START):
        house.pool.tick()
        await soon()
    assert (first.looks, second.looks) == (1, 0)
    first.reason.set_result("")
    await soon()
    house.pool.tick()  # it has only just been looked for
    await soon()
    assert first.looks == 1
    house.time += pool.SLOW_START
    first.reason = None
    house.pool.tick()
    await soon()
    assert first.looks == 2
    assert first.is_starting()  # nothing is known against them
    assert second.is_starting()


@in_a_loop
async def test_the_reason_is_that_of_all_that_have_not_started() -> None:
    house = House(3)
    await soon()
    house.made[1].loaded()
    house.made[0].reason = later()
    house.made[0].reason.set_result("numpy is gone")
    house.time = pool.SLOW_START
    house.pool.tick()
    await soon()
    # One that has started is enough.
    assert house.pool.workers == [house.made[1]]
    assert house.pool.failure is None


@in_a_loop
async def test_a_worker_that_starts_meanwhile_is_left_alone() -> None:
    house = House(1)
    await soon()
    (worker,) = house.made
    worker.reason = later()
    house.time = pool.SLOW_START
    house.pool.tick()
    await soon()
    worker.progress(0.1)
    worker.reason.set_result("the network was gone")
    await house.load()
    assert house.pool.failure is None
    assert house.pool.workers == [worker]


@in_a_loop
async def test_a_start_without_a_reason_ends_some_time() -> None:
    house = House(1)
    await soon()
    house.time = pool.LONGEST_START
    house.pool.tick()
    await soon()
    assert house.pool.failure is None
    house.time += pool.SLOW_START
    house.pool.tick()
    await soon()
    assert house.pool.failure == "it did not start."


# Whatever happens

FATES = st.sampled_from([None, None, None, STOPPED, NO_MEMORY, WRONG])


@given(
    size=st.integers(1, 4),
    requests=st.lists(st.tuples(st.booleans(), st.lists(FATES, min_size=3, max_size=3))),
    starts=st.lists(FATES, max_size=6),
)
@in_a_loop
async def test_every_request_ends(
    size: int, requests: list[tuple[bool, list[Exception | None]]], starts: list[Exception | None]
) -> None:
    """Each with its first result or its own error, or with what ended the last worker."""
    house, fates = House(size), list(starts)
    await house.load()
    tasks = [
        house.run(*[fate or number for fate in results], urgent=urgent)
        for number, (urgent, results) in enumerate(requests)
    ]
    for _ in range(4 * len(requests) + 4):
        await soon()
        for worker in house.made:
            worker.loaded(fates.pop() if fates else None)
    done = await asyncio.gather(*tasks, return_exceptions=True)
    ends = [error for error in starts if error]
    for number, ((_, results), result) in enumerate(zip(requests, done, strict=True)):
        if house.pool.failure and any(str(result) == str(error) for error in ends):
            continue
        tried = []
        for fate in results:
            tried.append(fate)
            if fate not in (STOPPED, NO_MEMORY):
                break
        assert result == (tried[-1] or number)
    assert len(house.pool.workers) <= size
    if not house.pool.failure:
        assert sorted(map(id, house.pool.idle)) == sorted(map(id, house.pool.workers))
        assert house.pool.workers
