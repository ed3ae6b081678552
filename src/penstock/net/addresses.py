"""Which addresses are of the public internet, whatever form they are written in.

An IPv6 address may carry an IPv4 one, and reach it: such forms are opened and what is inside is judged too.

Source: IANA's registries of special-purpose IPv4 and IPv6 addresses (read 2026-01).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_V4: Final = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "private to a provider"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_V6: Final = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "private"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
    )
)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")  # NAT64: how a host of IPv6 alone reaches IPv4
_6TO4: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_PROTOCOLS: Final = IPv6Network("2001::/23")
_GLOBAL: Final = IPv6Network("2000::/3")  # all that was ever given out


def plain(address: Address) -> Address:
    """The IPv4 address for one that is only written as IPv6, any other as it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def not_public(address: Address) -> str:
    """What an address is that the public internet does not have; empty for one that it has.

    `127.0.0.0/8 (loopback)`: the network, and what that is.
    """
    address = plain(address)
    if isinstance(address, IPv4Address):
        return _named(address, _V4)
    for inner in _carried(address):
        if found := not_public(inner):
            return f"an IPv6 form of {inner}, {found}"
    if found := _named(address, _V6):
        return found
    if address in _TRANSLATED or address in _TEREDO or (address in _GLOBAL and address not in _PROTOCOLS):
        return ""
    return "reserved"


def _named(address: Address, table: tuple[tuple[Network, str], ...]) -> str:
    return next((f"{network} ({what})" for network, what in table if address in network), "")


def _carried(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that packets to `address` may come to."""
    value = int(address)
    if address in _TRANSLATED or (value >> 32 == 0 and value > 1):
        yield IPv4Address(value & 0xFFFFFFFF)
    elif address in _6TO4:
        yield IPv4Address(value >> 80 & 0xFFFFFFFF)
    elif address in _TEREDO:
        yield IPv4Address(value >> 64 & 0xFFFFFFFF)  # the server
        yield IPv4Address(~value & 0xFFFFFFFF)  # the client, its bits turned round


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)
