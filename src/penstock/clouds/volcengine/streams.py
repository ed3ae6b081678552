"""The seven operations on streams, and what they answer.

Members are snake_case of the wire's names. Times are aware `datetime`s, whatever the zone they came in.
An empty text is the same as none: official clients send filters so. Where a stream is found by `vhost` or
by `domain`, exactly one of them is to be said.

Source: Volcengine Live OpenAPI 2023-01-01, the page of each operation (read 2026-11), with the models of
the official Python SDK where pages and samples differ; docs/contradictions.md lists what was chosen.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Struct, field

from penstock.clouds.contract import About, Effect, Operation, Paging, Result
from penstock.clouds.members import ANY_CASE
from penstock.clouds.volcengine.words import (
    RATE,
    SOURCE,
    AnyApp,
    AnyStream,
    App,
    ExactMoment,
    Match,
    Moment,
    Order,
    Page,
    PageSize,
    Source,
    Stream,
    Vhost,
)
from penstock.errors import (
    InvalidField,
    MissingField,
    NotBanned,
    NotOnAir,
    PenstockError,
    UnknownDomain,
    UnknownVhost,
    WrongFormat,
)

# Names that do not belong to the caller.
_PLACE: Final = (UnknownVhost, UnknownDomain)

# RoughCount is described as the number of all rows and, elsewhere, of the page's: a page that is not full is the last.
_PAGES: Final = Paging(index="page_num", size="page_size", rows="stream_info_list")


def _read(action: str, paging: Paging | None = _PAGES) -> About:
    source = SOURCE.format(action)
    return About(
        action=action, method="GET", effect=Effect.READS, rate=RATE, paging=paging, errors=_PLACE, source=source
    )


def _change(action: str, *errors: type[PenstockError]) -> About:
    return About(
        action=action,
        method="POST",
        effect=Effect.SETS,
        rate=RATE,
        errors=(*_PLACE, *errors),
        source=SOURCE.format(action),
    )


def _need_one_place(vhost: str, domain: str) -> None:
    if not vhost and not domain:
        raise MissingField("Vhost", "there, or Domain in its place")
    if vhost and domain:
        raise InvalidField("Domain", domain, "absent where Vhost is said")


class LiveStream(Struct, kw_only=True, rename="pascal"):
    """A stream on air."""

    id: int = field(name="ID")  # of its session
    vhost: str
    domain: str
    app: str
    stream: str
    session_start_time: ExactMoment
    source_type: Source


class DescribeLiveStreamInfoByPageResult(Result, rename="pascal"):
    """One page of streams on air."""

    rough_count: int  # rows on all pages
    stream_info_list: list[LiveStream]


class DescribeLiveStreamInfoByPage(Operation[DescribeLiveStreamInfoByPageResult], frozen=True, rename="pascal"):
    """Page through the streams on air, of every vhost of the account or of what is named, latest first."""

    about = _read("DescribeLiveStreamInfoByPage")

    page_num: Page
    page_size: PageSize
    vhost: str = ""  # empty: every vhost of the account
    domain: str = ""  # empty: every domain
    app: AnyApp = ""
    stream: AnyStream = ""
    stream_type: Annotated[Literal["origin", "trans"] | None, ANY_CASE] = None  # as published, or transcoded
    source_type: Source | None = None
    query_type: Match = "strict"


class ClosedStream(Struct, kw_only=True, rename="pascal"):
    """One publish that is over."""

    vhost: str
    domain: str
    app: str
    stream: str
    start_time: Moment
    end_time: Moment
    source_type: Source


class DescribeClosedStreamInfoByPageResult(Result, rename="pascal"):
    """One page of publishes that are over."""

    rough_count: int  # rows on all pages
    stream_info_list: list[ClosedStream]


class DescribeClosedStreamInfoByPage(Operation[DescribeClosedStreamInfoByPageResult], frozen=True, rename="pascal"):
    """Page through the publishes that ended in a span of time, both its ends included; a row for each publish."""

    about = _read("DescribeClosedStreamInfoByPage")

    page_num: Page
    page_size: PageSize
    end_time_from: Moment
    end_time_to: Moment
    vhost: str = ""  # empty: every vhost of the account
    domain: str = ""  # empty: every domain
    app: AnyApp = ""
    stream: AnyStream = ""
    source_type: Source | None = None
    sort: Order = "desc"  # by the end
    query_type: Match = "strict"

    def __post_init__(self) -> None:
        if self.end_time_to < self.end_time_from:
            wanted = f"not before EndTimeFrom, {self.end_time_from.isoformat()}"
            raise InvalidField("EndTimeTo", self.end_time_to.isoformat(), wanted)


class ForbiddenStream(Struct, kw_only=True, rename="pascal"):
    """One ban."""

    vhost: str
    domain: str
    app: str
    stream: str
    create_time: Moment  # when it began
    end_time: Moment
    status: bool  # in force


class DescribeForbiddenStreamInfoByPageResult(Result, rename="pascal"):
    """One page of bans."""

    rough_count: int  # rows on all pages
    stream_info_list: list[ForbiddenStream]


class DescribeForbiddenStreamInfoByPage(
    Operation[DescribeForbiddenStreamInfoByPageResult], frozen=True, rename="pascal"
):
    """Page through the bans, of every vhost of the account or of what is named."""

    about = _read("DescribeForbiddenStreamInfoByPage")

    page_num: Page
    page_size: PageSize
    vhost: str = ""  # empty: every vhost of the account
    domain: str = ""  # empty: every domain
    app: AnyApp = ""
    stream: AnyStream = ""
    sort: Order = "desc"  # by the end
    query_type: Match = "strict"


class KillStreamResult(Result):
    """Nothing but that it was done."""


class KillStream(Operation[KillStreamResult], frozen=True, rename="pascal"):
    """Cut a stream's publisher and its players. It may come back at once."""

    about = _change("KillStream", NotOnAir)

    vhost: Vhost
    app: App
    stream: Stream


