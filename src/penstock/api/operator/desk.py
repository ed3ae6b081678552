"""What the operator's handlers are given, and what a name that is left out stands for."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from msgspec import Struct

from penstock.admin import contract
from penstock.config import Config
from penstock.domain.caller import Caller
from penstock.domain.explain import Explanations
from penstock.domain.live import Live
from penstock.errors import InvalidField, NotFound, UnknownVhost
from penstock.model import StreamId

# Addresses that mean every address of a machine; a URL needs one that does.
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Changes(Protocol):
    """What became of a changed configuration: keys of settings."""

    @property
    def applied(self) -> list[str]:
        """What is in force now."""

    @property
    def needs_restart(self) -> list[str]:
        """What counts from the next start on."""


class Desk(Struct, frozen=True, kw_only=True):
    """Comes as the first argument of every handler."""

    live: Live
    explanations: Explanations
    reload: Callable[[], Awaitable[Changes]]
    endpoint: str = ""  # URLs of the clouds' APIs on this machine; "": turned off
    tls_endpoint: str = ""
    ca: str = ""  # the file with our own authority's certificate; "": TLS shows somebody else's

    @classmethod
    def of(
        cls,
        live: Live,
        explanations: Explanations,
        reload: Callable[[], Awaitable[Changes]],
        config: Config,
        listeners: Mapping[str, socket.socket],
    ) -> Desk:
        """The desk of a server whose API doors, `api` and `api_tls`, are among `listeners`."""
        is_own = config.api.tls_cert is None and "api_tls" in listeners
        return cls(
            live=live,
            explanations=explanations,
            reload=reload,
            endpoint=url_of("http", listeners.get("api")),
            tls_endpoint=url_of("https", listeners.get("api_tls")),
            ca=str(config.data_dir.absolute() / "tls" / "ca.pem") if is_own else "",
        )


def url_of(scheme: str, listener: socket.socket | None, public_host: str = "") -> str:
    """The URL of a door, by its own address or by the host that it is known by; "" where there is no door."""
    if listener is None:
        return ""
    host, port = listener.getsockname()[:2]
    host = public_host or _ANY.get(host, host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def stream_of(live: Live, text: str) -> StreamId:
    """The stream that is meant; a vhost or app that is left out is the default one, or the only one.

    Raises:
        InvalidField: it is no stream, or there are several that it could be.
        UnknownVhost: there is no such vhost.
    """
    vhost, app, stream = contract.parse_stream(text)
    vhost = vhost or live.rules.default_vhost or _only("vhost", list(live.registry.vhosts), text)
    found = live.registry.vhosts.get(vhost)
    if found is None:
        raise UnknownVhost(f"there is no vhost {vhost}; {_there_is(list(live.registry.vhosts))}")
    return StreamId(vhost, app or _only(f"app of {vhost}", list(found.apps), text), stream)


def account_of(live: Live, account: str) -> str:
    """The account that is meant: the one that is named, or the only one.

    Raises:
        InvalidField: there are several, and none is named.
        NotFound: there is no such account.
    """
    account = account or _only("account", list(live.registry.accounts), "")
    if account not in live.registry.accounts:
        raise NotFound(f"there is no account {account}; {_there_is(list(live.registry.accounts))}")
    return account


def operator(live: Live, stream: StreamId) -> Caller:
    """The operator, who acts for whoever owns the stream's vhost."""
    return Caller(account=live.registry.account_of(stream.vhost), access_key="")


def _only(what: str, names: list[str], text: str) -> str:
    if len(names) == 1:
        return names[0]
    field = what.partition(" ")[0]
    raise InvalidField(field, text, f"with its {field} named: {_there_is(names)}")


def _there_is(names: list[str]) -> str:
    shown = ", ".join(names[:20])
    return f"there is {shown}{', ...' if len(names) > 20 else ''}" if names else "there is none"
