"""The states of a task: by the clock, and by the table."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest
from msgspec.structs import replace

from penstock.domain.relays.states import (
    ENDED,
    IN_EFFECT,
    NOT_STARTED,
    STOPPED,
    TRANSITIONS,
    TaskState,
    Trigger,
    require,
    state_of,
)
from penstock.errors import Conflict
from tests.clock import START
from tests.storage.kit import relay

TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
TASK = relay("a", starts_at=START, ends_at=START + HOUR)
NOW = {NOT_STARTED: START - TICK, IN_EFFECT: START, ENDED: START + HOUR, STOPPED: START}


def in_state(state: TaskState) -> object:
    return replace(TASK, is_stopped=state is STOPPED)


@pytest.mark.parametrize(
    ("at", "state"),
    [
        (START - TICK, NOT_STARTED),
        (START, IN_EFFECT),
        (START + HOUR - TICK, IN_EFFECT),
        (START + HOUR, ENDED),
    ],
)
def test_a_state_goes_by_the_clock_to_the_moment(at: object, state: TaskState) -> None:
    assert state_of(TASK, at) is state  # type: ignore[arg-type]
    assert state_of(replace(TASK, is_stopped=True), at) is STOPPED  # type: ignore[arg-type]


@pytest.mark.parametrize("trigger", [Trigger.UPDATE, Trigger.STOP, Trigger.RESTART, Trigger.RELAUNCH, Trigger.DELETE])
@pytest.mark.parametrize("state", list(TaskState))
def test_what_the_table_does_not_have_is_refused(state: TaskState, trigger: Trigger) -> None:
    task = replace(TASK, is_stopped=state is STOPPED)
    if (state, trigger) in TRANSITIONS:
        assert require(task, trigger, NOW[state]) is state
        return
    with pytest.raises(Conflict, match=rf"task a is {state}; to {trigger} it, it must be "):
        require(task, trigger, NOW[state])


def test_the_table_says_what_the_cloud_says() -> None:
    stoppable = {state for state, trigger in TRANSITIONS if trigger is Trigger.STOP}
    assert stoppable == {NOT_STARTED, IN_EFFECT}
    assert {state for state, trigger in TRANSITIONS if trigger is Trigger.RESTART} == {STOPPED}
    assert {state for state, trigger in TRANSITIONS if trigger is Trigger.DELETE} == set(TaskState)
    assert (STOPPED, Trigger.END_TIME) not in TRANSITIONS


# The cloud's own table, and Delete from each state. Update and Relaunch are not in it.
PUBLISHED: Final[dict[tuple[TaskState | None, Trigger], set[TaskState | None]]] = {
    (None, Trigger.CREATE): {NOT_STARTED, IN_EFFECT, ENDED},
    (NOT_STARTED, Trigger.START_TIME): {IN_EFFECT},
    (IN_EFFECT, Trigger.END_TIME): {ENDED},
    (NOT_STARTED, Trigger.STOP): {STOPPED},
    (IN_EFFECT, Trigger.STOP): {STOPPED},
    (STOPPED, Trigger.RESTART): {NOT_STARTED, IN_EFFECT, ENDED},
    **{(state, Trigger.DELETE): {None} for state in TaskState},
}


def test_the_table_is_the_clouds_one() -> None:
    ours = {key: set(to) for key, to in TRANSITIONS.items() if key[1] not in (Trigger.UPDATE, Trigger.RELAUNCH)}
    assert ours == PUBLISHED


def test_every_transition_leads_to_a_state_that_the_clock_can_give() -> None:
    for (origin, trigger), targets in TRANSITIONS.items():
        assert targets, (origin, trigger)
        assert (None in targets) == (trigger is Trigger.DELETE)
