"""Heads that are read by hand, held against h11: what the one takes, the other takes in the same way."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import HttpError
from penstock.servers.request import MAX_REQUEST_HEAD, Request, new_parser, read_plain, read_request

BROWSER = (
    b"GET /live/cam/0123456789abcdef/live.m3u8 HTTP/1.1\r\nHost: 127.0.0.1:8081\r\nConnection: keep-alive\r\n"
    b'User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nsec-ch-ua: "A";v="1"\r\nOrigin: null\r\n\r\n'
)


def by_h11(data: bytes) -> tuple[Request, int] | None:
    """The same, in h11's own time."""
    parser = new_parser()
    try:
        event = read_request(parser, data)
    except HttpError:
        return None
    if event is None:
        return None
    request = Request.of(event)
    if not request.is_last:
        assert isinstance(parser.next_event(), h11.EndOfMessage)
    return request, len(data) - len(parser.trailing_data[0])


def test_a_browsers_head_is_read_by_hand() -> None:
    found = read_plain(BROWSER + b"GET")
    assert found == by_h11(BROWSER + b"GET")
    assert found is not None
    request, size = found
    assert size == len(BROWSER)
    assert (request.method, request.target) == (b"GET", b"/live/cam/0123456789abcdef/live.m3u8")
    assert request.agent == "Mozilla/5.0 (X11; Linux x86_64)"


HEAD = b"GET /a HTTP/1.1\r\nHost: b\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        HEAD + b"\r",
        b"\r\n" + HEAD + b"\r\n",
        b"GET /a HTTP/1.0\r\nHost: b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nAccept: b\r\n\r\n",
        b"get /a HTTP/1.1\r\nHost: b\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET http://b/a HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET  /a HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: b\r\n\r\n",
        HEAD + b"Host: c\r\n\r\n",
        HEAD + b"Accept: a\r\nACCEPT: b\r\n\r\n",
        HEAD + b"Content-Length: 5\r\n\r\nhello",
        HEAD + b"content-length: 0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Connection: close\r\n\r\n",
        HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        HEAD + b"Expect: 100-continue\r\n\r\n",
        HEAD + b"X: a\n\r\n",
        HEAD + b"X: a\r\n b\r\n\r\n",
        HEAD + b"X : a\r\n\r\n",
        HEAD + b"X: \xff\r\n\r\n",
        HEAD + b"X: \x00\r\n\r\n",
        HEAD + b": a\r\n\r\n",
        HEAD + b"X: y\r\n" * 60 + b"\r\n",
        HEAD + b"X: " + b"y" * MAX_REQUEST_HEAD + b"\r\n\r\n",
    ],
)
def test_every_doubt_is_left_to_h11(data: bytes) -> None:
    assert read_plain(data) is None


pieces = st.sampled_from(
    [
        *(b"GET", b"HEAD", b" ", b"/", b"/live/cam.m3u8", b"?a=b", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r"),
        *(b"Host", b":", b" ", b"\t", b"a", b"b.test:80", b"Connection: keep-alive", b"Connection: close", b"X-Y_z"),
        *(b"Content-Length: 0", b"\x00", b"\x7f", b"\xe9", b"{", b"}", b"(", b'"', b"\\", b"~", b"@", b"\r\n\r\n"),
    ]
)
lines = st.lists(st.lists(pieces, max_size=5).map(b"".join), max_size=4).map(b"\r\n".join)


@settings(max_examples=2000)
@given(
    st.sampled_from([b"GET /a HTTP/1.1\r\n", b"HEAD /live/cam.m3u8?x HTTP/1.1\r\nHost: b\r\n", b""]),
    lines,
    st.sampled_from([b"\r\n\r\n", b"\r\nHost: c\r\n\r\n", b"\r\n\r\nGET /b"]),
)
def test_what_is_read_by_hand_is_what_h11_reads(start: bytes, middle: bytes, end: bytes) -> None:
    data = start + middle + end
    found = read_plain(data)
    if found is not None:
        assert found == by_h11(data)


@settings(max_examples=500)
@given(st.integers(33, 126), st.integers(0, 255))
def test_no_sign_is_taken_where_h11_takes_none(in_name: int, in_value: int) -> None:
    data = HEAD + b"X" + bytes([in_name]) + b": a" + bytes([in_value]) + b"b\r\n\r\n"
    found = read_plain(data)
    if found is not None:
        assert found == by_h11(data)
