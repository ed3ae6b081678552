"""A request's head as plain data: by h11, or, in the one form that players of HLS ask in all day, by hand.

What is read by hand is only what h11 would take in the same way, which a test holds against it: anything
else, every doubt included, is h11's.
"""

from __future__ import annotations

import re
from typing import Final

import h11
from msgspec import Struct

from penstock.errors import HttpError

MAX_REQUEST_HEAD: Final = 16 * 1024

# Names as tokens, values of visible ASCII and blanks; no folded lines, no bare line feeds.
_PLAIN: Final = re.compile(
    rb"(GET|HEAD) (/[!-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ -~\t]*\r\n){1,50})\r\n"
)
# Headers that decide where a request ends, or what its connection becomes.
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))


class Request(Struct, frozen=True):
    """A head. Header names are in lower case; of those that came twice, the last counts."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    is_last: bool  # its connection serves no other one

    @property
    def agent(self) -> str:
        return self.headers.get(b"user-agent", b"")[:256].decode("latin-1")

    @classmethod
    def of(cls, request: h11.Request) -> Request:
        headers = {bytes(name): bytes(value) for name, value in request.headers}
        has_body = b"content-length" in headers or b"transfer-encoding" in headers
        wants_close = b"close" in headers.get(b"connection", b"").lower() or request.http_version < b"1.1"
        return cls(bytes(request.method), bytes(request.target), headers, has_body or wants_close)


def read_plain(data: bytes | bytearray) -> tuple[Request, int] | None:
    """The request that `data` opens with, and its length; None if that is not for this function to say."""
    found = _PLAIN.match(data)
    if found is None or found.end() > MAX_REQUEST_HEAD:
        return None
    method, target, lines = found.groups()
    headers: dict[bytes, bytes] = {}
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = bytes(line).partition(b":")
        name = name.lower()
        if name in headers or name in _FRAMING:
            return None
        headers[name] = value.strip(b" \t")
    if b"host" not in headers or headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    return Request(bytes(method), bytes(target), headers, is_last=False), found.end()


def new_parser() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST_HEAD)


def read_request(parser: h11.Connection, data: bytes) -> h11.Request | None:
    """The request that `data` completed, or None while its head is not whole.

    Raises:
        HttpError: it is not HTTP, or longer than MAX_REQUEST_HEAD.
    """
    # h11 bounds a head only while it is cut short: no more than one byte over the bound is shown to it.
    held, _ = parser.trailing_data
    parser.receive_data(data[: MAX_REQUEST_HEAD + 1 - len(held)])
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        raise HttpError(error.error_status_hint, str(error)) from error
    return event if isinstance(event, h11.Request) else None
