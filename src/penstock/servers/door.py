"""A listening socket and the connections that came through it: who may stay, and how long.

Every connection has a deadline until it publishes or plays, and again while it is being closed;
one sweep ends what is overdue. How many connections one address may hold is counted over all doors.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from penstock.engine.outlet import Buffer, Outlet
from penstock.errors import ProtocolError
from penstock.link.messages import Client, EndReason
from penstock.model import Clock
from penstock.servers.wire import PlainWire, TlsWire, Wire

log = logging.getLogger("penstock.servers")

# What one receive may bring. A key frame of 2 Mbit/s video comes in one or two of them, and it is small
# enough that one publisher does not hold up the others.
READ_SIZE: Final = 256 * 1024
# Connections taken in one go; more only delay the streams that are on air.
ACCEPT_BATCH: Final = 64
# Out of descriptors, a listening socket stays readable: without a rest the loop would spin on it.
ACCEPT_REST_S: Final = 0.5
# How long a peer that was refused may take to read why.
CLOSING_S: Final = 2.0
# What control messages may wait for a peer that does not read.
CONTROL_LIMIT: Final = 256 * 1024


class DoorPolicy(Struct, frozen=True):
    """What every door holds to; the settings' own words."""

    setup_timeout_s: float
    max_connections_per_address: int
    max_pending_per_address: int
    player_buffer_bytes: int
    notsent_lowat_bytes: int


class Guests:
    """Connections per address, over all doors."""

    def __init__(self, policy: DoorPolicy) -> None:
        self._policy = policy
        self._all: Counter[str] = Counter()
        self._pending: Counter[str] = Counter()

    def admit(self, address: str) -> bool:
        """Count one more, which is pending; False when the address has its fill."""
        if self._all[address] >= self._policy.max_connections_per_address:
            return False
        if self._pending[address] >= self._policy.max_pending_per_address:
            return False
        self._all[address] += 1
        self._pending[address] += 1
        return True

    def settle(self, address: str) -> None:
        """One that was pending publishes or plays now."""
        _decrease(self._pending, address)

    def leave(self, address: str, *, pending: bool) -> None:
        _decrease(self._all, address)
        if pending:
            _decrease(self._pending, address)


def _decrease(counter: Counter[str], address: str) -> None:
    counter[address] -= 1
    if counter[address] <= 0:
        del counter[address]


