"""HTTP/1.1 connections of the APIs: uvicorn's, with the deadlines and bounds that a public port needs.

uvicorn waits for a request as long as its peer likes, takes a head of any size, and keeps an answer for a peer
that never reads. Here each request has to be whole within `REQUEST_S` and answered within `ANSWER_S`, and its answer
taken before the connection has been idle for too long; what breaks a bound closes the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from penstock.clouds.reading import MAX_BODY

REQUEST_S: Final = 10.0  # from a connection, or a request's first byte, to its last
ANSWER_S: Final = 60.0  # from there until it is answered; for a last answer, until it was taken
KEEP_ALIVE_S: Final = 75  # between requests: longer than most clients keep a connection, and the longest page takes
MAX_HEAD: Final = 65_536  # bytes of one head
MAX_REQUEST: Final = 4 * MAX_BODY  # bytes of one request as they come, chunks' frames and trailers among them
MAX_LINES: Final = 100
# Those of one address.
MAX_CONNECTIONS: Final = 1024


class Doorkeeper:
    """Counts the connections of each address; those of trusted proxies are not limited."""

    def __init__(self, trusted: Callable[[str], bool] = lambda _: False, limit: int = MAX_CONNECTIONS) -> None:
        self._trusted = trusted
        self._limit = limit
        self._counts: dict[str, int] = {}

    def enter(self, address: str) -> bool:
        """Let one more in; False when it would be one too many."""
        count = self._counts.get(address, 0)
        if count >= self._limit and not self._trusted(address):
            return False
        self._counts[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        count = self._counts.get(address, 0) - 1
        if count > 0:
            self._counts[address] = count
        else:
            self._counts.pop(address, None)


class ApiConnection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, config: Config, state: ServerState, doorkeeper: Doorkeeper | None) -> None:
        super().__init__(config, state, {})
        # Whatever comes behind `Connection: close` is no part of any request.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self._doorkeeper = doorkeeper
        self._address: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._in_request = False
        self._in_head = True
        self._came_bytes = 0  # of this request
        self._head_bytes = 0  # of its head, as far as it was read

    # Its life

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._doorkeeper is not None and self.client is not None:
            if not self._doorkeeper.enter(self.client[0]):
                transport.abort()
                return
            self._address = self.client[0]
        self._set_deadline(REQUEST_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        if self._doorkeeper is not None and self._address is not None:
            self._doorkeeper.leave(self._address)
            self._address = None
        super().connection_lost(exc)

    def _set_deadline(self, seconds: float) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # Requests

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._set_deadline(REQUEST_S)
        self._came_bytes += len(data)
        super().data_received(data)
        # Checked behind the parser: what came may be the end of one request, and the beginning of the next.
        if self._came_bytes > (MAX_HEAD if self._in_head else MAX_REQUEST) and not self.transport.is_closing():
            self.send_400_response("The request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_request = self._in_head = True
        self._came_bytes = self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Lines behind a chunked body are no headers: nothing that was signed or checked is in them.
        if not self._in_head:
            return
        self._count_head(len(name) + len(value))
        if len(self.headers) >= MAX_LINES:
            raise httptools.HttpParserError("too many headers")
        super().on_header(name, value)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD:
            raise httptools.HttpParserError("the head is too long")

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_request = False
        self._in_head = True
        self._came_bytes = 0
        # One that came while another is answered has its turn, and its time, when that is done.
        if not self.pipeline:
            self._set_deadline(ANSWER_S)

    # Answers

    def on_response_complete(self) -> None:
        is_next_waiting = bool(self.pipeline)
        super().on_response_complete()
        if is_next_waiting:
            self._set_deadline(ANSWER_S)
        elif not self.transport.is_closing():
            self._clear_deadline()
            if self._in_request:
                self._set_deadline(REQUEST_S)

    def timeout_keep_alive_handler(self) -> None:
        # Not closed, which would wait for a peer that does not take its answer.
        self.transport.abort()


def make_config(app: Any) -> Config:
    """uvicorn's settings for an app of ours: nothing is logged, announced or guessed by it."""
    return Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
