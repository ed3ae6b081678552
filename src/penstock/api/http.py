"""HTTP/1.1 for every door of the control process: TCP, TLS and the admin socket.

uvicorn runs the applications (ASGI) and writes what they answer; llhttp parses, strictly. What reads is
our own, in `connection.py`, as a server that anybody can reach needs bounds that neither of them has. Here
are the listeners: who is let in, and when a connection has to go.

::

    server = HttpServer(application, HttpPolicy())
    server.listen(sock)                    # bound and listening: TCP or Unix
    server.listen(other, tls_context)
    ...
    await server.close()                   # answers what was asked, then is gone

An application gets each request whole: its body is there before it is called.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Final, TypeAlias

from msgspec import Struct
from uvicorn.config import Config
from uvicorn.server import ServerState

from penstock.api.connection import ApiConnection
from penstock.api.forwarded import is_trusted, plain_address
from penstock.api.policy import HttpPolicy

log = logging.getLogger("penstock.api")

Application: TypeAlias = Callable[..., Any]  # ASGI 3

# How often deadlines are looked at; what has one ends at most so much later.
SWEEP_S: Final = 1.0
# Connections taken in one go; more only delay the requests that are under way.
ACCEPT_BATCH: Final = 64
# Out of descriptors, a listening socket stays readable: without a rest the loop would spin on it.
ACCEPT_REST_S: Final = 0.5
# How long `close` waits for answers that are under way. A kick may wait for an engine for some seconds.
DRAIN_S: Final = 10.0
# A peer that was told of the end of TLS, and does not answer that.
TLS_GOODBYE_S: Final = 2.0


class HttpServer:
    """One application on any number of listening sockets; lives in the event loop that made it.

    `monotonic` is what deadlines go by, in seconds.
    """

    def __init__(
        self, application: Application, policy: HttpPolicy, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.policy = policy
        self.monotonic = monotonic
        self.state = ServerState()
        # uvicorn's own server is left out: it would take the process's signals, and look ten times a
        # second for a reason to end.
        self.config = Config(
            application, interface="asgi3", http=ApiConnection, ws="none", lifespan="off", log_config=None,
            access_log=False, proxy_headers=False, server_header=False, date_header=False,
        )  # fmt: skip
        self.config.load()
        self._loop = asyncio.get_running_loop()
        self._listeners: list[_Listener] = []
        self._guests: Counter[str] = Counter()
        self._total = 0
        self.large_bodies = 0  # that connections hold now
        self._arriving: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.sweep()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep_on)

    def __len__(self) -> int:
        """The number of connections, those in their TLS handshake included."""
        return self._total

    def listen(self, sock: socket.socket, context: ssl.SSLContext | None = None) -> None:
        """Take connections from a socket that is bound and listens; with a `context` they speak TLS."""
        self._listeners.append(_Listener(self, sock, context))

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """Take no more connections and requests, let answers go out, and cut what is left after `drain_s`."""
        while self._listeners:
            self._listeners.pop().close()
        for task in self._arriving:
            task.cancel()
        for connection in self._connections():
            connection.shutdown()
        try:
            await asyncio.wait_for(self._empty.wait(), drain_s)
        except TimeoutError:
            log.warning("%d connections were cut at the end: their answers took over %g s", self._total, drain_s)
            await self._cut()
        self._sweeper.cancel()

    async def _cut(self) -> None:
        for connection in self._connections():
            connection.transport.abort()
        tasks = list(self.state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def sweep(self) -> None:
        """End what is past its deadline."""
        now = self.monotonic()
        self.state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        for connection in self._connections():
            connection.check_deadline(now)

    def _sweep_on(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep_on)
        self.sweep()

    def _connections(self) -> list[ApiConnection]:
        return [connection for connection in self.state.connections if isinstance(connection, ApiConnection)]

    # Who is let in

    def admit(self, accepted: socket.socket, peer: Any, context: ssl.SSLContext | None) -> None:
        """Make a connection of an accepted socket, or close it without a word: there are enough."""
        # A Unix socket's peer has no address, and is let in by the socket's file mode.
        address = plain_address(str(peer[0])) if isinstance(peer, tuple) else ""
        is_proxy = is_trusted(address, self.policy.trusted_proxies)
        is_known = not address or is_proxy
        full = not is_known and self._guests[address] >= self.policy.max_connections_per_address
        if full or self._total >= self.policy.max_connections:
            accepted.close()
            return
        self._total += 1
        self._guests[address] += 1
        self._empty.clear()
        ticket = _Ticket(address, int(peer[1]) if address else 0, is_proxy)
        task = self._loop.create_task(self._open(accepted, ticket, context))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _open(self, accepted: socket.socket, ticket: _Ticket, context: ssl.SSLContext | None) -> None:
        def connect() -> ApiConnection:
            client = (ticket.address, ticket.port) if ticket.address else None
            return ApiConnection(self, client, behind_proxy=ticket.is_proxy, gone=lambda: self._leave(ticket))

        tls: dict[str, Any] = {}
        if context is not None:
            tls = {
                "ssl": context,
                "ssl_handshake_timeout": self.policy.head_s,
                "ssl_shutdown_timeout": TLS_GOODBYE_S,
            }
        try:
            accepted.setblocking(False)
            if ticket.address:
                # An answer is written whole: waiting for more to fill a segment would only add delay.
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(connect, accepted, **tls)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError, too
            log.debug("%s: no connection: %s", ticket.address, error)
            accepted.close()
            self._leave(ticket)
        except BaseException:
            accepted.close()
            self._leave(ticket)
            raise

    def _leave(self, ticket: _Ticket) -> None:
        if ticket.is_used:
            return
        ticket.is_used = True
        self._total -= 1
        self._guests[ticket.address] -= 1
        if self._guests[ticket.address] <= 0:
            del self._guests[ticket.address]
        if not self._total:
            self._empty.set()


class _Ticket(Struct):
    """One connection's place among the guests; given back once."""

    address: str
    port: int
    is_proxy: bool
    is_used: bool = False


class _Listener:
    """One listening socket."""

    def __init__(self, server: HttpServer, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self._server = server
        self._sock = sock
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._rest: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._accept)

    def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                accepted, peer = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause(error)
                    return
                continue  # that one was gone before it was accepted
            self._server.admit(accepted, peer, self._context)

    def _pause(self, error: OSError) -> None:
        log.error("the API accepts nobody for %g s: %s", ACCEPT_REST_S, error.strerror)
        self._loop.remove_reader(self._sock.fileno())
        self._rest = self._loop.call_later(ACCEPT_REST_S, self._resume)

    def _resume(self) -> None:
        self._rest = None
        self._loop.add_reader(self._sock.fileno(), self._accept)
