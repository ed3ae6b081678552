"""Streams on air, and bans."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from penstock.admin import streams as verbs
from penstock.api.operator.desk import Desk, operator, stream_of
from penstock.domain import bans
from penstock.domain.live import Live
from penstock.domain.sessions import Session
from penstock.errors import InvalidField, NotOnAir
from penstock.storage.rows import Ban, BanQuery


async def list_streams(desk: Desk, ask: verbs.ListStreams) -> verbs.Streams:
    live = desk.live
    on_air = (_on_air(live, session) for session in live.sessions.on_air())
    return verbs.Streams(
        streams=[each for each in on_air if ask.vhost in ("", each.vhost) and ask.account in ("", each.account)]
    )


async def show_stream(desk: Desk, ask: verbs.ShowStream) -> verbs.StreamShown:
    live = desk.live
    stream = stream_of(live, ask.stream)
    session = next((each for each in live.sessions.on_air() if each.lease.stream == stream), None)
    ban = live.bans.find(stream, live.clock.now())
    if session is None and ban is None:
        raise NotOnAir(f"nobody publishes {stream}, and it is not banned")
    return verbs.StreamShown(
        on_air=_on_air(live, session) if session is not None else None, ban=_ban(ban) if ban is not None else None
    )


async def kick_stream(desk: Desk, ask: verbs.KickStream) -> verbs.Kicked:
    stream = stream_of(desk.live, ask.stream)
    await bans.kick(desk.live, operator(desk.live, stream), stream, reason=ask.reason)
    return verbs.Kicked(vhost=stream.vhost, app=stream.app, stream=stream.stream)


async def ban_stream(desk: Desk, ask: verbs.BanStream) -> verbs.Banned:
    live = desk.live
    if ask.until is not None and ask.for_s is not None:
        raise InvalidField("for_s", ask.for_s, "left out beside `until`")
    until = live.clock.now() + timedelta(seconds=ask.for_s) if ask.for_s is not None else ask.until
    stream = stream_of(live, ask.stream)
    caller = operator(live, stream)
    made = await bans.ban(live, caller, stream, until=until, reason=ask.reason, push_domain=ask.push_domain)
    return verbs.Banned(ban=_ban(made))


async def unban_stream(desk: Desk, ask: verbs.UnbanStream) -> verbs.Unbanned:
    stream = stream_of(desk.live, ask.stream)
    return verbs.Unbanned(ban=_ban(await bans.resume(desk.live, operator(desk.live, stream), stream)))


async def list_bans(desk: Desk, ask: verbs.ListBans) -> verbs.Bans:
    query = BanQuery(
        now=desk.live.clock.now(),
        account=ask.account or None,
        vhost=ask.vhost or None,
        offset=ask.offset,
        limit=ask.limit,
    )
    page = await desk.live.store.bans(query)
    return verbs.Bans(bans=[_ban(each) for each in page.rows], total=page.total)


def _on_air(live: Live, session: Session) -> verbs.OnAir:
    """A session as it is shown; what the engine has not told yet is empty."""
    stream, client, stats = session.lease.stream, session.client, session.stats
    assert session.began_at is not None
    passed = live.clock.now() - session.began_at
    return verbs.OnAir(
        vhost=stream.vhost,
        app=stream.app,
        stream=stream.stream,
        account=session.account or live.registry.account_of(stream.vhost),
        session=session.lease.session,
        began_at=session.began_at,
        on_air_s=stats.duration_ms / 1000 if stats is not None else max(passed.total_seconds(), 0.0),
        address=client.address,
        port=client.port,
        tls=client.tls,
        agent=client.agent,
        domain=session.push_domain,
        bitrate_kbps=stats.bitrate_kbps if stats is not None else 0.0,
        bytes_in=stats.bytes_in if stats is not None else 0,
        video=msgspec.convert(stats and stats.video, verbs.VideoFacts | None, from_attributes=True),
        audio=msgspec.convert(stats and stats.audio, verbs.AudioFacts | None, from_attributes=True),
        players=stats.players if stats is not None else {},
        bytes_out=stats.bytes_out if stats is not None else {},
    )


def _ban(ban: Ban) -> verbs.Ban:
    stream = ban.stream
    return verbs.Ban(
        vhost=stream.vhost,
        app=stream.app,
        stream=stream.stream,
        account=ban.account,
        since=ban.since,
        until=ban.until,
        changed_at=ban.changed_at,
        reason=ban.reason,
        push_domain=ban.push_domain,
        cloud=ban.cloud,
        access_key=ban.access_key,
    )
