"""Where a stream lives, and whether that is the caller's."""

from __future__ import annotations

from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.registry import require_app
from penstock.errors import InvalidField
from penstock.model import StreamId, is_name


def domain_of_own(live: Live, caller: Caller, stream: StreamId, push_domain: str = "") -> str:
    """See that the stream can be the caller's; return the push domain that what is made of it shows under.

    Raises:
        UnknownVhost, UnknownDomain: not the caller's.
        InvalidField: its vhost has no such app, or the stream's name is none.
    """
    vhost = live.registry.vhost_of(caller.account, stream.vhost)
    require_app(vhost, stream.app)
    if not is_name(stream.stream):
        raise InvalidField("stream", stream.stream, "a name: letters, digits, '_', '.' or '-', 255 at most")
    if push_domain:
        return live.registry.push_domain(vhost.name, push_domain).name
    return live.registry.domain_for(vhost.name, "push", "")
