"""URLs in parts, and the ones that could be read in two ways."""

from __future__ import annotations

import pytest

from penstock.errors import NetworkRefused
from penstock.net.urls import MAX_URL, Url, parse_url

ALL = ("http", "https", "rtmp", "rtmps")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://example.com", Url("http", "example.com", 80)),
        ("HTTPS://Example.COM/a/b?c=d#e", Url("https", "example.com", 443, "/a/b", "c=d")),
        ("rtmp://push.example.com/live/s?key=1", Url("rtmp", "push.example.com", 1935, "/live/s", "key=1")),
        ("rtmps://push.example.com:8443/live", Url("rtmps", "push.example.com", 8443, "/live")),
        ("http://example.com.:8080/", Url("http", "example.com", 8080, "/")),
        ("http://1.2.3.4/x", Url("http", "1.2.3.4", 80, "/x")),
        ("http://[2600::1]:81/x?", Url("http", "2600::1", 81, "/x", "")),
        ("http://[::FFFF:1.2.3.4]/", Url("http", "::ffff:102:304", 80, "/")),
        ("http://b\u00fccher.example/\u89c6\u9891.flv", Url("http", "xn--bcher-kva.example", 80, "/\u89c6\u9891.flv")),
        ("http://a_b-c.example/?u=http://x@y", Url("http", "a_b-c.example", 80, "/", "u=http://x@y")),
    ],
)
def test_a_url_comes_apart(text: str, url: Url) -> None:
    assert parse_url(text, ALL) == url


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("HTTP://EXAMPLE.com:80/a?b#c", "http://example.com/a?b"),
        ("https://[2600::1]:444", "https://[2600::1]:444"),
        ("rtmp://a.example:1935/live/s", "rtmp://a.example/live/s"),
    ],
)
def test_and_together(text: str, whole: str) -> None:
    assert str(parse_url(text, ALL)) == whole
    assert str(parse_url(whole, ALL)) == whole


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with"),
        ("example.com/x", "begins with"),
        ("//example.com/x", "begins with"),
        ("file:///etc/passwd", "begins with"),
        ("ftp://example.com/", "begins with http:// or https://"),
        ("-i http://example.com", "without blanks"),
        ("http:/example.com", "begins with"),
        ("http:///etc/passwd", "begins with"),
        ("concat:http://example.com", "begins with"),
        ("http://example.com/a b", "without blanks"),
        ("http://example.com\r\nHost: x/", "without blanks"),
        ("http://example.com/\n", "without blanks"),
        ("http://example.com/\x00", "without blanks"),
        ("http://example.com/\x7f", "without blanks"),
        ("http://example.com/\u2028", "without blanks"),
        ("http://example.com\\@127.0.0.1/", "backslashes"),
        ("http://user@example.com/", "has a user"),
        ("http://example.com@127.0.0.1/", "has a user"),
        ("http://user:secret@example.com/", "has a user"),
        ("http://example.com:80:81/", "a host, and a port"),
        ("http://example.com:/", "a host, and a port"),
        ("http://example.com:0/", "from 1 to 65535"),
        ("http://example.com:65536/", "from 1 to 65535"),
        ("http://example.com:999999/", "a host, and a port"),
        ("http://:80/", "a host, and a port"),
        ("http://[::1/", "a host, and a port"),
        ("http://::1/", "a host, and a port"),
        ("http://[fe80::1%eth0]/", "a host, and a port"),
        ("http://[1.2.3.4]/", "an IPv6 address"),
        ("http://[::1::]/", "an IPv6 address"),
        ("http://exa%6dple.com/", "a host, and a port"),
        ("http://.example.com/", "a name or an address"),
        ("http://example..com/", "a name or an address"),
        ("http://example.com../", "a name or an address"),
        ("http://-example.com/", "a name or an address"),
        ("http://exam!ple.com/", "a name or an address"),
        (f"http://{'a' * 64}.com/", "a name or an address"),
        (f"http://{'.'.join(['a' * 60] * 5)}/", "a name or an address"),
        (f"http://{'ü' * 300}.com/", "a name or an address"),
        # Addresses in spellings that some readers understand
        ("http://127.1/", "four numbers"),
        ("http://2130706433/", "four numbers"),
        ("http://0x7f000001/", "four numbers"),
        ("http://0x7f.0.0.1/", "four numbers"),
        ("http://127.0.0.0x1/", "four numbers"),
        ("http://0177.0.0.1/", "four numbers"),
        ("http://127.0.0.01/", "four numbers"),
        ("http://127.0.0.1.1/", "four numbers"),
        ("http://1.2.3.256/", "four numbers"),
        ("http://127.0.0.1../", "a name or an address"),
        ("http://\uff11\uff12\uff17.1/", "four numbers"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: str, why: str) -> None:
    with pytest.raises(NetworkRefused, match=why):
        parse_url(text, ALL)


def test_forms_of_an_address_that_mean_the_same_become_one() -> None:
    hosts = {parse_url(f"http://{host}/", ALL).host for host in ("127.0.0.1", "127.0.0.1.", "\uff11\uff12\uff17.0.0.1")}
    assert hosts == {"127.0.0.1"}


def test_length_is_bounded() -> None:
    base = "http://example.com/"
    assert parse_url(base + "a" * (MAX_URL - len(base)), ALL).host == "example.com"
    with pytest.raises(NetworkRefused, match=f"{MAX_URL + 1} characters"):
        parse_url(base + "a" * (MAX_URL + 1 - len(base)), ALL)


@pytest.mark.parametrize(
    "text",
    [
        "gopher://a.example/x/secret?key=secret",
        "http://u:secret@a/\n",
        "http://a b/?key=secret",
        "rtmp://a.example:0/live/secret",
        "a.example/live/secret",
        "http:/a/secret",
        "ftp://a/secret://b/secret",
    ],
)
def test_a_refusal_shows_no_key(text: str) -> None:
    with pytest.raises(NetworkRefused) as caught:
        parse_url(text, ALL)
    assert "secret" not in str(caught.value)
