"""What a card offers in each state of its song."""

import pytest

from page.songs.life import (
    AGAIN,
    AT_WORK,
    CHOOSING,
    CONTROLS,
    ENDED,
    GO_ON,
    LIGHTER,
    SILENT,
    TO_DO,
    WAIT,
    WAITING,
    controls,
    other_way,
)

EVERY = (CHOOSING, *TO_DO, *ENDED)


def shown(state: str, can_retry: bool = True) -> set[str]:
    return {name for name, is_shown in controls(state, can_retry).items() if is_shown}


def test_a_song_is_to_be_done_or_has_ended_or_waits_for_the_visitor() -> None:
    assert set(EVERY) == set(CONTROLS)
    assert len(set(EVERY)) == len(EVERY)
    assert not set(SILENT) & set(TO_DO)
    assert {*AT_WORK, WAITING} == set(TO_DO)


@pytest.mark.parametrize("state", EVERY)
def test_what_is_to_be_done_can_be_cancelled_and_what_has_ended_removed(state: str) -> None:
    assert ("cancel" in shown(state)) == (state in {CHOOSING, *TO_DO})
    assert ("remove" in shown(state)) == (state in ENDED)


def test_each_state_has_controls_of_its_own() -> None:
    for control, states in (
        ("earlier", {"waiting"}),
        ("bar", {"decoding", "running"}),
        ("zip", {"done"}),
        ("retry", {"failed", "cancelled"}),
        ("choose", {"waiting", "decoding", "running", "cancelled"}),
    ):
        assert {state for state in EVERY if control in shown(state)} == states


def test_what_would_fail_again_is_not_tried_again() -> None:
    assert shown("failed", can_retry=False) == {"remove"}


@pytest.mark.parametrize("state", EVERY)
def test_all_that_is_not_shown_is_hidden(state: str) -> None:
    """A card is told of every control, so that none is left from the state before."""
    assert controls(state).keys() == controls("waiting").keys()


NEITHER = {"is_coming": False, "waits": False, "can_be_better": False, "can_be_lighter": False}
EVERYTHING = {"is_coming": True, "waits": True, "can_be_better": True, "can_be_lighter": True}


@pytest.mark.parametrize("state", EVERY)
def test_no_other_way_is_offered_where_there_is_none(state: str) -> None:
    assert other_way(state, **NEITHER) is None


def test_a_waiting_song_may_go_on_without_the_better_model_or_wait_for_it() -> None:
    assert other_way("waiting", **NEITHER | {"is_coming": True, "waits": True}) == GO_ON
    assert other_way("waiting", **NEITHER | {"is_coming": True}) == WAIT


def test_each_state_has_its_own_way() -> None:
    ways = {state: other_way(state, **EVERYTHING) for state in EVERY}
    offered = {"waiting": GO_ON, "done": AGAIN, "failed": LIGHTER}
    assert ways == dict.fromkeys(EVERY) | offered
