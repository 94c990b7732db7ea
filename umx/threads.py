"""Threads that share work among them, whose order and results don't depend on how many they are."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads:
    """As many threads as there are cores, or fewer. Calls may be nested: who waits works, too."""

    def __init__(self, count: int | None = None):
        """Raises ValueError for a count below 1."""
        if count is not None and count < 1:
            raise ValueError(f"There must be at least one thread, not {count}.")
        self.count = count or cores()
        self._pool = None
        if self.count > 1:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.count - 1, "umx")

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the items' order. One thread computes each when it is asked for; several are ahead.

        An exception of the function's is raised where its result would be given, and ends the rest.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        from concurrent.futures import Future

        futures: list[Future[Result]] = []
        waiting: deque[tuple[Future[Result], Item]] = deque()
        for item in items:
            futures.append(Future())
            waiting.append((futures[-1], item))

        def work() -> bool:
            """Compute the next result that nobody is at, if there is one."""
            try:
                future, item = waiting.popleft()
            except IndexError:
                return False
            try:
                future.set_result(function(item))
            except Exception as error:
                waiting.clear()  # those before it are at work already, those behind nobody asks for
                future.set_exception(error)
            return True

        def help() -> None:
            while work():
                pass

        helpers = [self._pool.submit(help) for _ in range(min(self.count, len(futures)) - 1)]
        try:
            for index, future in enumerate(futures):
                while not future.done() and work():
                    pass
                futures[index] = Future()  # a result is held by nobody once it is given
                yield future.result()
        finally:
            waiting.clear()
            for helper in helpers:
                if not helper.cancel():
                    helper.result()

    def run(self, function: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Call the function with each item, and wait for all."""
        for _ in self.map(function, items):
            pass


def parts(count: int, most: int) -> list[slice]:
    """Split 0 to `count` into at most `most` slices, whose lengths differ by one at most."""
    number = max(1, min(count, most))
    edges = [count * index // number for index in range(number + 1)]
    return [slice(*pair) for pair in pairwise(edges)]


def cores() -> int:
    """Cores that this process may use. A worker of the page has one."""
    if sys.platform == "emscripten":
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


ONE = Threads(1)
