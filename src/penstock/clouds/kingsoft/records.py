"""KLS's operations on recordings, and what they answer.

No page documents them: names and parameters are those of the official Python SDK's model and samples, codes
those of the table of return codes. What they answer is ours; docs/contradictions.md lists what was chosen.
A recording is known by `rec_id`. Its `rec_status` goes by its time alone, as everywhere in KLS; `state` and
`error` tell what became of it.

Source: the model of ksc-sdk-python 1.3.65 (read 2026-11).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from penstock.clouds.contract import About, Effect, Operation, Paging, Rate, Result
from penstock.clouds.kingsoft.streams import LATEST_FIRST, Limit, Name, OptionalTime, Order, UnixTime
from penstock.clouds.members import ZERO_IS_ABSENT, spelled_too
from penstock.errors import (
    AlreadyRecorded,
    AlreadyStopped,
    Conflict,
    NothingRecorded,
    NotOnAir,
    PenstockError,
    TooManyRecordings,
    TooShort,
    UnknownDomain,
    UnknownRecording,
    UnknownVhost,
    WrongEnd,
    WrongFileName,
    WrongStart,
    WrongState,
)

_SOURCE: Final = "ksc-sdk-python 1.3.65, {} (read 2026-11)"
_RATE: Final = Rate(100, per_s=1)  # nobody's word; that of the other operations without a page of numbers
_PLACE: Final = (UnknownVhost, UnknownDomain)
_PAGES: Final = Paging(index="marker", size="limit", rows="result", count="count", total="total", first=1)

RecId = Annotated[int, Meta(ge=1, le=9_223_372_036_854_775_807)]
# From 1: what the official wrapper fills in here, while it fills in 0 for the lists of publishes.
PageNumber = Annotated[int, Meta(ge=1, le=2_147_483_647), ZERO_IS_ABSENT]
StoredName = Annotated[str, Meta(max_length=1024)]
RecType = Literal[0, 1, 2]

ALL: Final = 0  # of RecType and RecStatusType
AT_ONCE: Final = 1  # RecType: begun by StartStreamRecord, the operator or the settings, without an end
PLANNED: Final = 2  # RecType: with a time, as CreateRecordTask makes them

NOT_BEGUN: Final = 1  # RecStatus and RecStatusType: its time is yet to come
UNDER_WAY: Final = 2  # its time has come, and is not over
OVER: Final = 3
CANCELLED: Final = 4


def _about(
    action: str, method: str, effect: Effect, *errors: type[PenstockError], paging: Paging | None = None
) -> About:
    return About(
        action=action,
        method=method,
        effect=effect,
        rate=_RATE,
        paging=paging,
        errors=errors,
        source=_SOURCE.format(action),
    )


class RecordTask(Struct, kw_only=True, rename="pascal"):
    """One recording."""

    rec_id: int = field(name="RecID")
    stream: str
    rec_type: int  # 1 begun at once, 2 planned
    rec_status: int  # by its time: 1 not begun, 2 under way, 3 over, 4 cancelled
    start_unix_time: int
    end_unix_time: int  # planned, or when it was stopped; 0: until it is stopped
    format: str  # mp4, flv, hls
    state: str  # planned, waiting (for a publisher), recording (bytes flow), failed, stopped, cancelled
    error: str  # why it failed last
    next_try_unix_time: int  # of one that failed; 0: there is none
    files: int  # that are there
    size: int  # bytes of them
    duration: int  # seconds of them


class RecordFile(Struct, kw_only=True, rename="pascal"):
    """One file of a recording; HLS is a folder, and the URL its playlist's."""

    file_id: int = field(name="FileID")
    file_name: str
    url: str  # signed, for a day; empty for one that was removed
    start_unix_time: int
    end_unix_time: int  # 0: it is being written
    size: int  # bytes
    duration: int  # seconds
    vcodec: str
    acodec: str
    gaps: int  # times within it for which nothing was recorded
    is_whole: bool  # False: its writer died, and its last moment may be missing


class CreateRecordTaskResult(Result, rename="pascal"):
    """The recording's id."""

    rec_id: int = field(name="RecID")


class CreateRecordTask(Operation[CreateRecordTaskResult], frozen=True, rename="pascal"):
    """Record a stream from one time to another, whenever it is on air in between.

    It makes one file, or folder of HLS, for each publish. The paths in KS3 are kept with the task and
    told again; the files are on the server.
    """

    about = _about(
        "CreateRecordTask", "POST", Effect.CREATES, *_PLACE,
        WrongStart, WrongEnd, TooShort, WrongFileName, Conflict, TooManyRecordings,
    )  # fmt: skip

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: Name
    end_unix_time: Annotated[UnixTime, ZERO_IS_ABSENT, spelled_too("EndUnixtime")]  # also read as EndUnixtime
    start_unix_time: Annotated[OptionalTime, spelled_too("StartUnixtime")] = None  # absent: now; also StartUnixtime
    mp4_vod_enable: Literal[0, 1] = 0  # 1: MP4; 0: HLS
    ks3_full_path_m3u8: StoredName = field(name="Ks3FullPathM3U8", default="")
    ks3_file_name_m3u8: StoredName = field(name="Ks3FileNameM3u8", default="")
    ks3_full_path_mp4: StoredName = field(name="Ks3FullPathMP4", default="")


