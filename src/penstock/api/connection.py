"""One HTTP connection: how a request is read, and when it has taken too long.

llhttp parses, in its strict mode; uvicorn's `RequestResponseCycle` runs the application and writes. In
between, each request is read whole, under these rules:

- a head has at most MAX_HEAD bytes and MAX_HEADER_LINES lines, a body MAX_BODY bytes, however it comes; for
  targets that the policy names it is MAX_LARGE_BODY, as long as few of that size are there;
- each phase has its deadline, which bytes that trickle in do not move;
- what two readers could understand in two ways is refused: two lengths, a length and chunks, trailers,
  folded lines, two hosts, a host that the target contradicts, an upgrade with a body behind it;
- the target reaches the application as it stood on the request line, for signatures cover it.

A refusal is answered as plain text, if its place in the order of answers has come, and the connection is
done with: what else its peer sends is thrown away, and after a moment so is the connection.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from penstock.api.forwarded import client_behind
from penstock.api.policy import BYTES_IN_CHUNKS, MAX_HEAD, MAX_HEADER_LINES, MAX_LARGE_BODY, MAX_PIPELINED
from penstock.clouds.reading import MAX_BODY
from penstock.errors import HttpError

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

    from penstock.api.http import HttpServer

log = logging.getLogger("penstock.api")

# What is written before it is seen whether the peer takes it; as much as a transport lets wait without a word.
PIECE: Final = 64 * 1024

# The scope's member that holds the target as it stood on the request line.
TARGET: Final = "penstock.target"
# The extension that takes an answer that is whole: `await respond(status, head, body)`.
RESPOND: Final = "penstock.respond"
# The one for answers that are longer than memory: `sent = await stream(status, head, pieces, length)`.
STREAM: Final = "penstock.stream"

_HEAD_TOO_LARGE: Final = HttpError(431, f"the head may have {MAX_HEAD} bytes and {MAX_HEADER_LINES} lines at most")
_TOO_MANY_LARGE: Final = HttpError(503, "too many large bodies are under way; try again")
_TOO_SLOW: Final = HttpError(408, "the request took too long to come")

_HOST: Final = re.compile(rb"[A-Za-z0-9._~-]+(?::\d{0,5})?|\[[0-9A-Fa-f:.]+\](?::\d{0,5})?")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
# One pass over what a target may hold: no control, no space, no fragment, ASCII alone.
_TARGET: Final = re.compile(rb"/[!\"$-~]*")


class _Cycle(RequestResponseCycle):
    """uvicorn's way of an application's answer to the line, with a short one for answers that are whole.

    Both write in pieces, and wait when the peer does not take them. In one piece a long answer would leave TLS's
    layer at once, into a buffer that nobody can look into: a peer that takes nothing could not be told from
    one that took all.
    """

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.body":
            body, more = message.get("body", b""), message.get("more_body", False)
            last = max(0, len(body) - 1) // PIECE * PIECE
            for at in range(0, last, PIECE):
                await super().send({"type": "http.response.body", "body": body[at : at + PIECE], "more_body": True})
            message = {"type": "http.response.body", "body": body[last:], "more_body": more}
        await super().send(message)

    written = 0  # bytes of bodies that were handed to the transport: a peer that takes them has not stalled

    async def stream(self, status: int, head: bytes, pieces: AsyncIterator[bytes], length: int) -> int:
        """Write an answer of `length` bytes as they come and its peer takes them; return how many it was given.

        Pieces that end early end the connection: its peer can tell by Content-Length, which is in `head`.
        """
        assert not self.response_started
        self.response_started = True
        del self.scope["extensions"]  # see `respond`
        self.transport.write(self._first(status, head))
        before = self.written
        async for piece in pieces:
            for at in range(0, len(piece), PIECE):
                if self.flow.write_paused and not self.disconnected:
                    await self.flow.drain()
                if self.disconnected:
                    return self.written - before
                self.transport.write(piece[at : at + PIECE])
                self.written += len(piece[at : at + PIECE])
        if self.written - before < length:
            self.keep_alive = False
            self.transport.abort()
        self._complete()
        return self.written - before

    def _first(self, status: int, head: bytes) -> bytes:
        lines = [STATUS_LINE[status], *(b"%s: %s\r\n" % line for line in self.default_headers), head]
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        return b"".join((*lines, b"\r\n"))

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    async def respond(self, status: int, head: bytes, body: bytes) -> None:
        """Write an answer; `head` is its header lines, each with its CR LF, Content-Length among them.

        An application's other messages take two writes at least, which is two packets and two wake-ups of the peer.
        """
        assert not self.response_started
        self.response_started = True
        # It leads back here: with it, each call would leave a ring for the garbage collector.
        del self.scope["extensions"]
        if self.scope["method"] == "HEAD":
            body = b""
        first = self._first(status, head) + body[:PIECE]
        for piece in (first, *(body[at : at + PIECE] for at in range(PIECE, len(body), PIECE))):
            if self.flow.write_paused and not self.disconnected:
                await self.flow.drain()
            if self.disconnected:
                return
            self.transport.write(piece)
        self._complete()


class Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()  # the first byte of a request
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()  # the application's
    CLOSED = auto()  # refused or closing: nothing is read any more


class ApiConnection(HttpToolsProtocol):
    """uvicorn's protocol with our reading. Made by `HttpServer`; `gone` is called once, at its end."""

    def __init__(
        self,
        server: HttpServer,
        client: tuple[str, int] | None,
        *,
        behind_proxy: bool,
        gone: Callable[[], None],
    ) -> None:
        super().__init__(server.config, server.state, {}, asyncio.get_running_loop())
        # uvicorn lets bytes follow a request that closes the connection; we want none.
        self.parser = httptools.HttpRequestParser(self)
        self._policy = server.policy
        self._monotonic = server.monotonic
        self._peer = client
        self._behind_proxy = behind_proxy
        self._gone = gone
        self._phase = Phase.HEAD
        self._deadline: float | None = None
        self._refusal: HttpError | None = None
        self._unsent = (0, 0)
        self._stalled_at: float | None = None
        self._server = server
        self._large = 0  # bodies above MAX_BODY that may still be held
        self._forget_request()

    def _forget_request(self) -> None:
        self._head_size = 0
        self._raw_size = 0
        self._body = bytearray()
        self._most = MAX_BODY
        self._is_large = False

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = self._peer
        self._enter(Phase.HEAD, self._policy.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.pipeline.clear()
        self._phase = Phase.CLOSED
        self._give_room()
        self._gone()

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.CLOSED:
            return
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Reached only after a whole message that we have refused already, or by HTTP/2's preface.
            self._refuse(HttpError(400, "this is HTTP/1.1, and nothing else is spoken here"))
        except httptools.HttpParserError as error:
            if self._refusal is None and isinstance(error, httptools.HttpParserCallbackError):
                log.error("a fault of our own while a request was read", exc_info=error)
            self._refuse(self._refusal or HttpError(400, f"this is no HTTP request: {error}"))
        else:
            if self._phase is Phase.HEAD or self._phase is Phase.BODY:
                self._go_on_waiting(len(data))

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the way out open for an answer that is under way: its client may have closed only its own half."""
        if self._is_next():
            return None
        self.cycle.keep_alive = False
        self._enter(Phase.CLOSED)
        return self.scheme != "https"

    def shutdown(self) -> None:
        """Take no more requests; close when the last answer is out."""
        super().shutdown()
        if self._phase is not Phase.CLOSED:
            self._enter(Phase.CLOSED)

    def _go_on_waiting(self, came: int) -> None:
        """A phase is not over with what came: from now on it has a deadline, and bounds for what the parser holds."""
        in_head = self._phase is Phase.HEAD
        if self._deadline is None:
            body_s = self._policy.body_s if self._most == MAX_BODY else self._policy.large_body_s
            self._enter(self._phase, self._policy.head_s if in_head else body_s)
        self._raw_size += came
        if in_head and self._raw_size > MAX_HEAD:
            self._refuse(_HEAD_TOO_LARGE)
        elif self._raw_size > MAX_HEAD + BYTES_IN_CHUNKS * self._most:
            self._refuse(self._body_too_large())

    # What the parser calls

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self._give_up(HttpError(400, f"more than {MAX_PIPELINED} requests were sent ahead of their answers"))
        self._forget_request()
        super().on_message_begin()
        if self._phase is not Phase.HEAD:
            self._enter(Phase.HEAD)

    def on_url(self, url: bytes) -> None:
        self._head_size += len(url)
        if self._head_size > MAX_HEAD:
            self._give_up(_HEAD_TOO_LARGE)
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is not Phase.HEAD:
            self._give_up(HttpError(400, "a body may not be followed by header lines"))
        self._head_size += len(name) + len(value) + 4
        if self._head_size > MAX_HEAD or len(self.headers) >= MAX_HEADER_LINES:
            self._give_up(_HEAD_TOO_LARGE)
        # llhttp leaves the white space behind a value, which is no part of it.
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._give_up(HttpError(400, f"the version is {version}; it must be 1.0 or 1.1"))
        if self.parser.should_upgrade():
            self._give_up(HttpError(400, "nothing here can be upgraded or connected through"))
        host, length, expects = self._read_lines(version)
        target = _origin_form(self.url, host)
        if target is None:
            self._give_up(HttpError(400, "the target must be a path, or a URL of the same host; ASCII, no fragment"))
        if (large := self._policy.large_targets) is not None and large.search(target) is not None:
            self._most = MAX_LARGE_BODY
        self._check_size(length)
        self._fill_scope(version, target)
        self._raw_size = 0
        self._enter(Phase.BODY)
        if expects and length and self._is_next():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_lines(self, version: str) -> tuple[bytes, int, bool]:
        """Return host, length, and whether the body waits to be asked for."""
        hosts, lengths, expects, is_chunked = [], [], False, False
        for name, value in self.headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"content-length":
                lengths.append(value)
            elif name == b"transfer-encoding":
                is_chunked = True
                if value.lower() != b"chunked" or version == "1.0":
                    self._give_up(HttpError(400, "Transfer-Encoding must be chunked, and nothing else, in HTTP/1.1"))
            elif name == b"expect":
                expects = value.lower() == b"100-continue"
        if len(lengths) + is_chunked > 1:
            self._give_up(HttpError(400, "the body has more than one length"))
        if len(hosts) > 1 or (version == "1.1" and not hosts):
            self._give_up(HttpError(400, "there must be one Host"))
        if hosts and _HOST.fullmatch(hosts[0]) is None:
            self._give_up(HttpError(400, "Host must be a name or an address, with its port where it has one"))
        return (hosts[0] if hosts else b""), (int(lengths[0]) if lengths else int(is_chunked)), expects

    def _fill_scope(self, version: str, target: bytes) -> None:
        path, _, query = target.partition(b"?")
        scope: Any = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["raw_path"], scope["query_string"] = path, query
        scope["path"] = unquote(path.decode("ascii")) if b"%" in path else path.decode("ascii")
        scope[TARGET] = target.decode("ascii")
        if self._behind_proxy and self._peer is not None:
            forwarded = [value.decode("latin-1") for name, value in self.headers if name == b"x-forwarded-for"]
            if forwarded:
                scope["client"] = (client_behind(self._peer[0], forwarded, self._policy.trusted_proxies), 0)

    def on_body(self, body: bytes) -> None:
        self._body += body
        self._check_size(len(self._body))

    def _check_size(self, size: int) -> None:
        if size > self._most:
            self._give_up(self._body_too_large())
        if size > MAX_BODY and not self._is_large:
            if self._server.large_bodies >= self._policy.max_large_bodies:
                self._give_up(_TOO_MANY_LARGE)
            self._is_large = True
            self._large += 1
            self._server.large_bodies += 1

    def _give_room(self) -> None:
        """Let go of large bodies; to be called when none is under way."""
        if self._large:
            self._server.large_bodies -= self._large
            self._large = 0
            self._forget_request()
            if self.cycle is not None:
                self.cycle.body = bytearray()

    def _body_too_large(self) -> HttpError:
        return HttpError(413, f"the body may have {self._most} bytes at most")

    def on_message_complete(self) -> None:
        previous = self.cycle
        self.cycle = self._new_cycle()
        self._enter(Phase.ANSWER)
        if previous is None or previous.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _new_cycle(self) -> _Cycle:
        there = asyncio.Event()
        there.set()
        cycle = _Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=there,
            expect_100_continue=False,
            keep_alive=self.scope["http_version"] != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.body, cycle.more_body = self._body, False
        scope: Any = self.scope
        scope["extensions"] = {RESPOND: cycle.respond, STREAM: cycle.stream}
        return cycle

    # What the application's answer calls

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._enter(Phase.CLOSED)
        elif self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.flow.resume_reading()
            if self._phase is Phase.ANSWER:
                self._give_room()
                self._enter(Phase.IDLE, self._policy.keep_alive_s)

    # Time

    def _enter(self, phase: Phase, within_s: float | None = None) -> None:
        self._phase = phase
        self._deadline = None if within_s is None else self._monotonic() + within_s

    def check_deadline(self, now: float) -> None:
        """End what has taken too long; called about once a second."""
        if self._has_stalled(now):
            self.transport.abort()
        elif self._deadline is not None and now >= self._deadline:
            self._end_phase()

    def _has_stalled(self, now: float) -> bool:
        """True when the peer has taken nothing, of something, for too long."""
        waiting = self.transport.get_write_buffer_size()
        # With what was written: a buffer that is filled as fast as it empties looks the same each time.
        unsent = (waiting, self.cycle.written if isinstance(self.cycle, _Cycle) else 0)
        if not waiting or unsent != self._unsent or self._stalled_at is None:
            self._unsent, self._stalled_at = unsent, now
            return False
        return now - self._stalled_at >= self._policy.stall_s

    def _end_phase(self) -> None:
        if self._phase is Phase.CLOSED:
            self.transport.abort()
        elif self._phase is Phase.IDLE or not (self._raw_size or self._phase is Phase.BODY):
            self.transport.close()
            self._enter(Phase.CLOSED)
        else:
            self._refuse(_TOO_SLOW)

    # Refusals

    def _give_up(self, why: HttpError) -> NoReturn:
        """Leave the parser, from one of its calls."""
        self._refusal = why
        raise why

    def _is_next(self) -> bool:
        """True when no answer is under way: what is written now is read as the answer to what came last."""
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, why: HttpError) -> None:
        """Answer, and read no more. Behind answers that are under way there is none: the last one closes."""
        if not self._is_next():
            self.cycle.keep_alive = False
            self._enter(Phase.CLOSED)
            return
        body = f"{why}\n".encode("ascii", "replace")
        head = (
            f"HTTP/1.1 {why.status} {HTTPStatus(why.status).phrase}\r\n"
            f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # Closed with bytes unread, the socket would reset and could take the answer with it: the peer gets a
        # moment to read, in which whatever it sends is thrown away.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._enter(Phase.CLOSED, self._policy.closing_s)


def _origin_form(target: bytes, host: bytes) -> bytes | None:
    """Return a target as path and query; None where it is neither that nor a URL of `host`."""
    if target[:1] != b"/":
        found = _ABSOLUTE.fullmatch(target)
        # RFC 9112, 3.2.2 lets the URL win over Host. A signature covers Host: so they have to be one.
        if found is None or found[1].lower() != host.lower():
            return None
        target = found[2] if found[2][:1] == b"/" else b"/" + found[2]
    return target if _TARGET.fullmatch(target) is not None else None
