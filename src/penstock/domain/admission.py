"""May this be published? The one place where that is decided."""

from __future__ import annotations

from penstock.domain import bans, publish_url
from penstock.domain.live import Live
from penstock.domain.sessions import Session
from penstock.errors import BadParameters, NameInUse
from penstock.link.messages import PublishAsked
from penstock.storage.rows import Vhost


def admit(live: Live, asked: PublishAsked) -> tuple[Session, int | None]:
    """Lease the stream to who asks; return the session, and the epoch of a holder that has to go first.

    Raises:
        BadParameters: there is no such vhost or app (any more).
        UrlNotSigned, UrlExpired: the vhost wants signed URLs.
        Banned: the stream is banned.
        NameInUse: another publisher holds the name, and sends.
    """
    vhost = _require_app(live, asked)
    if vhost.publish_auth == "signed":
        # Real time, as the URL was made by somebody else's clock.
        now = live.clock.real_now()
        publish_url.check(vhost.publish_key, asked.stream, asked.query, vhost.signing, now)
    bans.refuse_banned(live, asked.stream)
    replaces = _make_room(live, asked)
    domain = live.registry.domain_for(vhost.name, "push", asked.domain)
    return live.sessions.admit(asked.stream, asked.client, account=vhost.account, push_domain=domain), replaces


def _require_app(live: Live, asked: PublishAsked) -> Vhost:
    stream = asked.stream
    vhost = live.registry.vhosts.get(stream.vhost)
    if vhost is None:
        raise BadParameters(f"there is no vhost {stream.vhost}")
    if stream.app not in vhost.apps:
        raise BadParameters(f"vhost {stream.vhost} has no app {stream.app}")
    return vhost


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
