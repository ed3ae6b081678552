"""Addresses of the public internet, and all the others in all their forms."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from penstock.net.addresses import not_public, plain


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2600::1",
        "2a00:1450:4001:800::200e",
        "2001:200::1",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ],
)
def test_a_public_address_is_one(text: str) -> None:
    assert not_public(ip_address(text)) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0.0.0.0", "0.0.0.0/8 (unspecified)"),
        ("0.255.255.255", "0.0.0.0/8 (unspecified)"),
        ("10.0.0.0", "10.0.0.0/8 (private)"),
        ("10.255.255.255", "10.0.0.0/8 (private)"),
        ("100.64.0.0", "100.64.0.0/10 (private to a provider)"),
        ("100.127.255.255", "100.64.0.0/10 (private to a provider)"),
        ("127.0.0.1", "127.0.0.0/8 (loopback)"),
        ("127.255.255.254", "127.0.0.0/8 (loopback)"),
        ("169.254.169.254", "169.254.0.0/16 (link-local)"),
        ("172.16.0.0", "172.16.0.0/12 (private)"),
        ("172.31.255.255", "172.16.0.0/12 (private)"),
        ("192.0.0.170", "192.0.0.0/24 (reserved)"),
        ("192.0.2.1", "192.0.2.0/24 (for documentation)"),
        ("192.88.99.1", "192.88.99.0/24 (reserved)"),
        ("192.168.0.1", "192.168.0.0/16 (private)"),
        ("198.19.255.255", "198.18.0.0/15 (for benchmarks)"),
        ("198.51.100.7", "198.51.100.0/24 (for documentation)"),
        ("203.0.113.7", "203.0.113.0/24 (for documentation)"),
        ("224.0.0.1", "224.0.0.0/4 (multicast)"),
        ("239.255.255.255", "224.0.0.0/4 (multicast)"),
        ("240.0.0.1", "240.0.0.0/4 (reserved)"),
        ("255.255.255.255", "255.255.255.255/32 (broadcast)"),
        ("::", "::/128 (unspecified)"),
        ("::1", "::1/128 (loopback)"),
        ("::2", "an IPv6 form of 0.0.0.2, 0.0.0.0/8 (unspecified)"),
        ("fc00::1", "fc00::/7 (private)"),
        ("fd12:3456::1", "fc00::/7 (private)"),
        ("fe80::1", "fe80::/10 (link-local)"),
        ("febf::1", "fe80::/10 (link-local)"),
        ("fec0::1", "fec0::/10 (private)"),
        ("ff02::1", "ff00::/8 (multicast)"),
        ("2001:db8::1", "2001:db8::/32 (for documentation)"),
        ("3fff::1", "3fff::/20 (for documentation)"),
        ("64:ff9b:1::1", "64:ff9b:1::/48 (private)"),
        ("100::1", "reserved"),
        ("2001:20::1", "reserved"),
        ("4000::1", "reserved"),
        # IPv4 inside IPv6
        ("::ffff:127.0.0.1", "127.0.0.0/8 (loopback)"),
        ("::ffff:a9fe:a9fe", "169.254.0.0/16 (link-local)"),
        ("::127.0.0.1", "an IPv6 form of 127.0.0.1, 127.0.0.0/8 (loopback)"),
        ("::8.8.8.8", "reserved"),
        ("64:ff9b::10.0.0.1", "an IPv6 form of 10.0.0.1, 10.0.0.0/8 (private)"),
        ("2002:7f00:1::1", "an IPv6 form of 127.0.0.1, 127.0.0.0/8 (loopback)"),
        ("2002:c0a8:101::", "an IPv6 form of 192.168.1.1, 192.168.0.0/16 (private)"),
        ("2001:0:7f00:1::f7f7:f7f7", "an IPv6 form of 127.0.0.1, 127.0.0.0/8 (loopback)"),  # Teredo's server
        ("2001:0:808:808::80ff:fffe", "an IPv6 form of 127.0.0.1, 127.0.0.0/8 (loopback)"),  # and its client
    ],
)
def test_any_other_address_is_named_with_its_network(text: str, found: str) -> None:
    assert not_public(ip_address(text)) == found


def test_a_mapped_address_is_plain_ipv4() -> None:
    assert str(plain(ip_address("::ffff:1.2.3.4"))) == "1.2.3.4"
    assert str(plain(ip_address("2600::1"))) == "2600::1"
