"""HTTP/1.1 connections of the APIs: uvicorn's, with the deadlines and bounds that a public port needs.

uvicorn waits for a request as long as its peer likes, and takes a head of any size. Here each request has to
be whole within `REQUEST_S`, and its answer taken within `ANSWER_S`; what breaks a bound closes the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

REQUEST_S: Final = 10.0  # from a connection, or a request's first byte, to its last
ANSWER_S: Final = 60.0  # from there until the answer is on its way: the longest page, to a slow reader
KEEP_ALIVE_S: Final = 75  # between requests: longer than the pools of most clients keep a connection
MAX_HEAD: Final = 65_536  # bytes of one head, as they come
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
        self._in_head = True
        self._head_bytes = 0

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
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        # Checked behind the parser, as a head's last piece may bring a body along.
        if self._in_head and self._head_bytes > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("The head is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        # Lines behind a chunked body are no headers: nothing that was signed or checked is in them.
        if not self._in_head:
            return
        if len(self.headers) >= MAX_LINES:
            raise httptools.HttpParserError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0
        self._set_deadline(ANSWER_S)

    def on_response_complete(self) -> None:
        self._clear_deadline()
        super().on_response_complete()
        if self.pipeline:
            self._set_deadline(ANSWER_S)


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
