"""KillStream, ForbidStream, ResumeStream, DescribeForbiddenStreamInfoByPage."""

from __future__ import annotations

import contextlib

from penstock.api.volcengine.places import in_their_words, in_utc, place_of, require_app, stream_of
from penstock.clouds.volcengine.streams import (
    DescribeForbiddenStreamInfoByPage,
    DescribeForbiddenStreamInfoByPageResult,
    ForbiddenStream,
    ForbidStream,
    ForbidStreamResult,
    KillStream,
    KillStreamResult,
    ResumeStream,
    ResumeStreamResult,
)
from penstock.clouds.volcengine.words import ASCENDING, FUZZY
from penstock.domain import bans
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.errors import Unchanged
from penstock.storage.rows import BanQuery


async def kill_stream(live: Live, caller: Caller, ask: KillStream) -> KillStreamResult:
    stream, _ = stream_of(live, caller, ask)
    require_app(live, stream)
    with in_their_words():
        await bans.kick(live, caller, stream)
    return KillStreamResult()


async def forbid_stream(live: Live, caller: Caller, ask: ForbidStream) -> ForbidStreamResult:
    stream, place = stream_of(live, caller, ask)
    require_app(live, stream)
    until = None if ask.end_time is None else in_utc("EndTime", ask.end_time)
    # The same again at once is KLS's refusal, and here as good as the first time.
    with in_their_words(), contextlib.suppress(Unchanged):
        await bans.ban(live, caller, stream, until=until, push_domain=place.push_domain)
    return ForbidStreamResult()


async def resume_stream(live: Live, caller: Caller, ask: ResumeStream) -> ResumeStreamResult:
    stream, place = stream_of(live, caller, ask)
    require_app(live, stream)
    with in_their_words():
        await bans.resume(live, caller, stream, push_domain=place.push_domain)
    return ResumeStreamResult()


async def describe_forbidden_stream_info_by_page(
    live: Live, caller: Caller, ask: DescribeForbiddenStreamInfoByPage
) -> DescribeForbiddenStreamInfoByPageResult:
    place, now = place_of(live, caller, ask.vhost, ask.domain), live.clock.now()
    is_fuzzy = ask.query_type == FUZZY
    query = BanQuery(
        now=now,
        account=caller.account,
        vhost=place.vhost or None,
        push_domain=place.domain or None,
        app=ask.app or None,
        stream=None if is_fuzzy else ask.stream or None,
        stream_part=ask.stream or None if is_fuzzy else None,
        ends_first=ask.sort == ASCENDING,
        offset=(ask.page_num - 1) * ask.page_size,
        limit=ask.page_size,
    )
    page = await live.store.bans(query)
    listed = [
        ForbiddenStream(
            vhost=ban.stream.vhost,
            domain=ban.push_domain,
            app=ban.stream.app,
            stream=ban.stream.stream,
            create_time=ban.since,
            end_time=ban.until,
            status=ban.since <= now < ban.until,
        )
        for ban in page.rows
    ]
    return DescribeForbiddenStreamInfoByPageResult(rough_count=page.total, stream_info_list=listed)
