"""Connections that this server opens: dialled in a task, and then moved by the loop's callbacks like any other.

A call is told of its end once, and never from inside the function that made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from functools import cached_property
from typing import Final

from msgspec import Struct

from penstock.engine.outlet import Buffer, Outlet
from penstock.errors import NetworkRefused, PeerError, ProtocolError
from penstock.model import Clock
from penstock.net.guard import Address, Guard
from penstock.net.urls import Url
from penstock.servers.dialing import dial
from penstock.servers.wire import Wire

log = logging.getLogger("penstock.calls")

READ_SIZE: Final = 256 * 1024
# What may wait for a peer that does not read, besides media.
CONTROL_LIMIT: Final = 256 * 1024
# How long a peer may take to read the last of what it was sent.
CLOSING_S: Final = 2.0


class CallPolicy(Struct, frozen=True):
    connect_timeout_s: float = 10.0  # to a connection, in TLS with its handshake
    setup_timeout_s: float = 10.0  # and then to the peer's consent
    max_message_bytes: int = 8 * 1024 * 1024
    notsent_lowat_bytes: int = 128 * 1024
    max_redirects: int = 5


class Exchange:
    """What all calls share: the guard, roots of trust, one buffer to read into, and the calls themselves."""

    def __init__(
        self,
        guard: Guard,
        policy: CallPolicy,
        clock: Clock,
        make_context: Callable[[], ssl.SSLContext],
        own_door: Callable[[Url], Address | None] = lambda url: None,
    ) -> None:
        """`make_context` is called when the first peer is in TLS: reading all roots takes 30 ms.

        `own_door` tells where this server itself listens for what a URL names; None where that is another server.
        """
        self.guard = guard
        self.policy = policy
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray(READ_SIZE)
        self.view = memoryview(self.buffer)
        self.calls: set[OutgoingCall] = set()
        self._make_context = make_context
        self.own_door = own_door

    @cached_property
    def context(self) -> ssl.SSLContext:
        return self._make_context()

    def close(self) -> None:
        """Close all calls, those too that are saying goodbye."""
        for call in list(self.calls):
            call.close()
            call.gone()


class OutgoingCall:
    """One peer. A subclass speaks its protocol: `connected` opens, `receive` takes bytes, `over` hears of the end."""

    schemes: tuple[str, ...] = ()

    def __init__(self, exchange: Exchange, url: str, *, is_own: bool = False) -> None:
        """`is_own`: whoever wants this may get to the server's own door, if that is where the URL leads."""
        self.exchange = exchange
        self._is_own = is_own
        self.outlet = Outlet(self._no_send, self, CONTROL_LIMIT)
        self.bytes_in = 0
        self.is_closed = False
        self._wire: Wire | None = None
        self._writing = False
        self._deadline: asyncio.TimerHandle | None = None
        exchange.calls.add(self)
        self._dialling = exchange.loop.create_task(self._dial(url))

    @property
    def bytes_out(self) -> int:
        return self.outlet.sent_bytes

    def connected(self, url: Url) -> None:
        """There is a connection to the host of `url`: say what the protocol begins with."""
        raise NotImplementedError

    def receive(self, data: memoryview) -> None:
        """Take what came; `data` is valid until this returns.

        Raises:
            ProtocolError, PeerError: the call is over.
        """
        raise NotImplementedError

    def over(self, why: str) -> None:
        """The peer is lost; called once, unless the call was closed from here."""
        raise NotImplementedError

    def check(self, url: Url) -> None:
        """See whether there is anything at `url` that the protocol could ask for.

        Raises:
            ProtocolError: there is not.
        """

    def settled(self) -> None:
        """The peer agreed: no deadline any more."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def send(self, data: Buffer) -> None:
        """Send bytes that are not media."""
        if data and not self.is_closed:
            try:
                self.outlet.write(data)
            except OSError as error:
                self.fail(f"connection lost: {error.strerror or error}")

    def close(self) -> None:
        """Close now; the owner hears no more."""
        if self.is_closed:
            return
        self.is_closed = True
        self.exchange.calls.discard(self)
        self._dialling.cancel()
        self.hang_up()

    def finish(self) -> None:
        """Say goodbye, and close once that was sent; the owner hears no more."""
        if self.is_closed:
            return
        self.is_closed = True
        self._dialling.cancel()
        if self._wire is None:
            self.gone()
            return
        with contextlib.suppress(OSError):
            self.outlet.write(self.goodbye())
        self.settled()
        self._deadline = self.exchange.loop.call_later(CLOSING_S, self.gone)
        if not self.outlet.queue:
            self._wire.shutdown()

    def goodbye(self) -> bytes:
        """What the protocol says last."""
        return b""

    def fail(self, why: str) -> None:
        """The call is over, and its owner is told."""
        if not self.is_closed:
            self.close()
            self.over(why)

    def hang_up(self) -> None:
        """Close the socket alone, as for a call to another place."""
        self.settled()
        wire, self._wire = self._wire, None
        if wire is None:
            return
        # What waits here may be megabytes, and whoever holds the call is in no hurry to forget it.
        self.outlet.send, self.outlet.queue, self.outlet.queued_bytes = self._no_send, None, 0
        loop = self.exchange.loop
        loop.remove_reader(wire.fileno())
        if self._writing:
            self._writing = False
            loop.remove_writer(wire.fileno())
        wire.close()

    def call_again(self, url: str) -> None:
        """Go on at another place (a redirect)."""
        self.hang_up()
        self._dialling = self.exchange.loop.create_task(self._dial(url))

    def gone(self) -> None:
        """Forget it, with its socket."""
        self.exchange.calls.discard(self)
        self.hang_up()

    async def _dial(self, text: str) -> None:
        exchange, policy = self.exchange, self.exchange.policy
        try:
            url = exchange.guard.check_url(text, self.schemes)
            self.check(url)
            wire = await dial(
                exchange.guard,
                url,
                lambda: exchange.context,
                policy.connect_timeout_s,
                policy.notsent_lowat_bytes,
                exchange.own_door(url) if self._is_own else None,
            )
        except (NetworkRefused, PeerError, ProtocolError) as error:
            self.fail(str(error))
        except Exception:
            log.exception("a fault of our own in a call")
            self.fail("a fault in the server")
        else:
            self._take(wire, url)

    def _take(self, wire: Wire, url: Url) -> None:
        exchange = self.exchange
        if self.is_closed:
            wire.close()
            return
        self._wire = wire
        self.outlet.send = wire.send
        exchange.loop.add_reader(wire.fileno(), self._on_readable)
        within_s = exchange.policy.setup_timeout_s
        self._deadline = exchange.loop.call_later(
            within_s, self.fail, f"{url.place} did not agree to anything within {within_s:g} s"
        )
        self._guarded(lambda: self.connected(url))

    # What the loop calls

    def _on_readable(self) -> None:
        wire = self._wire
        assert wire is not None
        try:
            size = wire.recv_into(self.exchange.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(f"connection lost: {error.strerror or error}")
            return
        if not size:
            self._end("it closed the connection")
        elif not self.is_closed:
            self.bytes_in += size
            self._guarded(lambda: self.receive(self.exchange.view[:size]))

    def _on_writable(self) -> None:
        try:
            self.outlet.on_writable(self.exchange.clock.monotonic())
        except OSError as error:
            self._end(f"connection lost: {error.strerror or error}")
            return
        if self.is_closed and not self.outlet.queue and self._wire is not None:
            self._wire.shutdown()

    def _end(self, why: str) -> None:
        if self.is_closed:
            self.gone()
        else:
            self.fail(why)

    def _guarded(self, action: Callable[[], None]) -> None:
        """No peer's bytes may break more than its call."""
        try:
            action()
        except (ProtocolError, PeerError, NetworkRefused) as error:
            self.fail(str(error))
        except Exception:
            log.exception("a fault of our own in a call")
            self.fail("a fault in the server")

    @staticmethod
    def _no_send(data: Buffer) -> int:
        raise BlockingIOError

    # What the engine calls (engine.outlet.Owner)

    def want_write(self, wanted: bool) -> None:
        wire = self._wire
        if wire is None:
            return
        self._writing = wanted
        if wanted:
            self.exchange.loop.add_writer(wire.fileno(), self._on_writable)
        else:
            self.exchange.loop.remove_writer(wire.fileno())

    def lost(self, why: str) -> None:
        self._end(why)

    def end(self, why: str, *, at_once: bool) -> None:
        raise AssertionError("a relay's stream has no players but its target")
