"""Nobody publishes what may not be: after the rules changed, or an engine came back that did not hear of it."""

from __future__ import annotations

from collections.abc import Collection

from penstock.domain.live import Live
from penstock.errors import LinkError
from penstock.link.messages import EndReason
from penstock.model import StreamId


async def enforce(live: Live, *, rekeyed: Collection[str] = ()) -> None:
    """Drop every publisher that the rules of now would refuse; returns once their sockets are closed.

    On the vhosts of `rekeyed` URLs have to be signed with another key than before, so nobody's there is.
    """
    for session in live.sessions.on_air():
        stream = session.lease.stream
        if live.bans.find(stream, live.clock.now()) is not None:
            await drop(live, stream, EndReason.BANNED, "while control was away")
        elif not _has_a_place(live, stream, session.account):
            await drop(live, stream, EndReason.KICKED, "its vhost or app is gone")
        elif stream.vhost in rekeyed:
            await drop(live, stream, EndReason.KICKED, "its vhost has another publish_key")


async def drop(live: Live, stream: StreamId, reason: EndReason, detail: str) -> None:
    """End a publish that the rules forbid by now; one that nobody can reach is dropped when its engine is back."""
    try:
        await live.engine.drop(stream, reason, detail)
    except LinkError:
        return
    await live.journal.written()


def _has_a_place(live: Live, stream: StreamId, account: str) -> bool:
    vhost = live.registry.vhosts.get(stream.vhost)
    return vhost is not None and stream.app in vhost.apps and vhost.account == account
