"""ListHistoryPubStreamsInfo, ListHistoryPubStreamsErrInfo, ListStreamDurations: what was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from penstock.api.kingsoft.times import SECOND, durations_window, history_window, to_unix
from penstock.clouds.kingsoft.codes import STATUS_MESSAGES
from penstock.clouds.kingsoft.streams import (
    LATEST_FIRST,
    ListHistoryPubStreamsErrInfo,
    ListHistoryPubStreamsErrInfoResult,
    ListHistoryPubStreamsInfo,
    ListHistoryPubStreamsInfoResult,
    ListStreamDurations,
    ListStreamDurationsResult,
    PastPublish,
    StreamDuration,
    StreamHistory,
)
from penstock.domain import history
from penstock.domain.caller import Caller
from penstock.domain.history import Filter
from penstock.domain.live import Live
from penstock.domain.registry import require_app
from penstock.errors import InvalidField
from penstock.storage.rows import Refusal, SessionRow

# The operation has no pages. Above this it is refused: half of a list would look like all of it.
MAX_DURATIONS: Final = 100_000

_Paged = ListHistoryPubStreamsInfo | ListHistoryPubStreamsErrInfo


async def list_history_pub_streams_info(
    live: Live, caller: Caller, ask: ListHistoryPubStreamsInfo
) -> ListHistoryPubStreamsInfoResult:
    which, start, end = _window(live, caller, ask)
    page = await history.sessions(live, which)
    return ListHistoryPubStreamsInfoResult(
        unique_name=ask.unique_name,
        app=ask.app,
        pubdomain=ask.pubdomain,
        start_unix_time=start,
        end_unix_time=end,
        count=len(page.rows),
        marker=ask.marker,
        order_time=ask.order_time,
        total=page.total,
        result=_gathered((row.stream.stream, _past(row)) for row in page.rows),
    )


async def list_history_pub_streams_err_info(
    live: Live, caller: Caller, ask: ListHistoryPubStreamsErrInfo
) -> ListHistoryPubStreamsErrInfoResult:
    which, start, end = _window(live, caller, ask)
    page = await history.refusals(live, which)
    return ListHistoryPubStreamsErrInfoResult(
        unique_name=ask.unique_name,
        app=ask.app,
        pubdomain=ask.pubdomain,
        start_unix_time=start,
        end_unix_time=end,
        count=len(page.rows),
        marker=ask.marker,
        order_time=ask.order_time,
        total=page.total,
        result=_gathered((row.stream, _refused(row)) for row in page.rows),
    )


def _window(live: Live, caller: Caller, ask: _Paged) -> tuple[Filter, int, int]:
    """What to look for, and the first and last second of it."""
    now = live.clock.now()
    vhost, domain = _place(live, caller, ask)
    first, last = history_window(ask.start_unix_time, ask.end_unix_time, now)
    which = Filter(
        account=caller.account,
        vhost=vhost,
        app=ask.app,
        push_domain=domain,
        stream=ask.stream,
        since=first,
        until=last + SECOND,  # its last second belongs to the window
        newest_first=ask.order_time == LATEST_FIRST,
        offset=ask.marker * ask.limit,
        limit=ask.limit,
    )
    return which, to_unix(first), to_unix(last)


def _place(live: Live, caller: Caller, ask: _Paged | ListStreamDurations) -> tuple[str, str]:
    vhost = live.registry.vhost_of(caller.account, ask.unique_name)
    require_app(vhost, ask.app, "App")
    return vhost.name, live.registry.push_domain(vhost.name, ask.pubdomain).name


def _gathered(found: Iterable[tuple[str, PastPublish]]) -> list[StreamHistory]:
    """Put the publishes of each stream under it; streams in the order in which they come first."""
    streams: dict[str, StreamHistory] = {}
    for name, publish in found:
        streams.setdefault(name, StreamHistory(stream=name, detail=[])).detail.append(publish)
    return list(streams.values())


def _past(row: SessionRow) -> PastPublish:
    assert row.began_at is not None
    assert row.ended_at is not None
    return PastPublish(
        client_ip=row.address,
        pub_time=to_unix(row.began_at),
        fin_time=to_unix(row.ended_at),
        status_code=row.code,
        status_message=STATUS_MESSAGES.get(row.code, row.reason),
    )


def _refused(row: Refusal) -> PastPublish:
    at = to_unix(row.at)
    return PastPublish(
        client_ip=row.address,
        pub_time=at,
        fin_time=at,
        status_code=row.code,
        status_message=STATUS_MESSAGES.get(row.code, row.why),
    )


async def list_stream_durations(live: Live, caller: Caller, ask: ListStreamDurations) -> ListStreamDurationsResult:
    vhost, domain = _place(live, caller, ask)
    first, last = durations_window(ask.start_unix_time, ask.end_unix_time, live.clock.now())
    which = Filter(
        account=caller.account,
        vhost=vhost,
        app=ask.app,
        push_domain=domain,
        stream=ask.stream,
        since=first,
        until=last,
        newest_first=False,
        limit=MAX_DURATIONS,
    )
    page = await history.sessions(live, which)
    if page.total > MAX_DURATIONS:
        wanted = f"earlier: {page.total} publishes are between these days, and {MAX_DURATIONS} can be listed at once"
        raise InvalidField("EndUnixTime", ask.end_unix_time, wanted)
    found = [
        _duration(row.stream.stream, to_unix(row.began_at), to_unix(row.ended_at))
        for row in page.rows
        if row.began_at is not None and row.ended_at is not None
    ]
    return ListStreamDurationsResult(
        unique_name=ask.unique_name, app=ask.app, pubdomain=ask.pubdomain, count=len(found), result=found
    )


def _duration(stream: str, start: int, end: int) -> StreamDuration:
    return StreamDuration(stream=stream, start_time=start, end_time=end, duration=end - start)
