"""Which stream a URL means: from a host, an app and a name to a `StreamId`.

The host comes first, if it is a domain that some vhost has; then ``vhost=`` in a query, wherever
the encoder put that; then the default vhost; then the only vhost there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from penstock.errors import BadParameters
from penstock.link.messages import Vhost
from penstock.model import StreamId, is_name

MAX_QUERY = 2048  # bytes of a query that are looked at
MAX_FIELDS = 64
MAX_HOST = 253  # characters of a host name (RFC 1035, section 2.3.4)


class Target(Struct, frozen=True):
    """Where a peer wants to go, in its own words."""

    host: str  # as given, maybe with a port
    app: str
    name: str
    queries: tuple[str, ...] = ()  # every query it gave, the nearest to the stream name first

    @classmethod
    def of_rtmp(cls, tc_url: str, app: str, name: str) -> Target:
        """From an RTMP peer's tcUrl, app and stream name; each may carry a query."""
        app, _, app_query = app.partition("?")
        name, _, name_query = name.partition("?")
        try:
            url = urlsplit(tc_url)
            # A user and a password before it are nothing to us, and nothing to show.
            host, url_query = url.netloc.rpartition("@")[2], url.query
        except ValueError:
            host, url_query = "", ""
        # ffmpeg and OBS put a slash at the end of an app that has one in the URL.
        return cls(host, app.strip("/"), name, (name_query, app_query, url_query))

    @property
    def query(self) -> str:
        """The query nearest to the stream name: where keys and signatures are."""
        return next((query for query in self.queries if query), "")

    def __str__(self) -> str:
        return without_values(f"{self.host}/{self.app}/{self.name}")


class VhostTable:
    """The vhosts that control told us of, by name and by domain."""

    def __init__(self, vhosts: Iterable[Vhost] = (), default: str = "") -> None:
        self._by_name = {vhost.name: vhost for vhost in vhosts}
        self._by_domain = {
            domain.lower(): vhost
            for vhost in self._by_name.values()
            for domain in (*vhost.push_domains, *vhost.pull_domains)
        }
        self._default = default

    def has_domain(self, host: str) -> bool:
        """True for a host, in lower case, that is a domain of any vhost."""
        return host in self._by_domain

    def locate(self, target: Target) -> StreamId:
        """The stream that `target` means.

        Raises:
            BadParameters: no vhost can be told, it has no such app, or a word is not a name.
        """
        vhost = self._vhost(target)
        for what, word in (("app", target.app), ("stream", target.name)):
            if not is_name(word):
                raise BadParameters(
                    f"{what} {without_values(word)[:64]!a} is not a name; "
                    "wanted letters, digits, '_', '.' or '-', 255 at most"
                )
        if target.app not in vhost.apps:
            raise BadParameters(f"vhost {vhost.name} has no app {target.app}; it has {', '.join(vhost.apps) or 'none'}")
        return StreamId(vhost.name, target.app, target.name)

    def vhost_of(self, target: Target) -> str:
        """The name of the vhost that `target` means, whatever else is wrong with it; empty when none can be told."""
        try:
            return self._vhost(target).name
        except BadParameters:
            return ""

    def domain_of(self, target: Target) -> str:
        """The domain that a peer came by: its host, or what `vhost=` names where that is a domain and the host none.

        Bans, histories and usage count under it. On one machine, where every host is an address, this is how
        several domains are told apart.
        """
        host = host_name(target.host)
        hint = "" if host in self._by_domain else host_name(_hint(target.queries))
        return hint if hint in self._by_domain else host

    def _vhost(self, target: Target) -> Vhost:
        vhost = self._by_domain.get(host_name(target.host))
        if vhost is not None:
            return vhost
        hint = _hint(target.queries)
        if hint:
            vhost = self._by_name.get(hint) or self._by_domain.get(host_name(hint))
            if vhost is None:
                raise BadParameters(f"vhost {hint[:64]!a} is neither a vhost nor a domain of one")
            return vhost
        if self._default:
            return self._by_name[self._default]
        if len(self._by_name) == 1:
            return next(iter(self._by_name.values()))
        raise BadParameters(
            f"host {target.host[:64]!a} is no configured domain; use one, or add ?vhost=NAME to the URL, "
            "or set media.default_vhost"
        )


def without_values(text: str) -> str:
    """`text` up to its first equals sign: no name has one, and a key may stand behind it (``cam&wsSecret=...``)."""
    head, sign, _ = text.partition("=")
    return f"{head}=..." if sign else head


def host_name(host: str) -> str:
    """A Host header or a URL's authority without user, port and closing dot, in lower case.

    Usage is counted under it, so a text longer than any host name is none.
    """
    host = host.rpartition("@")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].rstrip(".")
    return host.lower() if len(host) <= MAX_HOST else ""


def _hint(queries: tuple[str, ...]) -> str:
    for query in queries:
        try:
            fields = parse_qsl(query[:MAX_QUERY], max_num_fields=MAX_FIELDS)
        except ValueError:
            continue
        for key, value in fields:
            if key == "vhost":
                return value
    return ""
