"""Bans and kicks: who may not publish, and who has to stop.

A ban is of a stream, whichever domain or dialect asked. It is in the store before anybody is told of it,
and in memory, where each publish looks, before the publisher is dropped: an encoder comes back within
milliseconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from penstock.domain import enforcement
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.places import domain_of_own
from penstock.errors import Banned, InvalidField, LinkError, NotBanned, NotOnAir, Unavailable, Unchanged
from penstock.link.messages import EndReason
from penstock.model import StreamId
from penstock.storage.rows import Ban

MAX_BAN: Final = timedelta(days=90)  # KLS's limit, and what a ban without an end gets
# Asking for the same within this time is an answer's echo (KLS, RetCode 3802).
ECHO: Final = timedelta(seconds=1)
MAX_REASON: Final = 2048  # characters


async def ban(
    live: Live,
    caller: Caller,
    stream: StreamId,
    *,
    until: datetime | None = None,
    reason: str = "",
    push_domain: str = "",
) -> Ban:
    """Refuse `stream` to publishers until `until`, and drop the one on air; return the ban in force.

    None is `MAX_BAN` from now. A second ban moves the first one's end, either way. Without a push domain
    it shows under the vhost's first. The answer comes once the publisher's socket is closed.

    Raises:
        InvalidField: `until` is past or too far off, or a part of the stream is no name.
        UnknownVhost, UnknownDomain: not the caller's.
        Unchanged: the same was asked within the last second.
    """
    now = live.clock.now()
    end = until if until is not None else now + MAX_BAN
    if not now < end <= now + MAX_BAN:
        wanted = f"later than now ({now:%Y-%m-%dT%H:%M:%SZ}) and within {MAX_BAN.days} days"
        raise InvalidField("until", f"{end:%Y-%m-%dT%H:%M:%SZ}", wanted)
    if len(reason) > MAX_REASON:
        raise InvalidField("reason", f"{reason[:20]}... ({len(reason)})", f"at most {MAX_REASON} characters")
    domain = domain_of_own(live, caller, stream, push_domain)
    _refuse_echo(live.bans.find(stream, now), end, now)
    caller.about_to_act()
    made = await live.store.put_ban(
        Ban(
            stream=stream,
            since=now,
            until=end,
            changed_at=now,
            reason=reason,
            account=caller.account,
            access_key=caller.access_key,
            cloud=caller.cloud,
            push_domain=domain,
        )
    )
    live.bans.put(made)
    await enforcement.drop(live, stream, EndReason.BANNED, f"until {end:%Y-%m-%dT%H:%M:%SZ}")
    return made


async def resume(live: Live, caller: Caller, stream: StreamId, *, push_domain: str = "") -> Ban:
    """Let `stream` be published again, at once; return the ban that was lifted.

    Raises:
        NotBanned: there was none in force.
        InvalidField, UnknownVhost, UnknownDomain: as for `ban`.
    """
    now = live.clock.now()
    domain_of_own(live, caller, stream, push_domain)
    if live.bans.find(stream, now) is None:
        raise NotBanned(f"{stream} is not banned")
    caller.about_to_act()
    lifted = await live.store.lift_ban(stream, now)
    live.bans.remove(stream)
    if lifted is None:  # another call was faster
        raise NotBanned(f"{stream} is not banned")
    return lifted


async def kick(live: Live, caller: Caller, stream: StreamId, *, reason: str = "", push_domain: str = "") -> None:
    """Cut the publisher of `stream`, and its players; it may come back at once.

    Returns once the socket is closed and the session's end is written down.

    Raises:
        NotOnAir: nobody publishes it.
        Unavailable: there is no engine that could.
        InvalidField, UnknownVhost, UnknownDomain: as for `ban`.
    """
    domain_of_own(live, caller, stream, push_domain)
    if live.sessions.holder(stream) is None:
        raise NotOnAir(f"nobody publishes {stream}")
    caller.about_to_act()
    try:
        epoch = await live.engine.drop(stream, EndReason.KICKED, reason or f"by {caller.access_key or 'the operator'}")
    except LinkError as error:
        raise Unavailable(f"{stream} could not be dropped: {error}") from error
    await live.journal.written()
    if epoch is None:
        raise NotOnAir(f"nobody publishes {stream}")


def find(live: Live, caller: Caller, stream: StreamId, *, push_domain: str = "") -> Ban | None:
    """The ban of `stream` that is in force.

    Raises:
        InvalidField, UnknownVhost, UnknownDomain: as for `ban`.
    """
    domain_of_own(live, caller, stream, push_domain)
    return live.bans.find(stream, live.clock.now())


def refuse_banned(live: Live, stream: StreamId) -> None:
    """Raises:
    Banned: `stream` may not be published now.
    """
    found = live.bans.find(stream, live.clock.now())
    if found is not None:
        why = f": {found.reason}" if found.reason else ""
        raise Banned(f"{stream} is banned until {found.until:%Y-%m-%dT%H:%M:%SZ}{why}")


def _refuse_echo(found: Ban | None, end: datetime, now: datetime) -> None:
    if found is not None and abs(now - found.changed_at) < ECHO and abs(end - found.until) < ECHO:
        raise Unchanged(f"{found.stream} was banned like this a moment ago")
