"""ForbidStream, ResumeStream, GetBlacklist, CheckBlacklist."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.api.kingsoft.times import from_unix, to_unix
from penstock.clouds.kingsoft.streams import (
    KICK,
    LONGEST,
    BannedStream,
    CheckBlacklist,
    CheckBlacklistResult,
    ForbidStream,
    ForbidStreamResult,
    GetBlacklist,
    GetBlacklistResult,
    ResumeStream,
    ResumeStreamResult,
)
from penstock.domain import bans
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.registry import require_app
from penstock.errors import InvalidField
from penstock.model import StreamId

# A field of the domain's, and what KLS calls it.
_FIELDS = {"until": "ForbidTillUnixTime", "app": "App", "stream": "Stream", "reason": "Reason"}


@contextmanager
def in_kls_words() -> Iterator[None]:
    """Have the domain's complaints speak of KLS's parameters."""
    try:
        yield
    except InvalidField as error:
        raise InvalidField(_FIELDS.get(error.field, error.field), error.value, error.wanted) from error


async def forbid_stream(live: Live, caller: Caller, ask: ForbidStream) -> ForbidStreamResult:
    stream = StreamId(ask.unique_name, ask.app, ask.stream)
    end = ask.forbid_till_unix_time
    with in_kls_words():
        if end == KICK:
            await bans.kick(live, caller, stream, push_domain=ask.pubdomain)
        else:
            until = None if end is None or end == LONGEST else from_unix(end)
            await bans.ban(live, caller, stream, until=until, push_domain=ask.pubdomain)
    return ForbidStreamResult()


async def resume_stream(live: Live, caller: Caller, ask: ResumeStream) -> ResumeStreamResult:
    with in_kls_words():
        await bans.resume(live, caller, StreamId(ask.unique_name, ask.app, ask.stream), push_domain=ask.pubdomain)
    return ResumeStreamResult()


async def get_blacklist(live: Live, caller: Caller, ask: GetBlacklist) -> GetBlacklistResult:
    vhost = live.registry.vhost_of(caller.account, ask.unique_name)
    require_app(vhost, ask.app, "App")
    domain = live.registry.push_domain(vhost.name, ask.pubdomain).name
    found = [
        ban
        for ban in live.bans.in_force(live.clock.now())
        if (ban.stream.vhost, ban.stream.app, ban.push_domain) == (vhost.name, ask.app, domain)
    ]
    # Nothing says in which order; the latest first, as everywhere.
    listed = [
        BannedStream(
            stream=ban.stream.stream,
            forbid_till_unix_time=to_unix(ban.until),
            forbid_unix_time=to_unix(ban.changed_at),
        )
        for ban in sorted(found, key=lambda ban: ban.changed_at, reverse=True)
    ]
    return GetBlacklistResult(
        unique_name=ask.unique_name, app=ask.app, pubdomain=ask.pubdomain, total=len(listed), recs=listed
    )


async def check_blacklist(live: Live, caller: Caller, ask: CheckBlacklist) -> CheckBlacklistResult:
    with in_kls_words():
        stream = StreamId(ask.unique_name, ask.app, ask.stream)
        found = bans.find(live, caller, stream, push_domain=ask.pubdomain)
    return CheckBlacklistResult(check_result=int(found is not None))
