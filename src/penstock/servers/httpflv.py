"""HTTP-FLV's door: ``GET /{app}/{stream}.flv`` answers with the stream until it ends.

The answer has neither a length nor chunks: it ends with its connection, so that all players share the
same bytes. Everything else here is 404.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import h11

from penstock.engine.addressing import Target
from penstock.engine.formats import FLV
from penstock.engine.hub import Hub
from penstock.engine.usage import Player
from penstock.errors import BadParameters, HttpError
from penstock.link.messages import EndReason
from penstock.servers.door import Connection, Door
from penstock.servers.wire import Wire

MAX_REQUEST_HEAD: Final = 16 * 1024
SUFFIX: Final = ".flv"

# Any page may play: nothing here is told by cookies or by who asks.
CORS: Final = "Access-Control-Allow-Origin: *\r\n"
_PLAYING: Final = (
    f"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nCache-Control: no-store\r\n{CORS}Connection: close\r\n\r\n"
).encode()
PREFLIGHT: Final = (
    "HTTP/1.1 204 No Content\r\n"
    f"{CORS}"
    "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"
    "Access-Control-Allow-Headers: *\r\n"
    "Access-Control-Max-Age: 86400\r\n"
    "Connection: close\r\n"
    "\r\n"
).encode()
REASONS: Final = {
    400: "Bad Request",
    404: "Not Found",
    410: "Gone",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
}


class HttpFlvConnection(Connection):
    """One HTTP client: one request, one answer."""

    __slots__ = ("_hub", "_parser", "_player")

    def __init__(self, hub: Hub, door: Door, wire: Wire, address: str, port: int) -> None:
        super().__init__(door, wire, address, port)
        self._hub = hub
        self._player: Player | None = None  # until the connection closes
        self._parser: h11.Connection | None = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST_HEAD)

    def receive(self, data: memoryview) -> None:
        if self._parser is None:
            return  # a player has nothing more to say
        try:
            request = read_request(self._parser, bytes(data))
        except HttpError as error:
            self._parser = None
            self._answer(error.status, str(error), with_body=True)
            return
        if request is not None:
            self._serve_flv(request)

    def _serve_flv(self, request: h11.Request) -> None:
        # Its buffers are of no more use, and there may be thousands of players.
        self._parser = None
        method = request.method
        headers = headers_of(request)
        try:
            target = target_of(bytes(request.target), headers.get(b"host", b""))
            if method not in (b"GET", b"HEAD", b"OPTIONS"):
                raise HttpError(404, "nothing here takes that method")
            if method == b"OPTIONS":
                self.send(PREFLIGHT)
                self.finish()
                return
            stream = self._hub.vhosts.locate(target)
            if not self._hub.is_playable(stream):
                raise HttpError(404, f"{stream} is not on air")
        except (HttpError, BadParameters) as error:
            self._answer(error.status if isinstance(error, HttpError) else 404, str(error), with_body=method != b"HEAD")
            return
        self.send(_PLAYING)
        if method == b"HEAD":
            self.finish()
            return
        if self.closed:
            return
        self.outlet.limit_bytes = self.door.policy.player_buffer_bytes
        client = self.client(agent_of(headers))
        try:
            self._player = self._hub.join(stream, FLV, self.outlet, client, self._hub.vhosts.domain_of(target))
        except OSError as error:
            self.close(f"connection lost: {error}")
            return
        self.settled()

    def _answer(self, status: int, why: str, *, with_body: bool) -> None:
        body = f"{why}\n".encode("ascii", "replace")
        head = (
            f"HTTP/1.1 {status} {REASONS.get(status, 'Bad Request')}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n{CORS}Connection: close\r\n\r\n"
        ).encode()
        self.send(head + body if with_body else head)
        self.finish()

    def end(self, why: str, *, at_once: bool) -> None:
        """The stream is over (engine.outlet.Owner)."""
        self._leave()
        if at_once:
            self.close(why)
        else:
            self.finish()

    def gone(self, reason: EndReason, why: str) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._player is not None:
            self._hub.leave(self._player)


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


def headers_of(request: h11.Request) -> dict[bytes, bytes]:
    """A request's headers by their names in lower case; of those told twice, the last."""
    return {bytes(name): bytes(value) for name, value in request.headers}


def agent_of(headers: dict[bytes, bytes]) -> str:
    return headers.get(b"user-agent", b"")[:256].decode("latin-1")


def target_of(path_and_query: bytes, host: bytes) -> Target:
    """Which stream a request's target means.

    Raises:
        HttpError: it is no path of two words, or does not end in `.flv`.
    """
    try:
        authority, path, query = split_target(path_and_query.decode("ascii"), host.decode("ascii"))
    except ValueError as error:
        raise HttpError(404, "no such path") from error
    words = path.split("/")
    if len(words) != 3 or words[0] or not words[2].endswith(SUFFIX):
        raise HttpError(404, "no such path; streams are at /APP/STREAM.flv")
    return Target(authority, words[1], words[2].removesuffix(SUFFIX), (query,))


def split_target(target: str, host: str) -> tuple[str, str, str]:
    """Authority, path and query of a request's target.

    Raises:
        ValueError: it is no URL of this door.
    """
    if target.startswith("/"):
        # By hand: urlsplit takes what stands behind two slashes for a host.
        path, _, query = target.partition("?")
        return host, path, query
    # A target in absolute form names the host itself, and that one counts (RFC 9112, section 3.2.2).
    url = urlsplit(target)
    if url.scheme not in ("http", "https"):
        raise ValueError(f"scheme is {url.scheme}")
    return url.netloc, url.path, url.query


def httpflv_connection(hub: Hub) -> Callable[[Door, Wire, str, int], Connection]:
    """What an HTTP-FLV door makes of each socket."""
    return lambda door, wire, address, port: HttpFlvConnection(hub, door, wire, address, port)
