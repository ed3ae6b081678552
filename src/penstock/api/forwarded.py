"""Who a proxy speaks for: `X-Forwarded-For`, believed from the proxies that the operator named."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def plain_address(address: str) -> str:
    """Return an address without its zone; IPv4 inside of IPv6 as IPv4: one peer has one address."""
    return address.partition("%")[0].removeprefix("::ffff:")


def is_trusted(address: str, proxies: Iterable[Network]) -> bool:
    """Tell whether `address` is one of the proxies'; what is no address is nobody's."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in proxies)


def client_behind(proxy: str, forwarded: Iterable[str], proxies: tuple[Network, ...]) -> str:
    """Return the client of a request that the trusted `proxy` passed on.

    Each proxy puts the address that it saw behind what it was told, so the list is read from its end
    up to the first address that is no trusted proxy's. What stands before that, anybody may have
    written. Where an entry is no address, the proxy that passed it on is all that is known.
    """
    known = proxy
    for entry in reversed(",".join(forwarded).split(",")):
        address = plain_address(_without_port(entry.strip()))
        if not _is_address(address):
            break
        known = address
        if not is_trusted(address, proxies):
            break
    return known


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    host, colon, _ = entry.partition(":")
    # Two colons make an IPv6 address, which has a port only in brackets.
    return host if colon and entry.count(":") == 1 else entry


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
