"""What a task's callback is told of: changes of its state, and what went wrong on the way."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from penstock.domain.relays.states import TaskState
from penstock.storage.relay_rows import Notice, RelayTask


class Event(StrEnum):
    START = "start"  # media reached the target, for the first time or again
    END = "end"  # its time is over, or all its files were played
    STOP = "stop"  # somebody stopped or deleted it
    ERROR = "error"  # a source or a target failed; it will be tried again


class Facts(Struct, frozen=True, kw_only=True):
    """What a callback says of a task, in our own words; addresses are without their queries, which hold keys."""

    task: str
    title: str
    group: str
    state: TaskState
    kind: str
    source: str  # the one at fault, or the first
    target: str
    at: datetime
    error_side: str = ""  # source, target or server
    error: str = ""
    vhost: str = ""  # of ours, where the target is


def notice_of(
    task: RelayTask,
    event: Event,
    state: TaskState,
    at: datetime,
    *,
    clip: int = 0,
    side: str = "",
    error: str = "",
    vhost: str = "",
) -> Notice | None:
    """The callback that tells of `event`; None where the task has no address for such."""
    if not task.callback_url:
        return None
    source = task.sources[min(clip, len(task.sources) - 1)].url
    facts = Facts(
        task=task.id,
        title=task.title,
        group=task.group,
        state=state,
        kind=task.kind,
        source=without_query(source),
        target=without_query(task.target),
        at=at,
        error_side=side,
        error=error[:500],
        vhost=vhost,
    )
    return Notice(
        account=task.account,
        subject=task.id,
        event=event,
        url=task.callback_url,
        facts=msgspec.json.encode(facts).decode(),
        made_at=at,
    )


def without_query(url: str) -> str:
    return url.partition("?")[0]
