"""The states of a relay task, and what leads from one to another.

A state goes by the clock alone, as the cloud's own does: a task whose source is dead is in effect all the
same. How it really stands is told by its progress.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from penstock.errors import Conflict
from penstock.storage.relay_rows import RelayTask


class TaskState(StrEnum):
    NOT_STARTED = "not started"
    IN_EFFECT = "in effect"
    ENDED = "ended"
    STOPPED = "stopped"


class Trigger(StrEnum):
    CREATE = "create"
    START_TIME = "the clock reaches its start"
    END_TIME = "the clock reaches its end"
    UPDATE = "update"
    STOP = "stop"
    RESTART = "restart"
    RELAUNCH = "relaunch"
    DELETE = "delete"


NOT_STARTED, IN_EFFECT, ENDED, STOPPED = TaskState
BY_CLOCK: Final = (NOT_STARTED, IN_EFFECT, ENDED)

# From a state, by a trigger, to one of these: where there are several, the clock says which. None is "not there".
TRANSITIONS: Final[dict[tuple[TaskState | None, Trigger], tuple[TaskState | None, ...]]] = {
    (None, Trigger.CREATE): BY_CLOCK,
    (NOT_STARTED, Trigger.START_TIME): (IN_EFFECT,),
    (IN_EFFECT, Trigger.END_TIME): (ENDED,),
    # Its window may be another one afterwards. What is stopped stays so.
    (NOT_STARTED, Trigger.UPDATE): BY_CLOCK,
    (IN_EFFECT, Trigger.UPDATE): BY_CLOCK,
    (ENDED, Trigger.UPDATE): BY_CLOCK,
    (STOPPED, Trigger.UPDATE): (STOPPED,),
    (NOT_STARTED, Trigger.STOP): (STOPPED,),
    (IN_EFFECT, Trigger.STOP): (STOPPED,),
    (STOPPED, Trigger.RESTART): BY_CLOCK,
    (STOPPED, Trigger.RELAUNCH): BY_CLOCK,
    # What plays, or has played all, begins again.
    (IN_EFFECT, Trigger.RELAUNCH): (IN_EFFECT,),
    (NOT_STARTED, Trigger.DELETE): (None,),
    (IN_EFFECT, Trigger.DELETE): (None,),
    (ENDED, Trigger.DELETE): (None,),
    (STOPPED, Trigger.DELETE): (None,),
}


def state_of(task: RelayTask, now: datetime) -> TaskState:
    if task.is_stopped:
        return STOPPED
    if now < task.starts_at:
        return NOT_STARTED
    return IN_EFFECT if now < task.ends_at else ENDED


def require(task: RelayTask, trigger: Trigger, now: datetime) -> TaskState:
    """Return the state that `task` is in, from which `trigger` leads on.

    Raises:
        Conflict: it does not; the message tells from which states it would.
    """
    state = state_of(task, now)
    if (state, trigger) in TRANSITIONS:
        return state
    wanted = " or ".join(str(origin) for origin, by in TRANSITIONS if by is trigger and origin is not None)
    raise Conflict(f"task {task.id} is {state}; to {trigger} it, it must be {wanted}")
