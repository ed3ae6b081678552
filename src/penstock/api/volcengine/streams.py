"""DescribeLiveStreamInfoByPage, DescribeClosedStreamInfoByPage, DescribeLiveStreamState."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from penstock.api.volcengine.places import Place, in_utc, place_of, stream_of
from penstock.clouds.volcengine.streams import (
    ClosedStream,
    DescribeClosedStreamInfoByPage,
    DescribeClosedStreamInfoByPageResult,
    DescribeLiveStreamInfoByPage,
    DescribeLiveStreamInfoByPageResult,
    DescribeLiveStreamState,
    DescribeLiveStreamStateResult,
    LiveStream,
)
from penstock.clouds.volcengine.words import ASCENDING, FUZZY
from penstock.domain import history
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.sessions import Session
from penstock.storage.rows import SessionRow

# Every stream is published to us; none is transcoded here.
PUSHED: Final = "push"
TRANSCODED: Final = "trans"
SECOND: Final = timedelta(seconds=1)
LATEST: Final = datetime.max.replace(tzinfo=UTC, microsecond=0) - SECOND


async def describe_live_stream_info_by_page(
    live: Live, caller: Caller, ask: DescribeLiveStreamInfoByPage
) -> DescribeLiveStreamInfoByPageResult:
    place = place_of(live, caller, ask.vhost, ask.domain)
    found = [session for session in _on_air(live, caller, place) if _is_meant(session, ask)]
    if ask.stream_type == TRANSCODED or ask.source_type not in (None, PUSHED):
        found = []
    first = (ask.page_num - 1) * ask.page_size
    page = [_live_stream(session) for session in found[first : first + ask.page_size]]
    return DescribeLiveStreamInfoByPageResult(rough_count=len(found), stream_info_list=page)


def _on_air(live: Live, caller: Caller, place: Place) -> list[Session]:
    """The account's sessions on air in a place, latest first."""
    found = [
        session
        for session in live.sessions.on_air()
        if live.registry.account_of(session.lease.stream.vhost) == caller.account
        and place.vhost in ("", session.lease.stream.vhost)
        and place.domain in ("", session.push_domain)
    ]
    return sorted(found, key=_began, reverse=True)


def _began(session: Session) -> tuple[datetime, int]:
    assert session.began_at is not None
    return session.began_at, session.lease.epoch


def _is_meant(session: Session, ask: DescribeLiveStreamInfoByPage) -> bool:
    stream = session.lease.stream
    if ask.app not in ("", stream.app):
        return False
    return ask.stream in stream.stream if ask.query_type == FUZZY else ask.stream in ("", stream.stream)


def _live_stream(session: Session) -> LiveStream:
    stream = session.lease.stream
    return LiveStream(
        id=session.lease.epoch,
        vhost=stream.vhost,
        domain=session.push_domain,
        app=stream.app,
        stream=stream.stream,
        session_start_time=_began(session)[0],
        source_type=PUSHED,
    )


async def describe_closed_stream_info_by_page(
    live: Live, caller: Caller, ask: DescribeClosedStreamInfoByPage
) -> DescribeClosedStreamInfoByPageResult:
    place = place_of(live, caller, ask.vhost, ask.domain)
    is_fuzzy = ask.query_type == FUZZY
    which = history.Filter(
        account=caller.account,
        vhost=place.vhost,
        push_domain=place.domain,
        app=ask.app,
        stream="" if is_fuzzy else ask.stream,
        stream_part=ask.stream if is_fuzzy else "",
        since=_second("EndTimeFrom", ask.end_time_from),
        # Ends are told in whole seconds: all of the last one belongs to it.
        until=_second("EndTimeTo", ask.end_time_to) + SECOND,
        newest_first=ask.sort != ASCENDING,
        offset=(ask.page_num - 1) * ask.page_size,
        limit=ask.page_size,
    )
    if ask.source_type not in (None, PUSHED):
        return DescribeClosedStreamInfoByPageResult(rough_count=0, stream_info_list=[])
    page = await history.sessions(live, which, by="ended_at")
    return DescribeClosedStreamInfoByPageResult(
        rough_count=page.total, stream_info_list=[_closed_stream(row) for row in page.rows]
    )


def _second(name: str, at: datetime) -> datetime:
    """A time in UTC, cut to its second."""
    return min(in_utc(name, at).replace(microsecond=0), LATEST)


def _closed_stream(row: SessionRow) -> ClosedStream:
    assert row.began_at is not None
    assert row.ended_at is not None
    return ClosedStream(
        vhost=row.stream.vhost,
        domain=row.push_domain,
        app=row.stream.app,
        stream=row.stream.stream,
        start_time=row.began_at,
        end_time=row.ended_at,
        source_type=PUSHED,
    )


async def describe_live_stream_state(
    live: Live, caller: Caller, ask: DescribeLiveStreamState
) -> DescribeLiveStreamStateResult:
    stream, _ = stream_of(live, caller, ask)
    if live.bans.find(stream, live.clock.now()) is not None:
        return DescribeLiveStreamStateResult(stream_state="forbidden", type=PUSHED)
    session = live.sessions.holder(stream)
    is_on_air = session is not None and session.began_at is not None
    return DescribeLiveStreamStateResult(stream_state="online" if is_on_air else "offline", type=PUSHED)
