"""Work shared among threads: order, nesting, laziness, exceptions."""

import threading

import pytest

from umx.threads import ONE, Threads, parts


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_order_however_long_each_takes(count: int) -> None:
    late = threading.Event()

    def work(number: int) -> int:
        if number == 0 and count > 1:
            assert late.wait(20)  # only somebody else can set it
        if number == 1:
            late.set()
        return number * number

    assert list(Threads(count).map(work, range(9))) == [n * n for n in range(9)]


def test_who_waits_works_too() -> None:
    """More calls wait inside of calls than there are threads."""
    threads = Threads(2)

    def deep(level: int) -> int:
        return sum(threads.map(deep, [level - 1] * 3)) if level else 1

    assert deep(5) == 3**5


def test_one_thread_computes_what_is_asked_for() -> None:
    seen: list[int] = []
    results = ONE.map(seen.append, range(3))
    next(results)
    assert seen == [0]


@pytest.mark.parametrize("count", [1, 3])
def test_an_exception_ends_the_rest(count: int) -> None:
    seen: list[int] = []

    def work(number: int) -> None:
        seen.append(number)
        if number == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Threads(count).run(work, range(1000))
    before = len(seen)
    assert before < 1000
    assert list(Threads(count).map(str, range(2))) == ["0", "1"]
    assert len(seen) == before  # nobody is at work any more


def test_less_than_one_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        Threads(0)


@pytest.mark.parametrize(("count", "most"), [(0, 3), (1, 3), (7, 3), (7, 20), (512, 16)])
def test_parts_cover_everything_once(count: int, most: int) -> None:
    found = [index for part in parts(count, most) for index in range(count)[part]]
    assert found == list(range(count))
    assert len(parts(count, most)) == max(1, min(count, most))
