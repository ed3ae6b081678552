"""The operations on relay tasks and their groups, and what they answer.

Members are snake_case of the wire's names; a capital S at the end of one, as in `SrcAddrS`, is a word of its
own (`src_addr_s`). A task's window is asked for in Unix seconds, and answered in RFC 3339. An empty text or
list is the same as none.

`RestartPullToPushTask` was taken back by the cloud in 2025; `ContinuePullToPushTask` and
`RelaunchPullToPushTask` came in its place, and take the same two parameters.

Source: Volcengine Live OpenAPI 2023-01-01, the page of each operation (read 2026-11), with the models of
the official Python SDK where pages and samples differ; docs/contradictions.md lists what was chosen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from penstock.clouds.contract import About, Effect, Operation, Paging, Rate, Result
from penstock.clouds.volcengine.pictures import read_picture
from penstock.clouds.volcengine.words import RATE, SOURCE, Moment, Page, PageSize
from penstock.errors import Conflict, Denied, InvalidField, MissingField, NotFound, PenstockError

LIVE: Final = 0  # type: one live source
FILES: Final = 1  # type: files, one after the other
UNTIL_THE_END: Final = -1  # cycle_mode
BY_PLAY_TIMES: Final = 0  # cycle_mode
AT_THE_BREAK: Final = 0  # continue_strategy: where it was interrupted
AS_IF_PLAYED: Final = 1  # continue_strategy: there, and the time that has passed since
AVAILABLE: Final = 0  # status of a group
DELETED: Final = 1
OURS: Final = 1  # dst_addr_type: a domain of the account
ELSEWHERE: Final = 2

MAX_WINDOW_S: Final = 604_800  # seven days
MAX_TIME: Final = 9_999_999_999  # the year 2286
MAX_FILES: Final = 30

# CJK ideographs of the basic plane; nothing says which of them count as Chinese.
_HAN: Final = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"

TaskId = Annotated[str, Meta(min_length=1, max_length=64)]
Title = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9{_HAN}]{{0,20}}\Z")]
NewGroup = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9{_HAN}]{{1,20}}\Z")]
Group = Annotated[str, Meta(min_length=1, max_length=20)]
AnyGroup = Annotated[str, Meta(max_length=20)]
UnixTime = Annotated[int, Meta(ge=0, le=MAX_TIME)]  # Unix seconds
Address = Annotated[str, Meta(max_length=1000)]
Callback = Annotated[str, Meta(max_length=2000)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_TIME)]  # into a file
Offsets = Annotated[Sequence[Seconds], Meta(max_length=MAX_FILES)]  # seconds into each file of `src_addr_s`
Addresses = Annotated[Sequence[Annotated[str, Meta(min_length=1, max_length=1000)]], Meta(max_length=MAX_FILES)]
Share = Annotated[float, Meta(ge=0, lt=1)]  # of the picture's width or height
TaskStatus = Literal["未开始", "生效中", "已结束", "停用"]  # not started, in effect, ended, stopped
GroupStatus = Annotated[int, Meta(ge=AVAILABLE, le=DELETED)]  # 0 available, 1 deleted

NOT_STARTED: Final = "未开始"
IN_EFFECT: Final = "生效中"
ENDED: Final = "已结束"
STOPPED: Final = "停用"

_APP: Final = re.compile(r"[A-Za-z0-9_.-]{1,30}", re.ASCII)
_STREAM: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


def _about(
    action: str,
    effect: Effect,
    *errors: type[PenstockError],
    method: str = "POST",
    rate: Rate = RATE,
    paging: Paging | None = None,
) -> About:
    source = SOURCE.format(action)
    return About(action=action, method=method, effect=effect, rate=rate, paging=paging, errors=errors, source=source)


class VodSource(Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """A file that is played, or a piece of it."""

    src_addr: Annotated[str, Meta(min_length=1, max_length=1000)]
    start_offset: Seconds | None = None  # seconds; absent: from its beginning
    end_offset: Seconds | None = None  # seconds; absent: to its end

    def __post_init__(self) -> None:
        if self.end_offset is not None and self.end_offset <= (self.start_offset or 0):
            raise InvalidField("EndOffset", self.end_offset, f"above StartOffset, {self.start_offset or 0}")


Files = Annotated[Sequence[VodSource], Meta(max_length=MAX_FILES)]


class Watermark(Struct, frozen=True, kw_only=True, rename="pascal"):
    """A picture that is laid over the video."""

    picture: str  # a data URL of PNG or JPEG in base64; 100 bytes to 2 MB, 1080 x 1080 at most
    relative_pos_x: Share  # from the left edge to the picture's, of the video's width
    relative_pos_y: Share  # from the upper edge to the picture's, of the video's height
    ratio: Annotated[float, Meta(gt=0, le=1)]  # the picture's width, of the video's; two decimals

    def __post_init__(self) -> None:
        read_picture(self.picture)


class Tag(Struct, frozen=True, kw_only=True, rename="pascal"):
    """A word on a group."""

    key: Annotated[str, Meta(min_length=1)]
    value: str
    category: Literal["System", "Custom"] = "Custom"


class CreatePullToPushTaskResult(Result, rename="pascal"):
    """The id of the new task."""

    task_id: str


class CreatePullToPushTask(Operation[CreatePullToPushTaskResult], frozen=True, rename="pascal"):
    """Make a task that takes a live source, or plays files, and pushes that to an address for a span of time.

    The source of `type` 0 is `src_addr`; of `type` 1 it is `vod_src_addrs`, or `src_addr_s` with `offset_s` or
    `offset`, and `cycle_mode`. It is pushed to `dst_addr`, or else to rtmp://`domain`/`app`/`stream`. The span is
    seven days at most. A key of a sub-account has to say `group_name`; the main account's group is `default`.
    """

    about = _about("CreatePullToPushTask", Effect.CREATES, Denied, NotFound)

    type: Literal[0, 1]  # 0 a live source, 1 files
    start_time: UnixTime
    end_time: UnixTime
    title: Title = ""
    callback_url: Callback = field(name="CallbackURL", default="")  # is told what becomes of the task
    src_addr: Address = ""  # the live source
    vod_src_addrs: Files = ()  # files with their offsets
    src_addr_s: Addresses = ()  # files, the older form
    offset_s: Offsets = ()
    offset: Seconds | None = None  # seconds into the file, where `src_addr_s` has one and `offset_s` is absent
    cycle_mode: int | None = None  # how often all files are played: -1 until the end, 0 `play_times`, or that number
    play_times: Annotated[int, Meta(ge=0)] = 0
    pre_download: int = 1  # 1 files are fetched ahead, 0 they are not
    continue_strategy: int = 0  # files go on 0 where they were interrupted, 1 where they would be by now
    dst_addr: Address = ""
    domain: str = ""
    app: str = ""
    stream: str = ""
    watermark: Watermark | None = None
    group_name: AnyGroup = ""

    def __post_init__(self) -> None:
        _check_task(self)


class UpdatePullToPushTaskResult(Result):
    """Nothing but that it was done."""


class UpdatePullToPushTask(Operation[UpdatePullToPushTaskResult], frozen=True, rename="pascal"):
    """Give a task new settings in place of all old ones; what is left out has its default again.

    The rules are those of `create_pull_to_push_task`. The group stays: `group_name` is compared, and not changed.
    """

    about = _about("UpdatePullToPushTask", Effect.SETS, Denied, NotFound)

    task_id: TaskId
    type: Literal[0, 1]  # 0 a live source, 1 files
    start_time: UnixTime
    end_time: UnixTime
    title: Title = ""
    callback_url: Callback = field(name="CallbackURL", default="")  # is told what becomes of the task
    src_addr: Address = ""  # the live source
    vod_src_addrs: Files = ()  # files with their offsets
    src_addr_s: Addresses = ()  # files, the older form
    offset_s: Offsets = ()
    offset: Seconds | None = None  # seconds into the file, where `src_addr_s` has one and `offset_s` is absent
    cycle_mode: int | None = None  # how often all files are played: -1 until the end, 0 `play_times`, or that number
    play_times: Annotated[int, Meta(ge=0)] = 0
    pre_download: int = 1  # 1 files are fetched ahead, 0 they are not
    continue_strategy: int = 0  # files go on 0 where they were interrupted, 1 where they would be by now
    dst_addr: Address = ""
    domain: str = ""
    app: str = ""
    stream: str = ""
    watermark: Watermark | None = None
    group_name: AnyGroup = ""

    def __post_init__(self) -> None:
        _check_task(self)


TaskSettings: TypeAlias = CreatePullToPushTask | UpdatePullToPushTask


def _check_task(ask: TaskSettings) -> None:
    """What no member can say alone. What does not count for a type of task may be anything."""
    if not ask.start_time < ask.end_time <= ask.start_time + MAX_WINDOW_S:
        wanted = f"later than StartTime ({ask.start_time}), by {MAX_WINDOW_S} s (7 days) at most"
        raise InvalidField("EndTime", ask.end_time, wanted)
    _check_destination(ask)
    if ask.type == LIVE:
        if not ask.src_addr:
            raise MissingField("SrcAddr", "the URL of a live source where Type is 0")
    else:
        _check_files(ask)


def _check_destination(ask: TaskSettings) -> None:
    if ask.dst_addr:
        return
    for name, value in (("Domain", ask.domain), ("App", ask.app), ("Stream", ask.stream)):
        if not value:
            raise MissingField(name, "there, with all of Domain, App and Stream, or DstAddr in their place")
    for name, value, rule in (("App", ask.app, _APP), ("Stream", ask.stream, _STREAM)):
        if rule.fullmatch(value) is None:
            raise InvalidField(name, value, f"text matching {rule.pattern}")


def _check_files(ask: TaskSettings) -> None:
    if not ask.vod_src_addrs and not ask.src_addr_s:
        raise MissingField("VodSrcAddrs", "a list of files where Type is 1, or SrcAddrS in its place")
    if ask.vod_src_addrs and (ask.src_addr_s or ask.offset_s):
        name = "SrcAddrS" if ask.src_addr_s else "OffsetS"
        raise InvalidField(name, list(ask.src_addr_s or ask.offset_s), "absent where VodSrcAddrs is said")
    if ask.offset_s and len(ask.offset_s) != len(ask.src_addr_s):
        raise InvalidField("OffsetS", list(ask.offset_s), f"of {len(ask.src_addr_s)} items, as SrcAddrS")
    if ask.cycle_mode is None:
        raise MissingField("CycleMode", "there where Type is 1: -1, 0 or above")
    if ask.cycle_mode < UNTIL_THE_END:
        raise InvalidField("CycleMode", ask.cycle_mode, "-1, 0 or above")
    for name, value in (("PreDownload", ask.pre_download), ("ContinueStrategy", ask.continue_strategy)):
        if value not in (0, 1):
            raise InvalidField(name, value, "0 or 1")


class StopPullToPushTaskResult(Result):
    """Nothing but that it was done."""


class StopPullToPushTask(Operation[StopPullToPushTaskResult], frozen=True, rename="pascal"):
    """Take a task that waits or runs out of service; its settings stay."""

    about = _about("StopPullToPushTask", Effect.SETS, Denied, NotFound, Conflict)

    task_id: TaskId
    group_name: AnyGroup = ""


class RestartPullToPushTaskResult(Result):
    """Nothing but that it was done."""


class RestartPullToPushTask(Operation[RestartPullToPushTaskResult], frozen=True, rename="pascal"):
    """Put a task that was stopped into service again. The cloud itself took this operation back in 2025."""

    about = _about("RestartPullToPushTask", Effect.SETS, Denied, NotFound, Conflict)

    task_id: TaskId
    group_name: AnyGroup = ""


class ContinuePullToPushTaskResult(Result):
    """Nothing but that it was done."""


class ContinuePullToPushTask(Operation[ContinuePullToPushTaskResult], frozen=True, rename="pascal"):
    """Put a task that was stopped into service again, where `continue_strategy` has its files go on."""

    about = _about("ContinuePullToPushTask", Effect.SETS, Denied, NotFound, Conflict)

    task_id: TaskId
    group_name: AnyGroup = ""


class RelaunchPullToPushTaskResult(Result):
    """Nothing but that it was done."""


class RelaunchPullToPushTask(Operation[RelaunchPullToPushTaskResult], frozen=True, rename="pascal"):
    """Put a task that was stopped into service again, its files from the beginning."""

    about = _about("RelaunchPullToPushTask", Effect.SETS, Denied, NotFound, Conflict)

    task_id: TaskId
    group_name: AnyGroup = ""


class DeletePullToPushTaskResult(Result):
    """Nothing but that it was done."""


class DeletePullToPushTask(Operation[DeletePullToPushTaskResult], frozen=True, rename="pascal"):
    """End a task, if it runs, and take it away."""

    about = _about("DeletePullToPushTask", Effect.SETS, Denied, NotFound)

    task_id: TaskId
    group_name: AnyGroup = ""


class Task(Struct, kw_only=True, rename="pascal", omit_defaults=True):
    """A relay task."""

    task_id: str
    start_time: Moment
    end_time: Moment
    type: int  # 0 a live source, 1 files
    dst_addr: str
    dst_addr_type: int  # 1 a domain of the account, 2 another one
    status: TaskStatus
    title: str = ""
    group_name: str = ""
    callback_url: str = field(name="CallbackURL", default="")
    src_addr: str = ""
    src_addr_s: list[str] = []
    offset_s: list[float] = []
    vod_src_addrs: list[VodSource] = []
    cycle_mode: int | None = None
    play_times: int | None = None
    pre_download: int | None = None
    continue_strategy: int | None = None
    watermark: Watermark | None = None


# A member is called `list`, as on the wire, so that no type beside it can be.
Tasks: TypeAlias = list[Task]


class Pagination(Struct, kw_only=True, rename="pascal"):
    """Where a page is among all."""

    page_cur: int
    page_size: int
    page_total: int  # pages
    total_count: int  # rows on all pages


class ListPullToPushTaskResult(Result, rename="pascal"):
    """One page of tasks."""

    list: Tasks
    pagination: Pagination


class ListPullToPushTask(Operation[ListPullToPushTaskResult], frozen=True, rename="pascal"):
    """Page through the tasks, of every group or of one, latest first."""

    about = _about(
        "ListPullToPushTask",
        Effect.READS,
        method="GET",
        rate=Rate(15, per_s=1),
        paging=Paging(index="page", size="size", rows="list"),
    )

    group_name: AnyGroup = ""  # empty: every group
    title: str = ""  # a piece of the title, in upper or lower case
    page: Page = 1
    size: Annotated[int, Meta(ge=1, le=500)] = 20  # rows per page


class CreatePullToPushGroupResult(Result):
    """Nothing but that it was done."""


class CreatePullToPushGroup(Operation[CreatePullToPushGroupResult], frozen=True, rename="pascal"):
    """Make a group of tasks inside of a project."""

    about = _about("CreatePullToPushGroup", Effect.CREATES, Conflict)

    name: NewGroup
    project_name: Annotated[str, Meta(min_length=1)]
    tags: Sequence[Tag] = ()


class UpdatePullToPushGroupResult(Result):
    """Nothing but that it was done."""


class UpdatePullToPushGroup(Operation[UpdatePullToPushGroupResult], frozen=True, rename="pascal"):
    """Give a group new tags in place of all old ones."""

    about = _about("UpdatePullToPushGroup", Effect.SETS, NotFound)

    name: Group
    tags: Sequence[Tag] = ()


class DeletePullToPushGroupResult(Result):
    """Nothing but that it was done."""


class DeletePullToPushGroup(Operation[DeletePullToPushGroupResult], frozen=True, rename="pascal"):
    """Delete a group without tasks; it stays in lists that ask for deleted ones."""

    about = _about("DeletePullToPushGroup", Effect.SETS, NotFound, Conflict)

    name: Group


class TaskGroup(Struct, kw_only=True, rename="pascal"):
    """A group of tasks."""

    name: str
    project_name: str
    status: GroupStatus
    tags: list[Tag]


TaskGroups: TypeAlias = list[TaskGroup]


class ListPullToPushGroupResult(Result, rename="pascal"):
    """One page of groups."""

    list: TaskGroups
    total: int  # rows on all pages


class ListPullToPushGroup(Operation[ListPullToPushGroupResult], frozen=True, rename="pascal"):
    """Page through the groups, those that are available or as `status_list` says."""

    about = _about(
        "ListPullToPushGroup",
        Effect.READS,
        paging=Paging(index="page_num", size="page_size", rows="list", total="total"),
    )

    page_num: Annotated[int, Meta(ge=1, le=1000)]
    page_size: PageSize
    status_list: Sequence[GroupStatus] = ()  # 0 available, 1 deleted; empty: available


RELAYS: Final = (
    CreatePullToPushTask,
    DeletePullToPushTask,
    UpdatePullToPushTask,
    RestartPullToPushTask,
    ContinuePullToPushTask,
    RelaunchPullToPushTask,
    StopPullToPushTask,
    ListPullToPushTask,
    CreatePullToPushGroup,
    UpdatePullToPushGroup,
    DeletePullToPushGroup,
    ListPullToPushGroup,
)
