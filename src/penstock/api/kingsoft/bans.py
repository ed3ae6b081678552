"""ForbidStream, ResumeStream, GetBlacklist, CheckBlacklist."""

from __future__ import annotations

from datetime import datetime

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
_FIELDS = {"app": "App", "stream": "Stream", "from": "StartUnixTime", "until": "EndUnixTime"}


class in_kls_words:  # noqa: N801 - it reads as what it does
    """Have the domain's complaints speak of KLS's parameters."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        if isinstance(error, InvalidField):
            raise type(error)(_FIELDS.get(error.field, error.field), error.value, error.wanted) from error


async def forbid_stream(live: Live, caller: Caller, ask: ForbidStream) -> ForbidStreamResult:
    stream = StreamId(ask.unique_name, ask.app, ask.stream)
    end = ask.forbid_till_unix_time
    with in_kls_words():
        if end == KICK:
            await bans.kick(live, caller, stream, push_domain=ask.pubdomain)
        else:
            await bans.ban(live, caller, stream, until=_until(live, end), push_domain=ask.pubdomain)
    return ForbidStreamResult()


def _until(live: Live, end: int | None) -> datetime | None:
    """When a ban ends; None for as long as may be.

    Raises:
        InvalidField: it is past or too far off, said in the unit that was asked in.
    """
    if end is None or end == LONGEST:
        return None
    until, now = from_unix(end), live.clock.now()
    if not now < until <= now + bans.MAX_BAN:
        last = to_unix(now + bans.MAX_BAN)
        wanted = f"{LONGEST} ({bans.MAX_BAN.days} days), {KICK} (only cut), or from {to_unix(now) + 1} to {last}"
        raise InvalidField("ForbidTillUnixTime", end, wanted)
    return until


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
