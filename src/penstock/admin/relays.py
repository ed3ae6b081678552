"""Relay tasks with how they really stand, their groups, and callbacks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from penstock.admin.contract import OPTIONAL_TASK_ID, TASK_ID, Ask, Done, OptionalName, Result
from penstock.admin.streams import Rows, Seconds, Time

TaskId = Annotated[str, Meta(pattern=TASK_ID)]  # a beginning of it will do, if no other task has that
Url = Annotated[str, Meta(max_length=2000)]
GroupName = Annotated[str, Meta(max_length=20)]
Title = Annotated[str, Meta(max_length=20)]
Offset = Annotated[int, Meta(ge=0)]


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address, and the part of it that is played; null is the file's own end."""

    url: Url
    start_s: float | None = None
    end_s: float | None = None


class Mark(Struct, frozen=True, kw_only=True):
    """Where a watermark lies: shares of the frame."""

    x: float
    y: float
    width: float


class Truth(Struct, frozen=True, kw_only=True):
    """How a task really stands. Bytes and failures are over its whole life."""

    state: str  # connecting, running (media leaves), waiting, finished, stopped; "": it never ran
    rate_kbps: float  # that leaves now
    bytes_in: int
    bytes_out: int
    position_ms: int  # on its line of time
    loop: int  # of its files, from 0
    clip: int  # likewise
    offset_s: float  # into that file
    fetched_bytes: int  # of the file that is downloaded first
    fetch_size_bytes: int  # 0: not known
    failures: int
    error: str  # the latest
    error_side: str  # source, target or server
    error_at: datetime | None
    next_try_at: datetime | None
    is_finished: bool  # its files were played as often as they were to be


class Relay(Struct, frozen=True, kw_only=True):
    """A task as it is wanted: `state` goes by the clock alone."""

    id: str
    account: str
    group: str
    title: str
    state: str  # not started, in effect, ended, stopped
    created_at: datetime
    changed_at: datetime
    starts_at: datetime
    ends_at: datetime
    kind: Literal["live", "files"]
    sources: list[Source]
    plays: int | None  # how often the files are played; null: until the end
    target: str
    callback_url: str
    download_first: bool
    resumes_late: bool
    watermark: Mark | None
    cloud: str  # the dialect in which it was asked for; "": the admin socket
    access_key: str
    truth: Truth


class Relays(Result, frozen=True):
    """The newest first."""

    relays: list[Relay]
    total: int
    now: datetime


class ListRelays(Ask[Relays], frozen=True):
    """Tell which relay tasks there are; without `account` of all."""

    verb = "relays.ls"

    account: OptionalName = ""
    group: GroupName = ""
    title: Title = ""  # a piece of it, in any case
    offset: Offset = 0
    limit: Rows = 1000


class RelayShown(Result, frozen=True):
    """One task."""

    relay: Relay
    now: datetime


class ShowRelay(Ask[RelayShown], frozen=True):
    """Tell everything that is known of one task."""

    verb = "relays.show"

    id: TaskId


class Overlay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture, PNG or JPEG, that is laid over the video."""

    picture: bytes  # in base64
    x: float = 0.05
    y: float = 0.05
    width: float = 0.1


class CreateRelay(Ask[RelayShown], frozen=True):
    """Pull a live source, or play files, and push to `target` until a time.

    It begins at `starts_at`, or in `in_s` from now, or at once; it ends at `ends_at`, or `for_s` behind its start, or
    after seven days.
    """

    verb = "relays.create"

    kind: Literal["live", "files"]
    sources: Annotated[list[Source], Meta(min_length=1, max_length=30)]
    target: Url
    account: OptionalName = ""
    group: GroupName = ""
    title: Title = ""
    starts_at: Time | None = None
    in_s: Annotated[float, Meta(ge=0, le=100 * 366 * 86_400)] | None = None
    ends_at: Time | None = None
    for_s: Seconds | None = None
    plays: Annotated[int, Meta(ge=1)] | None = 1  # null: until the end
    callback_url: Url = ""
    download_first: bool = True
    resumes_late: bool = False
    overlay: Overlay | None = None


class StopRelay(Ask[RelayShown], frozen=True):
    """Take a task out of service; it keeps its place."""

    verb = "relays.stop"

    id: TaskId


class RestartRelay(Ask[RelayShown], frozen=True):
    """Put a stopped task into service again, where it was or `from_start`."""

    verb = "relays.restart"

    id: TaskId
    from_start: bool = False


class RemoveRelay(Ask[Done], frozen=True):
    """End a task, if it runs, and take it away."""

    verb = "relays.rm"

    id: TaskId


class Group(Struct, frozen=True, kw_only=True):
    """A group of tasks."""

    name: str
    account: str
    project: str
    created_at: datetime
    deleted_at: datetime | None
    tags: dict[str, str]


class Groups(Result, frozen=True):
    """The newest first."""

    groups: list[Group]
    total: int


class ListGroups(Ask[Groups], frozen=True):
    """Tell which groups there are; with `deleted` also those that take no more tasks."""

    verb = "relays.groups.ls"

    account: OptionalName = ""
    deleted: bool = False


class AddGroup(Ask[Done], frozen=True):
    """Make a group."""

    verb = "relays.groups.add"

    name: GroupName
    project: Annotated[str, Meta(max_length=64)] = "default"
    account: OptionalName = ""
    tags: dict[str, str] = field(default_factory=dict)


class RemoveGroup(Ask[Done], frozen=True):
    """Delete a group that has no tasks."""

    verb = "relays.groups.rm"

    name: GroupName
    account: OptionalName = ""


class Try(Struct, frozen=True, kw_only=True):
    """One try to deliver a callback."""

    at: datetime
    took_ms: int
    status: int  # of HTTP; 0: no answer
    error: str


class Callback(Struct, frozen=True, kw_only=True):
    """Something that a receiver is told."""

    id: int
    account: str
    subject: str  # a task's id
    sequence: int  # of the subject's callbacks, from 1
    event: str
    url: str
    made_at: datetime
    state: str  # waiting, delivered, given up
    tries: int
    next_try_at: datetime | None
    answer: str  # what the last try came to


class Callbacks(Result, frozen=True):
    """The newest first."""

    callbacks: list[Callback]
    total: int


class ListCallbacks(Ask[Callbacks], frozen=True):
    """Tell of callbacks, of one task or in one state."""

    verb = "callbacks.ls"

    account: OptionalName = ""
    task: Annotated[str, Meta(pattern=OPTIONAL_TASK_ID)] = ""  # whole, if the task is gone
    state: Literal["", "waiting", "delivered", "given up"] = ""
    offset: Offset = 0
    limit: Rows = 1000


class CallbackShown(Result, frozen=True):
    """One callback: what it tells, and each try."""

    callback: Callback
    facts: dict[str, str]
    tried: list[Try]


class ShowCallback(Ask[CallbackShown], frozen=True):
    """Tell what a callback says, and how each try went."""

    verb = "callbacks.show"

    id: int


class Redeliver(Ask[CallbackShown], frozen=True):
    """Have a callback delivered again, whatever became of it."""

    verb = "callbacks.redeliver"

    id: int
