"""What Volcengine's requests mean by Vhost, Domain, App and Stream, and the domain's complaints in its words."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from penstock.clouds.volcengine.streams import DescribeLiveStreamState, ForbidStream, KillStream, ResumeStream
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.errors import Denied, InvalidField, UnknownDomain
from penstock.model import StreamId

# A field of the domain's, and what Volcengine calls it.
_FIELDS = {"app": "App", "stream": "Stream", "until": "EndTime"}


class Place(Struct, frozen=True):
    """A vhost, and the domain if that was said; what was not said is empty."""

    vhost: str
    domain: str = ""
    push_domain: str = ""  # the domain, if one publishes to it


def place_of(live: Live, caller: Caller, vhost: str, domain: str) -> Place:
    """Return where a request looks; both are empty where it looks everywhere.

    Raises:
        UnknownVhost, UnknownDomain: they are not the caller's, or do not belong together.
    """
    if vhost:
        live.registry.vhost_of(caller.account, vhost)
    if not domain:
        return Place(vhost)
    found = live.registry.domain_of(caller.account, domain)
    if vhost and found.vhost != vhost:
        raise UnknownDomain(f"vhost {vhost} has no domain {found.name!r}")
    return Place(found.vhost, found.name, found.name if found.kind == "push" else "")


def stream_of(
    live: Live, caller: Caller, ask: KillStream | ForbidStream | ResumeStream | DescribeLiveStreamState
) -> tuple[StreamId, Place]:
    """Return the stream that a request names.

    Raises:
        UnknownVhost, UnknownDomain: as `place_of`.
    """
    place = place_of(live, caller, ask.vhost, "" if isinstance(ask, KillStream) else ask.domain)
    return StreamId(place.vhost, ask.app, ask.stream), place


def require_app(live: Live, stream: StreamId) -> None:
    """Raises:
    Denied: the vhost has no such app, which Volcengine answers like a vhost that is not the caller's.
    """
    apps = live.registry.vhosts[stream.vhost].apps
    if stream.app not in apps:
        raise Denied(f"vhost {stream.vhost} has no app {stream.app!r}; it has {', '.join(apps)}")


def in_utc(name: str, at: datetime) -> datetime:
    """Return a time in UTC, as the domain tells its own.

    Raises:
        InvalidField: in UTC it is before the year 1, or behind 9999.
    """
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise InvalidField(name, at.isoformat(), "from the year 1 to 9999 in UTC") from None


class in_their_words:  # noqa: N801 - it reads as what it does
    """Have the domain's complaints speak of Volcengine's parameters."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        if isinstance(error, InvalidField):
            raise type(error)(_FIELDS.get(error.field, error.field), error.value, error.wanted) from error
