"""The order of songs: where a new one goes, which is next, what comes before what, what the page is like."""

from types import SimpleNamespace as Some
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from page.songs.life import CHOOSING, ENDED, TO_DO, WAITING
from page.songs.order import Order, may_replace

STATES = (CHOOSING, *TO_DO, *ENDED)


class Job:
    def __init__(self, state: str, may_go: bool = True):
        self.song = Some(state=state, kept_bytes=0)
        self.may_go = lambda: may_go
        self.is_open, self.saved = False, True
        self.is_heard = lambda: False


def order(*states: str) -> tuple[Order, list[Any]]:
    found = Order()
    found.jobs = [Job(state) for state in states]
    return found, list(found.jobs)


def states(found: Order) -> list[str]:
    return [job.song.state for job in found.jobs]


# Places


def test_a_new_song_comes_behind_what_is_to_be_done_and_before_what_has_ended() -> None:
    assert order()[0].place() == 0
    assert order("done", "failed")[0].place() == 0
    assert order("running", "waiting", "done")[0].place() == 2
    assert order("cancelled", "waiting", "done")[0].place() == 2


@given(st.lists(st.sampled_from(STATES), max_size=8))
def test_no_song_to_be_done_comes_after_a_new_one(others: list[str]) -> None:
    found, _ = order(*others)
    assert all(state in ENDED for state in states(found)[found.place() :])


def test_the_next_song_is_the_first_that_waits_for_nothing_else() -> None:
    found, jobs = order("done", "waiting", "waiting", "waiting")
    assert found.next() is jobs[1]
    jobs[1].may_go = lambda: False  # it waits for a better model
    assert found.next() is jobs[2]
    assert order("running", "done")[0].next() is None


def test_a_song_comes_before_the_one_that_waits_before_it() -> None:
    found, (one, two, three) = order("waiting", "waiting", "waiting")
    assert found.move_up(three) is two
    assert found.jobs == [one, three, two]
    assert not found.is_first(three)
    assert found.move_up(three) is one
    assert found.jobs == [three, one, two]
    assert found.is_first(three)
    assert found.move_up(three) is None
    assert found.jobs == [three, one, two]


def test_a_song_that_has_ended_in_between_stays_where_it_is() -> None:
    """As the list on the page has it, where one card is put before another."""
    found, (running, one, cancelled, two) = order("running", "waiting", "cancelled", "waiting")
    assert found.move_up(two) is one
    assert found.jobs == [running, two, one, cancelled]


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=8), st.data())
def test_moving_up_changes_nothing_else(others: list[str], data: st.DataObject) -> None:
    found, jobs = order(*others)
    waiting = found.in_state(WAITING)
    if not waiting:
        return
    job = data.draw(st.sampled_from(waiting))
    before = found.move_up(job)
    assert [other for other in found.jobs if other is not job] == [
        other for other in jobs if other is not job
    ]
    if before:
        assert found.jobs.index(before) == found.jobs.index(job) + 1


def test_a_removal_is_taken_back_to_its_place() -> None:
    """Before the first of those behind it that are still there."""
    found, (one, two, three, four) = order("done", "done", "done", "done")
    behind = found.behind(two)
    assert behind == [three, four]
    found.take_out(two)
    found.take_out(three)
    assert found.place_before(behind) == 1
    found.take_out(four)
    assert found.place_before(behind) == len(found.jobs) == 1
    assert found.jobs == [one]


# What the page is like


@given(st.lists(st.sampled_from(STATES), max_size=5), st.booleans(), st.booleans())
def test_the_page_runs_as_long_as_something_is_to_be_done(
    others: list[str], is_ready: bool, has_failed: bool
) -> None:
    found, jobs = order(*others)
    found.last = next((job for job in jobs if job.song.state in ENDED), None)
    busy = any(state in TO_DO for state in others)
    assert (found.page_state(is_ready, has_failed) == "running") == busy


def test_after_that_it_is_like_the_song_that_ended_last() -> None:
    found, (done, failed, cancelled) = order("done", "failed", "cancelled")
    for job, state in (done, "done"), (failed, "error"), (cancelled, "ready"):
        found.last = job
        assert found.page_state(True, True) == state
    found.take_out(cancelled)
    assert found.last is None
    assert found.page_state(is_ready=False, has_failed=False) == "loading"
    assert found.page_state(is_ready=False, has_failed=True) == "error"
    assert found.page_state(is_ready=True, has_failed=False) == "ready"


def test_a_song_whose_part_is_chosen_keeps_no_other_waiting() -> None:
    found, (choosing, waiting) = order("choosing", "waiting")
    assert found.next() is waiting
    assert found.place() == 2
    found.take_out(waiting)
    assert found.page_state(is_ready=True, has_failed=False) == "ready"
    assert found.unsaved()
    found.last = choosing  # it was cancelled before
    assert found.page_state(is_ready=True, has_failed=False) == "ready"


def test_work_that_would_be_lost_with_the_page() -> None:
    assert not order("failed", "cancelled", "done")[0].unsaved()
    assert order("failed", "waiting")[0].unsaved()
    found, (done,) = order("done")
    done.saved = False
    assert found.unsaved()


def test_what_has_nothing_to_hear_is_not_open() -> None:
    found, (failed, done) = order("failed", "done")
    failed.is_open = True
    assert found.opened() is None
    done.is_open = True
    assert found.opened() is done


# Songs that are separated again


def test_the_better_stems_take_the_place_of_the_old_ones() -> None:
    new, old = Job("done"), Job("done")
    assert may_replace(new, old)
    old.is_heard = lambda: True
    assert not may_replace(new, old)


def test_the_old_stems_stay_where_something_would_be_lost() -> None:
    new, old = Job("done"), Job("done")
    old.song.kept_bytes = 10
    assert not may_replace(new, old)  # there was no room to keep the new ones
    new.song.kept_bytes = 10
    assert may_replace(new, old)
    for state in ("failed", "cancelled", "waiting"):
        new.song.state = state
        assert not may_replace(new, old)
