"""FLV from other servers over HTTP: one request, and its answer until it ends."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urljoin

import h11

from penstock.engine.relaying.ports import SourceOwner
from penstock.errors import HttpError, PeerError
from penstock.net.guard import HTTP
from penstock.net.urls import Url
from penstock.protocols.flv import HEAD, TAIL, Tag, TagReader
from penstock.protocols.rtmp.chunk import Message
from penstock.servers.calling import Exchange, OutgoingCall

MAX_ANSWER_HEAD: Final = 16 * 1024
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_SAFE: Final = "/%:@!$&'()*+,;=~-._?"


class FlvPull(OutgoingCall):
    """Plays from an HTTP server."""

    schemes = HTTP

    def __init__(self, exchange: Exchange, url: str, owner: SourceOwner) -> None:
        self._owner = owner
        self._url = url
        self._redirects = 0
        self._parser: h11.Connection | None = None  # None: what comes is FLV, with nothing around it
        self._tags = TagReader(exchange.policy.max_message_bytes)
        super().__init__(exchange, url)

    def connected(self, url: Url) -> None:
        self._url = str(url)
        query = "" if url.query is None else f"?{url.query}"
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER_HEAD)
        request = h11.Request(
            method="GET",
            target=quote(f"{url.path or '/'}{query}", safe=_SAFE),
            headers=[
                ("Host", url.place),
                ("User-Agent", "penstock"),
                ("Accept", "*/*"),
                ("Accept-Encoding", "identity"),
                ("Connection", "close"),
            ],
        )
        head = self._parser.send(request) or b""
        self._parser.send(h11.EndOfMessage())
        self.send(head)

    def receive(self, data: memoryview) -> None:
        if self._parser is None:
            self._read(data)
            return
        self._parser.receive_data(bytes(data))
        self._read_events(self._parser)

    def over(self, why: str) -> None:
        self._owner.lost(why)

    def _read_events(self, parser: h11.Connection) -> None:
        while self._parser is parser and not self.is_closed:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                raise HttpError(502, f"its answer is not HTTP: {error}") from error
            match event:
                case h11.Response():
                    self._answered(parser, event)
                case h11.Data():
                    self._read(event.data)
                case h11.EndOfMessage():
                    raise PeerError("its answer ended")
                case h11.InformationalResponse():
                    pass
                case _:
                    return

    def _answered(self, parser: h11.Connection, response: h11.Response) -> None:
        headers = {bytes(name): bytes(value) for name, value in response.headers}
        if response.status_code in _REDIRECTS and b"location" in headers:
            self._redirect(headers[b"location"].decode("latin-1"))
            return
        if response.status_code != 200:
            reason = bytes(response.reason).decode("latin-1")[:80]
            shown = "".join(letter if letter.isprintable() else " " for letter in reason)
            raise PeerError(f"it answers {response.status_code} {shown}".rstrip())
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise PeerError("its answer is compressed, which it was not asked to be")
        self.settled()
        self._owner.opened()
        if b"transfer-encoding" not in headers and b"content-length" not in headers:
            # Nothing stands around the body: from here h11 would only copy it.
            self._parser = None
            rest, _ = parser.trailing_data
            self._read(rest)

    def _redirect(self, location: str) -> None:
        self._redirects += 1
        if self._redirects > self.exchange.policy.max_redirects:
            raise PeerError(f"it redirects more than {self.exchange.policy.max_redirects} times")
        self._parser = None
        try:
            url = urljoin(self._url, location)
        except ValueError:
            raise PeerError("it redirects to what is no URL") from None
        self.call_again(url)

    def _read(self, data: bytes | bytearray | memoryview) -> None:
        messages = [message_of(tag) for tag in self._tags.receive(data)]
        if messages and not self.is_closed:
            self._owner.media(messages)


def message_of(tag: Tag) -> Message:
    """A tag's payload with the room around it that a packet is made in."""
    buffer = bytearray(HEAD + len(tag.payload) + TAIL)
    buffer[HEAD:-TAIL] = tag.payload
    return Message(tag.kind, tag.dts_ms, 0, buffer)
