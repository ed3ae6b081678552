"""May this be published? The one place where that is decided."""

from __future__ import annotations

from penstock.domain.live import Live
from penstock.domain.sessions import Session
from penstock.errors import BadParameters, NameInUse
from penstock.link.messages import PublishAsked
from penstock.model import StreamId


def admit(live: Live, asked: PublishAsked) -> tuple[Session, int | None]:
    """Lease the stream to who asks; return the session, and the epoch of a holder that has to go first.

    Raises:
        BadParameters: there is no such vhost or app (any more).
        NameInUse: another publisher holds the name, and sends.
    """
    _require_app(live, asked.stream)
    replaces = _make_room(live, asked)
    return live.sessions.admit(asked.stream, asked.client), replaces


def _require_app(live: Live, stream: StreamId) -> None:
    vhost = next((vhost for vhost in live.rules.vhosts if vhost.name == stream.vhost), None)
    if vhost is None:
        raise BadParameters(f"there is no vhost {stream.vhost}")
    if stream.app not in vhost.apps:
        raise BadParameters(f"vhost {stream.vhost} has no app {stream.app}")


def _make_room(live: Live, asked: PublishAsked) -> int | None:
    """The epoch of a holder that is to be replaced, if there is a holder and it may be."""
    holder = asked.holder
    if holder is None:
        if (admitted := live.sessions.holder(asked.stream)) is not None:
            # Let in a moment ago, and not on air yet: two encoders race for one name.
            raise NameInUse(f"{asked.stream} was just given to a publisher at {admitted.client.address}")
        return None
    rules = live.rules
    if rules.on_conflict == "replace" or holder.silent_s >= rules.replace_after_silent_s:
        return holder.epoch
    raise NameInUse(
        f"{asked.stream} has a publisher that sends; another one may take its place "
        f"once it was silent for {rules.replace_after_silent_s:g} s"
    )
