"""The nine operations of KLS, and what they answer.

Members are snake_case of the wire's names (`ClientIP` and `Clientip` are both `client_ip`). Every time
is in Unix seconds, as on the wire: -1 and 1 have meanings of their own in `forbid_till_unix_time`.
Optional text is empty where it is absent: the official wrapper sends it so.

Source: KLS OpenAPI 2017-01-01, the page of each operation (read 2026-11), with the official Python and
Java SDKs where pages and samples differ; docs/contradictions.md lists what was chosen.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from penstock.clouds.contract import About, Effect, Operation, Paging, Rate, Result
from penstock.clouds.members import ZERO_IS_ABSENT
from penstock.clouds.shape import AS_TEXT, also
from penstock.errors import NotBanned, NotOnAir, PenstockError, Unchanged, UnknownDomain, UnknownVhost

_SOURCE: Final = "KLS OpenAPI 2017-01-01, {} (read 2026-11)"
_QUERIES: Final = Rate(50, per_s=60)

MAX_TIME: Final = 9_999_999_999  # "10-digit Unix time"; the year 2286

Name = Annotated[str, Meta(min_length=1)]
UnixTime = Annotated[int, Meta(ge=0, le=MAX_TIME)]  # seconds
OptionalTime = Annotated[UnixTime | None, ZERO_IS_ABSENT]  # seconds; the wrapper sends a 0, the Java client drops it
Order = Literal[0, 1]  # by publish start: 0 latest first, 1 earliest first
Marker = Annotated[int, Meta(ge=0, le=2_147_483_647)]  # page number from 0; its end is ours
Limit = Annotated[int, Meta(ge=1, le=5000), ZERO_IS_ABSENT]  # rows per page
NumberText = Annotated[int, AS_TEXT]

LATEST_FIRST: Final = 0
EARLIEST_FIRST: Final = 1
KICK: Final = 1  # forbid_till_unix_time: cut the connection, ban nothing
LONGEST: Final = -1  # forbid_till_unix_time: 90 days

BanEnd = Annotated[int, Meta(ge=LONGEST, le=MAX_TIME)]  # seconds; 1 only cuts the connection; -1 or absent: 90 days

# Names that do not belong together.
_PLACE: Final = (UnknownVhost, UnknownDomain)

_PAGES: Final = Paging(index="marker", size="limit", rows="result", count="count", total="total", first=0)


def _read(action: str, method: str = "GET", paging: Paging | None = None, rate: Rate = _QUERIES) -> About:
    source = _SOURCE.format(action)
    return About(
        action=action, method=method, effect=Effect.READS, rate=rate, paging=paging, errors=_PLACE, source=source
    )


def _change(action: str, rate: Rate, *errors: type[PenstockError]) -> About:
    return About(
        action=action,
        method="POST",
        effect=Effect.SETS,
        rate=rate,
        errors=(*_PLACE, *errors),
        source=_SOURCE.format(action),
    )


class Pull(Struct, kw_only=True, rename="pascal"):
    """The players of one name: of the stream itself, or of a transcoded variant."""

    stream: str
    online_user: int
    bw: int  # bit/s


class RealtimeStream(Struct, kw_only=True, rename="pascal"):
    """A stream on air: what its publisher sends, and what its players take."""

    stream: str
    client_ip: Annotated[str, also("Clientip")] = field(name="ClientIP")
    node: str  # address that receives the publish
    pub_time: Annotated[int, also("Pubtime")]  # when the publish began
    frame_rate: int  # fps, nominal
    curfps: int  # fps, actual
    flr: int = field(name="FLR")  # percent of frames lost: (1 - actual / nominal) * 100
    curbitrate: float  # kbit/s of video
    bw_in_audio: float  # kbit/s of audio
    bw_in: float  # kbit/s, nominal: video and audio
    bw_real: float  # kbit/s as measured
    bw_diff: float  # bw_in - bw_real
    width: int
    height: int
    sample_rate: int  # Hz
    vcodec: str
    acodec: str
    online_user: int  # players of the stream and its variants
    bw: int  # bit/s that they take
    pulls: list[Pull]  # the stream itself, and its variants


class ListRealtimeStreamsInfoResult(Result, rename="pascal"):
    """An application's streams on air; at most 10,000 of them."""

    unique_name: str
    app: str
    count: int  # streams on air
    bw: int  # bit/s that players take, of all streams or of the one asked for
    online_user: int
    streams: list[RealtimeStream]


