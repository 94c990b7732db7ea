"""Each border of two batches is added up once, from what its batches gave last, whatever fails on the way."""

from hypothesis import given
from hypothesis import strategies as st

from page.songs.borders import SIDES, Borders


def test_a_border_waits_for_both_of_its_ends() -> None:
    borders = Borders()
    borders.add(0, "head", "head of 1")
    assert borders.take(0) is None
    borders.add(0, "tail", "tail of 0")
    assert borders.take(0) == ["tail of 0", "head of 1"]
    assert borders.take(0) is None  # another worker is at it


def test_after_a_failure_the_lost_end_is_awaited_and_the_other_is_kept() -> None:
    borders = Borders()
    borders.add(0, "tail", "tail of 0")
    borders.add(0, "head", "head of 1")
    borders.take(0)
    borders.failed(0, "head")
    assert borders.take(0) is None  # the worker took it along
    borders.add(0, "head", "head of 1, again")
    assert borders.take(0) == ["tail of 0", "head of 1, again"]


def test_a_batch_that_is_done_again_leaves_what_is_added_up() -> None:
    """A worker may stop at the batch's second border, after its first."""
    borders = Borders()
    borders.add(0, "tail", "tail of 0")
    borders.add(0, "head", "head of 1")
    borders.take(0)
    borders.done(0)
    borders.add(0, "head", "head of 1, again")
    assert borders.take(0) is None
    assert not borders.ends


@given(st.integers(1, 6), st.data())
def test_all_borders_are_added_up_once(count: int, data: st.DataObject) -> None:
    """Batches are done in any order; after a failure a batch is done again, later."""
    borders, added, version = Borders(), [], 0
    left = list(range(count))
    while left:
        batch = left.pop(data.draw(st.integers(0, len(left) - 1)))
        version += 1
        for border, side in (batch - 1, "head"), (batch, "tail"):
            if not 0 <= border < count - 1:
                continue
            borders.add(border, side, (batch, version))
            ends = borders.take(border)
            if not ends:
                continue
            own = SIDES.index(side)
            assert ends[own] == (batch, version)
            assert ends[1 - own][0] == (border if side == "head" else border + 1)
            if version < 30 and data.draw(st.booleans()):
                borders.failed(border, side)
                left.append(batch)
                break
            borders.done(border)
            added.append(border)
    assert sorted(added) == list(range(count - 1))
    assert not borders.ends