class ForbidStreamResult(Result):
    """Nothing but that it was done."""


class ForbidStream(Operation[ForbidStreamResult], frozen=True, rename="pascal"):
    """Cut a stream's publisher and refuse it until a time, at most 90 days from now.

    A second ban moves the end of the first, either way.
    """

    about = _change("ForbidStream")

    app: App
    stream: Stream
    vhost: str = ""
    domain: str = ""
    end_time: ExactMoment | None = None  # absent: 90 days from now
    priority: int | None = None  # known to the official SDK alone; taken, and without effect here

    def __post_init__(self) -> None:
        _need_one_place(self.vhost, self.domain)


class ResumeStreamResult(Result):
    """Nothing but that it was done."""


class ResumeStream(Operation[ResumeStreamResult], frozen=True, rename="pascal"):
    """Lift a stream's ban, whichever of its names it was made under."""

    about = _change("ResumeStream", NotBanned, WrongFormat)

    app: App
    stream: Stream
    vhost: str = ""
    domain: str = ""
    priority: int | None = None  # known to the official SDK alone; taken, and without effect here

    def __post_init__(self) -> None:
        _need_one_place(self.vhost, self.domain)


class DescribeLiveStreamStateResult(Result):
    """How a stream is. The two members are in lower case on the wire too."""

    stream_state: Literal["online", "offline", "forbidden"]
    type: Literal["push", "pull"]  # as `source_type` elsewhere, where the second one is `relay`


class DescribeLiveStreamState(Operation[DescribeLiveStreamStateResult], frozen=True, rename="pascal"):
    """Tell whether a stream is on air or banned; a ban comes first.

    Both `vhost` and `domain` may be said here, as in the cloud's own sample, when the domain is the vhost's.
    """

    about = _read("DescribeLiveStreamState", paging=None)

    app: App
    stream: Stream
    vhost: str = ""
    domain: str = ""

    def __post_init__(self) -> None:
        if not self.vhost and not self.domain:
            raise MissingField("Vhost", "there, or Domain in its place")


STREAMS: Final = (
    DescribeLiveStreamInfoByPage,
    DescribeClosedStreamInfoByPage,
    DescribeForbiddenStreamInfoByPage,
    KillStream,
    ForbidStream,
    ResumeStream,
    DescribeLiveStreamState,
)
