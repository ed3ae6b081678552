"""Whose word is believed about who is asking."""

from __future__ import annotations

import ipaddress

import pytest

from penstock.api.forwarded import client_behind, is_trusted, plain_address

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["198.51.100.9, 203.0.113.7"], "203.0.113.7"),
        (["198.51.100.9", "203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7, 10.1.1.1, 10.1.1.2"], "203.0.113.7"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["2001:db8::7, fd00::1"], "2001:db8::7"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["10.9.9.9, 10.1.1.1"], "10.9.9.9"),
        # What is no address ends the walk at the proxy that passed it on.
        (["unknown"], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["203.0.113.7, <script>"], "10.0.0.1"),
        (["203.0.113.7, nonsense, 10.1.1.1"], "10.1.1.1"),
        (["," * 5000], "10.0.0.1"),
    ],
)
def test_the_first_address_from_the_end_that_is_no_proxy_is_the_client(forwarded: list[str], client: str) -> None:
    assert client_behind("10.0.0.1", forwarded, PROXIES) == client


@pytest.mark.parametrize(
    ("address", "trusted"),
    [("10.0.0.1", True), ("11.0.0.1", False), ("fd00::1", True), ("", False), ("proxy.test", False)],
)
def test_proxies_are_known_by_their_networks(address: str, trusted: bool) -> None:
    assert is_trusted(address, PROXIES) is trusted


def test_one_peer_has_one_address() -> None:
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("fe80::1%eth0") == "fe80::1"