class Connection:
    """One peer. A subclass speaks its protocol: `receive` takes bytes, `gone` hears of the end."""

    __slots__ = ("_closing", "_pending", "_wire", "_writing", "address", "closed", "door", "outlet", "port", "tls")

    def __init__(self, door: Door, wire: Wire, address: str, port: int) -> None:
        self.door = door
        self.address = address
        self.port = port
        self.tls = door.tls
        self.outlet = Outlet(wire.send, self, CONTROL_LIMIT)
        self.closed = False
        self._wire = wire
        self._pending = True  # neither publishes nor plays yet
        self._writing = False
        self._closing = False

    def receive(self, data: memoryview) -> None:
        """Take what came; `data` is valid until this returns.

        Raises:
            ProtocolError: the peer broke its protocol.
        """
        raise NotImplementedError

    def gone(self, reason: EndReason, why: str) -> None:
        """The connection is closed; called once."""

    def client(self, agent: str = "") -> Client:
        return Client(self.address, self.port, self.tls, agent)

    def settled(self) -> None:
        """The peer publishes or plays: no deadline any more."""
        self.door.settle(self, was_pending=self._pending)
        self._pending = False

    def unsettled(self) -> None:
        """It does neither any more, and has as long as a new one to begin again."""
        if self.door.is_draining:
            self.finish()
        elif not self.closed:
            self.door.expect(self, self.door.policy.setup_timeout_s)

    def send(self, data: Buffer) -> None:
        """Send bytes that are not media; a peer that is gone is closed."""
        if not data or self.closed:
            return
        try:
            self.outlet.write(data)
        except OSError as error:
            self.close(f"connection lost: {error}")

    def close(self, why: str, reason: EndReason = EndReason.LOST) -> None:
        """Close the socket now. `reason` is what a session that it carried ended of."""
        if self.closed:
            return
        self.closed = True
        loop = self.door.loop
        loop.remove_reader(self._wire.fileno())
        if self._writing:
            loop.remove_writer(self._wire.fileno())
        self._wire.close()
        self.door.forget(self, pending=self._pending)
        self.gone(reason, why)

    def finish(self) -> None:
        """Close once everything was sent and the peer has had time to read it."""
        if self.closed or self._closing:
            return
        self._closing = True
        self.door.expect(self, CLOSING_S)
        if not self.outlet.queue:
            self._wire.shutdown()

    @property
    def is_pending(self) -> bool:
        """It has neither published nor played yet, and does not read why it may not."""
        return self._pending and not self._closing

    def pause_reading(self) -> None:
        self.door.loop.remove_reader(self._wire.fileno())

    def resume_reading(self) -> None:
        if not self.closed:
            self.door.loop.add_reader(self._wire.fileno(), self.on_readable)

    # What the loop calls

    def on_readable(self) -> None:
        try:
            size = self._wire.recv_into(self.door.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(f"connection lost: {error.strerror or error}")
            return
        if not size:
            self.close("closed by the peer")
        elif not self._closing:
            self.door.take(self, size)

    def on_writable(self) -> None:
        try:
            self.outlet.on_writable(self.door.clock.monotonic())
        except OSError as error:
            self.close(f"connection lost: {error.strerror or error}")
            return
        if self._closing and not self.outlet.queue:
            self._wire.shutdown()

    # What the engine calls (engine.outlet.Owner)

    def want_write(self, wanted: bool) -> None:
        self._writing = wanted
        if wanted:
            self.door.loop.add_writer(self._wire.fileno(), self.on_writable)
        else:
            self.door.loop.remove_writer(self._wire.fileno())

    def lost(self, why: str) -> None:
        self.close(why)

    def end(self, why: str, *, at_once: bool) -> None:
        self.close(why)


class Door:
    """One listening socket of one protocol."""

    def __init__(
        self,
        name: str,
        listener: socket.socket,
        connect: Callable[[Door, Wire, str, int], Connection],
        *,
        policy: DoorPolicy,
        guests: Guests,
        clock: Clock,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`connect` makes the protocol's connection; with a `context` the door speaks TLS."""
        self.name = name
        self.policy = policy
        self.clock = clock
        self.tls = context is not None
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray(READ_SIZE)
        self._view = memoryview(self.buffer)
        self._listener = listener
        self._connect = connect
        self._context = context
        self._guests = guests
        self._connections: set[Connection] = set()
        self._deadlines: dict[Connection, float] = {}
        self.is_draining = False
        listener.setblocking(False)
        self.loop.add_reader(listener.fileno(), self._accept)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __len__(self) -> int:
        return len(self._connections)

    def close(self) -> None:
        """Accept no more, and close every connection."""
        self.loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for connection in list(self._connections):
            connection.close("the server stops")

    def drain(self) -> None:
        """Accept no more, and close who has not begun anything; the port refuses, whoever else has it open.

        Who plays segment by segment keeps its connection, and may read to the end.
        """
        self.is_draining = True
        self.loop.remove_reader(self._listener.fileno())
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.sweep()

    def take(self, connection: Connection, size: int) -> None:
        """Hand on what was received into `buffer`; no peer's bytes may break more than its connection."""
        try:
            connection.receive(self._view[:size])
        except ProtocolError as error:
            about = {"client": f"{connection.address}:{connection.port}"}
            log.info("%s %s:%d: %s", self.name, connection.address, connection.port, error, extra=about)
            connection.close(str(error), EndReason.BROKE_PROTOCOL)
        except Exception:
            log.exception("%s %s:%d: a fault of our own; closed", self.name, connection.address, connection.port)
            connection.close("a fault in the server")

    def settle(self, connection: Connection, *, was_pending: bool) -> None:
        self._deadlines.pop(connection, None)
        if was_pending:
            self._guests.settle(connection.address)

    def expect(self, connection: Connection, within_s: float) -> None:
        """Close `connection` unless it is settled or closed by then."""
        self._deadlines[connection] = self.clock.monotonic() + within_s

    def forget(self, connection: Connection, *, pending: bool) -> None:
        self._connections.discard(connection)
        self._deadlines.pop(connection, None)
        self._guests.leave(connection.address, pending=pending)

    def sweep(self) -> None:
        """Close what is past its deadline; to be called about once a second or more often."""
        now = self.clock.monotonic()
        overdue = [
            connection
            for connection, deadline in self._deadlines.items()
            if deadline <= now or (self.is_draining and connection.is_pending)
        ]
        for connection in overdue:
            connection.close("it took too long")

    def _accept(self) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                accepted, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._rest(error)
                    return
                continue  # that one was gone before it was accepted
            # A socket of both families writes IPv4's addresses inside IPv6's: one peer, one address.
            self._open(accepted, str(peer[0]).removeprefix("::ffff:"), int(peer[1]))

    def _open(self, accepted: socket.socket, address: str, port: int) -> None:
        if not self._guests.admit(address):
            accepted.close()
            return
        accepted.setblocking(False)
        try:
            self._tune(accepted)
            wire = TlsWire.serve(accepted, self._context) if self._context is not None else PlainWire(accepted)
        except OSError:
            accepted.close()
            self._guests.leave(address, pending=True)
            return
        connection = self._connect(self, wire, address, port)
        self._connections.add(connection)
        self.expect(connection, self.policy.setup_timeout_s)
        self.loop.add_reader(wire.fileno(), connection.on_readable)

    def _tune(self, accepted: socket.socket) -> None:
        # A batch is written whole: waiting for more to fill a segment would only add delay.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, self.policy.notsent_lowat_bytes)
        # A paused player's machine may vanish without a word.
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _rest(self, error: OSError) -> None:
        log.error("%s accepts nobody for %g s: %s", self.name, ACCEPT_REST_S, error.strerror)
        self.loop.remove_reader(self._listener.fileno())
        self.loop.call_later(ACCEPT_REST_S, self._resume)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0 and not self.is_draining:
            self.loop.add_reader(self._listener.fileno(), self._accept)


# Named by the socket module on Linux and macOS alone.
_TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