class ListRealtimeStreamsInfo(Operation[ListRealtimeStreamsInfoResult], frozen=True, rename="pascal"):
    """Give, for an application or one stream, the momentary quality, players and bandwidth.

    Without `type` that is both sides, with `push` or `pull` the publisher's or the players' alone.
    The players counted are those of one protocol, on the playback domains asked for.
    """

    about = _read("ListRealtimeStreamsInfo", "POST")

    unique_name: Name
    app: Name
    stream: str = ""  # empty: every stream of the application
    domain_ids: str = ""  # ids of playback domains, joined by commas; empty: all
    pull_protocol: Literal["http+flv", "rtmp", "hls"] = "http+flv"  # whose players count
    type: Literal["push", "pull"] | None = None  # one side alone


class PublishedStream(Struct, kw_only=True, rename="pascal"):
    """A stream on air, as last sampled. Rates are documented as B, most likely bit/s."""

    stream: str
    client_ip: str = field(name="Clientip")
    width: NumberText
    height: NumberText
    frame_rate: NumberText  # fps, nominal
    curfps: int  # fps, actual
    curbitrate: int  # video
    bw_in_audio: NumberText
    sample_rate: NumberText  # Hz
    bw_real: NumberText  # measured
    bw_in: NumberText  # nominal
    update_time: int  # when it was sampled
    pub_time: int = field(name="Pubtime")  # when the publish began


class ListRealtimePubStreamsInfoResult(Result, rename="pascal"):
    """One page of streams on air."""

    unique_name: str
    app: str
    pubdomain: str
    count: int  # rows on this page
    marker: int
    order_time: int
    total: int  # rows on all pages
    result: list[PublishedStream]


class ListRealtimePubStreamsInfo(Operation[ListRealtimePubStreamsInfoResult], frozen=True, rename="pascal"):
    """Page through what the publishers on one push domain and application send; sampled every 100 s."""

    about = _read("ListRealtimePubStreamsInfo", paging=_PAGES)

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: str = ""
    order_time: Order = LATEST_FIRST
    marker: Marker = 0
    limit: Limit = 1000


class PastPublish(Struct, kw_only=True, rename="pascal"):
    """One publish that is over, or one attempt that was refused, and why."""

    client_ip: str = field(name="Clientip")
    pub_time: int = field(name="Pubtime")  # when it began
    fin_time: int = field(name="Fintime")  # when it ended
    status_code: int  # 200 ended; 422 name in use, 423 banned, 425 expired, 426 signature, 428 parameters
    status_message: str


class StreamHistory(Struct, kw_only=True, rename="pascal"):
    """The publishes of one stream that fall on this page."""

    stream: str
    detail: list[PastPublish]


class ListHistoryPubStreamsInfoResult(Result, rename="pascal"):
    """One page of past publishes, gathered under their streams."""

    unique_name: str
    app: str
    pubdomain: str
    start_unix_time: Annotated[int, also("StartUnixTime")] = field(name="StartUnixtime")  # as applied
    end_unix_time: Annotated[int, also("EndUnixTime")] = field(name="EndUnixtime")
    count: int  # publishes on this page
    marker: int
    order_time: int
    total: int  # publishes on all pages
    result: list[StreamHistory]


class ListHistoryPubStreamsInfo(Operation[ListHistoryPubStreamsInfoResult], frozen=True, rename="pascal"):
    """Page through past publishes, with the reason that each ended.

    The last 28 days can be asked for, at most 5 at a time; without times, from 00:00 five days ago
    until now.
    """

    about = _read("ListHistoryPubStreamsInfo", paging=_PAGES)

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: str = ""
    order_time: Order = LATEST_FIRST
    marker: Marker = 0
    limit: Limit = 1000
    start_unix_time: OptionalTime = None
    end_unix_time: OptionalTime = None


