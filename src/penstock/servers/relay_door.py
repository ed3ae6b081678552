"""The relay door: a Unix socket by which a worker brings what a relay is to push.

A worker says which relay it works for, in one line of JSON (`{"relay": "..."}`), and sends FLV from then on, as fast
as a player would watch it. Who names no relay that waits for a worker is closed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from penstock.engine.relaying.ports import Call, SourceOwner
from penstock.errors import FlvError
from penstock.protocols.flv import TagReader
from penstock.servers.calling import Exchange
from penstock.servers.flv_client import message_of

log = logging.getLogger("penstock.relaydoor")

MAX_LINE: Final = 1024
# Longer than any worker needs to say its line; who says none holds a descriptor for so long.
LINE_S: Final = 10.0
# Out of descriptors, a listening socket stays readable: without a rest the loop would spin on it.
REST_S: Final = 1.0

Bring = Callable[[str, Call], SourceOwner | None]


class _Greeting(Struct):
    relay: str


class RelayDoor:
    """The listening socket; `bring` hands a worker's connection to its relay."""

    def __init__(self, listener: socket.socket, exchange: Exchange, bring: Bring) -> None:
        self.exchange = exchange
        self.bring = bring
        self.workers: set[WorkerConnection] = set()
        self._listener = listener
        self._resting: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        self.exchange.loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for worker in list(self.workers):
            worker.close()

    def _accept(self) -> None:
        try:
            while True:
                accepted, _ = self._listener.accept()
                accepted.setblocking(False)
                self.workers.add(WorkerConnection(self, accepted))
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                log.error("no worker is let in for %g s: %s", REST_S, error.strerror)
                self.exchange.loop.remove_reader(self._listener.fileno())
                self._resting = self.exchange.loop.call_later(REST_S, self._listen)

    def _listen(self) -> None:
        self._resting = None
        self.exchange.loop.add_reader(self._listener.fileno(), self._accept)


class WorkerConnection:
    """One worker (engine.relaying.ports.Call)."""

    def __init__(self, door: RelayDoor, connection: socket.socket) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self._door = door
        self._socket = connection
        self._line = b""
        self._owner: SourceOwner | None = None
        self._tags = TagReader(door.exchange.policy.max_message_bytes)
        self._is_closed = False
        loop = door.exchange.loop
        loop.add_reader(connection.fileno(), self._on_readable)
        self._deadline = loop.call_later(LINE_S, self.close)

    def close(self) -> None:
        """Close now; the owner hears no more."""
        if self._is_closed:
            return
        self._is_closed = True
        self._deadline.cancel()
        self._door.workers.discard(self)
        self._door.exchange.loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def finish(self) -> None:
        """As `close`: a worker needs no goodbye."""
        self.close()

    def _lose(self, why: str) -> None:
        if self._is_closed:
            return
        self.close()
        if self._owner is not None:
            self._owner.lost(why)

    def _on_readable(self) -> None:
        exchange = self._door.exchange
        try:
            size = self._socket.recv_into(exchange.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the worker's connection is lost: {error.strerror}")
            return
        if not size:
            self._lose("the worker closed its connection")
            return
        try:
            self._receive(exchange.view[:size])
        except FlvError as error:
            log.warning("a worker sends what is no FLV: %s", error)
            self._lose(str(error))
        except Exception:
            log.exception("a fault of our own at the relay door")
            self._lose("a fault in the server")

    def _receive(self, data: memoryview) -> None:
        if self._owner is None:
            rest = self._greet(bytes(data))
            if rest is None or self._owner is None:
                return
            data = memoryview(rest)
        else:
            self.bytes_in += len(data)
        messages = [message_of(tag) for tag in self._tags.receive(data)]
        if messages:
            self._owner.media(messages)

    def _greet(self, data: bytes) -> bytes | None:
        """Read the line; return what stands behind it, None while it is not whole or when the worker was closed."""
        self._line += data
        line, end, rest = self._line.partition(b"\n")
        if not end and len(line) <= MAX_LINE:
            return None
        try:
            relay = msgspec.json.decode(line[: MAX_LINE + 1], type=_Greeting).relay
        except ValueError:  # a MsgspecError is one
            self.close()
            return None
        self._line = b""
        self._deadline.cancel()
        self._owner = self._door.bring(relay, self)
        if self._owner is None:
            self.close()
            return None
        self.bytes_in += len(rest)
        return rest
