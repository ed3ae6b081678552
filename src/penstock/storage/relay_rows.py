"""Rows of relays and of callbacks; what `rows` says of all rows holds here too."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from penstock.storage.rows import Row

RelayKind = Literal["live", "files"]
NoticeState = Literal["waiting", "delivered", "given up"]


# --- Groups -----------------------------------------------------------------------------------


class Tag(Struct, frozen=True):
    key: str
    value: str
    category: str = "Custom"


class RelayGroup(Row, frozen=True, kw_only=True):
    """Of one account, which has a name once. A group that was deleted stays, and may be made anew."""

    account: str
    name: str
    project: str
    tags: tuple[Tag, ...] = ()
    created_at: datetime
    deleted_at: datetime | None = None


class GroupQuery(Row, frozen=True, kw_only=True):
    """Groups of an account, the newest first."""

    account: str | None = None
    available: bool = True
    deleted: bool = False
    offset: int = 0
    limit: int | None = None


# --- Tasks ------------------------------------------------------------------------------------


class Source(Struct, frozen=True):
    """One address that is pulled, and the part of it that is played; a None is the file's own end."""

    url: str
    start_s: float | None = None
    end_s: float | None = None


class Watermark(Struct, frozen=True):
    """Where a picture lies: shares of the frame's width and height. `picture` is its name in the store."""

    picture: str
    x: float
    y: float
    width: float


class RelayTask(Row, frozen=True, kw_only=True):
    """What is wanted of one relay. Its state goes by the clock; how it stands is a `RelayProgress`."""

    id: str  # 32 hexadecimal digits
    account: str
    access_key: str = ""  # that made it
    cloud: str = ""  # the dialect in which it was asked for; "": the operator
    group: str
    title: str = ""
    created_at: datetime
    changed_at: datetime
    starts_at: datetime
    ends_at: datetime
    kind: RelayKind
    sources: tuple[Source, ...]
    has_parts: bool = False  # the sources came with their own starts and ends
    cycle_mode: int = 0  # -1 until the end, 0 `play_times`, else that often
    play_times: int | None = None
    target: str
    callback_url: str = ""
    download_first: bool = True
    resumes_late: bool = False  # where it would be by now, and not where it was
    watermark: Watermark | None = None
    is_stopped: bool = False
    # Rises whenever what was played before does not count any more.
    generation: int = 1
    is_settled: bool = False  # its end was told: nothing is left to do


class RelayQuery(Row, frozen=True, kw_only=True):
    """Tasks, the newest first; a None matches everything."""

    account: str | None = None
    group: str | None = None
    title_part: str | None = None  # whatever its case
    offset: int = 0
    limit: int | None = None


class RelayProgress(Row, frozen=True, kw_only=True):
    """How a task stands: what was last known of it. Counts are over its whole life.

    `told_in` and `told_out` are what the engine said last of its own order: a number that is smaller
    begins to count anew.
    """

    task: str
    generation: int = 1
    state: str = ""  # a word of `RelayState`; "": it never ran
    is_flowing: bool = False  # its start was told, and nothing broke since
    is_finished: bool = False  # the last file was played as often as it was to be
    # Where the list of files is: `offset_s` counts from the file's own beginning.
    loop: int = 0
    clip: int = 0
    offset_s: float = 0.0
    position_ms: int = 0  # on the relay's line of time
    noted_at: datetime | None = None  # when the place was
    bytes_in: int = 0
    bytes_out: int = 0
    told_in: int = 0
    told_out: int = 0
    failures: int = 0
    error: str = ""  # the latest
    error_side: str = ""  # source, target or server
    error_at: datetime | None = None
    next_try_at: datetime | None = None


# --- Callbacks --------------------------------------------------------------------------------


class Notice(Row, frozen=True, kw_only=True):
    """One callback that is to be delivered, or was. Those of one subject are delivered in their order."""

    id: int = 0  # 0: not given yet
    account: str
    subject: str  # what it is about: a task's id
    sequence: int = 0  # from 1 for each subject; 0: not given yet
    event: str
    url: str
    facts: str  # JSON, as the event has it; its envelope is made when it is sent
    made_at: datetime
    state: NoticeState = "waiting"
    tries: int = 0
    first_try_at: datetime | None = None
    next_try_at: datetime | None = None
    answer: str = ""  # what the last try came to


class NoticeQuery(Row, frozen=True, kw_only=True):
    """Callbacks, the newest first; a None matches everything."""

    account: str | None = None
    subject: str | None = None
    state: str | None = None
    offset: int = 0
    limit: int | None = None


class Delivery(Row, frozen=True, kw_only=True):
    """One try to deliver."""

    notice: int
    at: datetime
    took_ms: int
    status: int = 0  # of HTTP; 0: no answer
    error: str = ""