class ListHistoryPubStreamsErrInfoResult(Result, rename="pascal"):
    """One page of refused or failed attempts, gathered under their streams."""

    unique_name: str
    app: str
    pubdomain: str
    start_unix_time: int  # as applied
    end_unix_time: int
    count: int  # attempts on this page
    marker: int
    order_time: int
    total: int  # attempts on all pages
    result: list[StreamHistory]


class ListHistoryPubStreamsErrInfo(Operation[ListHistoryPubStreamsErrInfoResult], frozen=True, rename="pascal"):
    """Page through attempts to publish that were refused or failed; windows as for the history."""

    about = _read("ListHistoryPubStreamsErrInfo", paging=_PAGES)

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: str = ""
    order_time: Order = LATEST_FIRST
    marker: Marker = 0
    limit: Limit = 1000
    start_unix_time: OptionalTime = None
    end_unix_time: OptionalTime = None


class StreamDuration(Struct, kw_only=True, rename="pascal"):
    """One publish and how long it lasted."""

    stream: str
    start_time: int
    end_time: int
    duration: int  # seconds


class ListStreamDurationsResult(Result, rename="pascal"):
    """Every publish between two days."""

    unique_name: str
    app: str
    pubdomain: str
    count: int
    result: list[StreamDuration]


class ListStreamDurations(Operation[ListStreamDurationsResult], frozen=True, rename="pascal"):
    """List how long streams were published, from 00:00 of one day to 00:00 of a later one.

    The last 60 days can be asked for.
    """

    about = _read("ListStreamDurations")

    unique_name: Name
    app: Name
    pubdomain: Name
    start_unix_time: Annotated[UnixTime, ZERO_IS_ABSENT]
    end_unix_time: Annotated[UnixTime, ZERO_IS_ABSENT]
    stream: str = ""


class ForbidStreamResult(Result):
    """Nothing but that it was done."""


class ForbidStream(Operation[ForbidStreamResult], frozen=True, rename="pascal"):
    """Drop a stream's publisher and refuse it until a time, or (with 1) only drop it.

    None and -1 stand for 90 days, which no time may be beyond.
    """

    about = _change("ForbidStream", Rate(200, per_s=1), Unchanged, NotOnAir)

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: Name
    forbid_till_unix_time: BanEnd | None = None


class ResumeStreamResult(Result):
    """Nothing but that it was done."""


class ResumeStream(Operation[ResumeStreamResult], frozen=True, rename="pascal"):
    """Lift a stream's ban; RetCode 8201 when there is none."""

    about = _change("ResumeStream", Rate(100, per_s=1), NotBanned)

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: Name


class BannedStream(Struct, kw_only=True, rename="pascal"):
    """One ban."""

    stream: str
    forbid_till_unix_time: int  # the end; -1 where a cloud has stored none
    forbid_unix_time: int  # when it was last banned


class GetBlacklistResult(Result, rename="pascal"):
    """The bans of one application on one push domain."""

    unique_name: str
    app: str
    pubdomain: str
    total: int
    recs: list[BannedStream]


class GetBlacklist(Operation[GetBlacklistResult], frozen=True, rename="pascal"):
    """List the banned streams of one application on one push domain."""

    about = _read("GetBlacklist", rate=Rate(100, per_s=1))

    unique_name: Name
    app: Name
    pubdomain: Name


class CheckBlacklistResult(Result, rename="pascal"):
    """Whether the stream is banned."""

    check_result: int  # 1 banned, 0 not


class CheckBlacklist(Operation[CheckBlacklistResult], frozen=True, rename="pascal"):
    """Tell whether one stream is banned."""

    about = _read("CheckBlacklist", rate=Rate(100, per_s=1))

    unique_name: Name
    app: Name
    pubdomain: Name
    stream: Name


OPERATIONS: Final[dict[str, type[Operation[Any]]]] = {
    operation.about.action: operation
    for operation in (
        ListRealtimeStreamsInfo,
        ListRealtimePubStreamsInfo,
        ListHistoryPubStreamsInfo,
        ListHistoryPubStreamsErrInfo,
        ListStreamDurations,
        ForbidStream,
        ResumeStream,
        GetBlacklist,
        CheckBlacklist,
    )
}
