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
from penstock.servers.request import Request, new_parser, read_request
from penstock.servers.wire import Wire

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
    503: "Service Unavailable",
}


class HttpFlvConnection(Connection):
    """One HTTP client: one request, one answer."""

    __slots__ = ("_hub", "_parser", "_player")

    def __init__(self, hub: Hub, door: Door, wire: Wire, address: str, port: int) -> None:
        super().__init__(door, wire, address, port)
        self._hub = hub
        self._player: Player | None = None  # until the connection closes
        self._parser: h11.Connection | None = new_parser()

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
            self._serve_flv(Request.of(request))

    def _serve_flv(self, request: Request) -> None:
        # Its buffers are of no more use, and there may be thousands of players.
        self._parser = None
        method = request.method
        try:
            target = target_of(request.target, request.headers.get(b"host", b""))
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
        client = self.client(request.agent)
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