class CancelRecordTaskResult(Result):
    """Nothing but that it was done."""


class CancelRecordTask(Operation[CancelRecordTaskResult], frozen=True, rename="pascal"):
    """Take a task back whose time has not come."""

    about = _about("CancelRecordTask", "POST", Effect.SETS, *_PLACE, UnknownRecording, WrongState)

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: Name
    rec_id: RecId = field(name="RecID")


class StartStreamRecordResult(Result, rename="pascal"):
    """The recording's id."""

    rec_id: int = field(name="RecID")


class StartStreamRecord(Operation[StartStreamRecordResult], frozen=True, rename="pascal"):
    """Record a stream that is on air, as HLS, until it is stopped."""

    about = _about(
        "StartStreamRecord", "POST", Effect.CREATES, *_PLACE, NotOnAir, AlreadyRecorded, Conflict, TooManyRecordings
    )

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: Name


class StopStreamRecordResult(Result):
    """Nothing but that it was done."""


class StopStreamRecord(Operation[StopStreamRecordResult], frozen=True, rename="pascal"):
    """End a recording, and finish its file; answered once that is done."""

    about = _about("StopStreamRecord", "POST", Effect.SETS, *_PLACE, UnknownRecording, AlreadyStopped)

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: Name
    rec_id: RecId = field(name="RecID")


class ListRecordingTasksResult(Result, rename="pascal"):
    """One page of recordings that are not over."""

    unique_name: str
    app: str
    pubdomain: str
    count: int  # rows on this page
    marker: int
    order_time: int
    total: int  # rows on all pages
    result: list[RecordTask]


class ListRecordingTasks(Operation[ListRecordingTasksResult], frozen=True, rename="pascal"):
    """Page through the recordings that are planned or under way."""

    about = _about("ListRecordingTasks", "GET", Effect.READS, *_PLACE, paging=_PAGES)

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: str = ""
    rec_type: RecType = ALL  # 1 begun at once, 2 planned with a time
    order_time: Order = LATEST_FIRST  # by start
    marker: PageNumber = 1
    limit: Limit = 1000
    rec_status_type: Literal[0, 1, 2] = ALL  # 1 not begun, 2 under way


class ListHistoryRecordTasksResult(Result, rename="pascal"):
    """One page of recordings that are over."""

    unique_name: str
    app: str
    pubdomain: str
    count: int  # rows on this page
    marker: int
    order_time: int
    total: int  # rows on all pages
    result: list[RecordTask]


class ListHistoryRecordTasks(Operation[ListHistoryRecordTasksResult], frozen=True, rename="pascal"):
    """Page through the recordings that are over, by the time of their start; without times, all that are known."""

    about = _about("ListHistoryRecordTasks", "GET", Effect.READS, *_PLACE, paging=_PAGES)

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: str = ""
    rec_type: RecType = ALL
    start_unix_time: OptionalTime = None
    end_unix_time: OptionalTime = None
    order_time: Order = LATEST_FIRST
    marker: PageNumber = 1
    limit: Limit = 1000


class GetRecordTaskResult(Result, rename="pascal"):
    """One recording with its files."""

    unique_name: str
    app: str
    pubdomain: str
    rec_id: int = field(name="RecID")
    stream: str
    rec_type: int
    rec_status: int
    start_unix_time: int
    end_unix_time: int
    format: str
    state: str
    error: str
    next_try_unix_time: int
    size: int  # bytes of the files that are there
    duration: int  # seconds of them
    mp4_vod_enable: int
    ks3_full_path_m3u8: str = field(name="Ks3FullPathM3U8")  # as they came
    ks3_file_name_m3u8: str = field(name="Ks3FileNameM3u8")
    ks3_full_path_mp4: str = field(name="Ks3FullPathMP4")
    result: list[RecordFile]


class GetRecordTask(Operation[GetRecordTaskResult], frozen=True, rename="pascal"):
    """Tell everything of one recording, with a signed URL for each file; RetCode 6000 where it made none."""

    about = _about("GetRecordTask", "GET", Effect.READS, UnknownRecording, NothingRecorded)

    rec_id: RecId = field(name="RecID")


OPERATIONS: Final[dict[str, type[Operation[Any]]]] = {
    operation.about.action: operation
    for operation in (
        CreateRecordTask,
        CancelRecordTask,
        StartStreamRecord,
        StopStreamRecord,
        ListRecordingTasks,
        ListHistoryRecordTasks,
        GetRecordTask,
    )
}
