"""Serves ASGI apps on sockets that listen already: plain, in TLS, or of this machine alone."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from uvicorn.server import ServerState

from penstock.api import connections
from penstock.api.connections import ApiConnection, Doorkeeper, make_config
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from penstock.clouds.reading import MAX_BODY

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer = Callable[[HttpRequest, str], Awaitable[HttpResponse]]

# How long requests under way have when the server ends.
DRAIN_S: Final = 2.0

# It tells of every malformed request, and anybody can send these.
logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


class HttpServer:
    """One app behind one or more listeners."""

    def __init__(self, app: App, doorkeeper: Doorkeeper | None = None) -> None:
        """`doorkeeper` bounds connections per address; None lets everybody in."""
        self._config = make_config(app)
        self._config.load()
        self._state = ServerState()
        self._doorkeeper = doorkeeper
        self._servers: list[asyncio.Server] = []

    async def listen(self, listener: socket.socket, context: ssl.SSLContext | None = None) -> None:
        """Serve what connects to `listener`, in TLS when there is a context for it."""
        loop = asyncio.get_running_loop()
        if listener.family == socket.AF_UNIX:
            self._servers.append(await loop.create_unix_server(self._connection, sock=listener))
            return
        # Inherited by what it accepts: an answer's head must not wait until its body is acknowledged.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            self._servers.append(await loop.create_server(self._connection, sock=listener))
        else:
            self._servers.append(
                await loop.create_server(
                    self._connection,
                    sock=listener,
                    ssl=context,
                    ssl_handshake_timeout=connections.REQUEST_S,
                    ssl_shutdown_timeout=DRAIN_S,
                )
            )

    def _connection(self) -> ApiConnection:
        return ApiConnection(self._config, self._state, self._doorkeeper)

    async def close(self) -> None:
        """Take no more, let what is under way end, and close."""
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._state.tasks:
                    await asyncio.wait(set(self._state.tasks))
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()


class RequestApp:
    """An ASGI app of a function from request and client's address to answer."""

    def __init__(self, answer: Answer, trusted: Callable[[str], bool] = lambda _: False) -> None:
        """`trusted` tells of whose address X-Forwarded-For is believed."""
        self._answer = answer
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
        if scope["http_version"] == "1.1" and len(headers.get_all("Host")) != 1:
            await _send(send, plain(400, "A request has one Host header."), close=True)
            return
        try:
            body = await _read_body(headers, receive)
        except _TooLong:
            await _send(send, plain(413, f"The body is too long; at most {MAX_BODY} bytes are read."), close=True)
            return
        except _Left:
            return
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target = f"{target}?{scope['query_string'].decode('latin-1')}"
        request = HttpRequest(method=scope["method"], target=target, headers=headers, body=body)
        peer = scope["client"][0] if scope["client"] else ""
        await _send(send, await self._answer(request, self._client(peer, headers)))

    def _client(self, peer: str, headers: Headers) -> str:
        """The address that a request comes from: the last one that no proxy of ours added."""
        if not self._trusted(peer):
            return peer
        hops = ",".join(headers.get_all("X-Forwarded-For")).split(",")
        for hop in reversed([hop.strip() for hop in hops]):
            if not _is_address(hop):
                break
            peer = hop
            if not self._trusted(hop):
                break
        return peer


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone is any text


class _TooLong(Exception):
    """The body is, or says that it is, longer than we read."""


class _Left(Exception):
    """The peer went before its request was whole."""


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    announced = headers.get("Content-Length", "0")
    # The parser took it for a number already.
    if len(announced) > 12 or int(announced) > MAX_BODY:
        raise _TooLong
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Left
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise _TooLong
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(send: Send, response: HttpResponse, *, close: bool = False) -> None:
    headers: Sequence[tuple[bytes, bytes]] = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers
    ]
    if close:
        headers = [*headers, (b"Connection", b"close")]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def plain(status: int, text: str) -> HttpResponse:
    """An answer in one line of text, for what is no cloud's request."""
    body = f"{text}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("X-Content-Type-Options", "nosniff"),
    ]
    return HttpResponse(status=status, headers=Headers(headers), body=body)
