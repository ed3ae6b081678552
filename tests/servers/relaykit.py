"""Calls from here to servers of the test's own, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from penstock.engine.outlet import Outlet
from penstock.model import SystemClock
from penstock.net.guard import Guard
from penstock.net.tls import client_context
from penstock.protocols.rtmp.chunk import Message
from penstock.servers.callers import Callers
from penstock.servers.calling import CallPolicy, Exchange

GUARD = Guard(("127.0.0.0/8",))


class Ears:
    """Hears of either end: what a relay is to its calls."""

    def __init__(self) -> None:
        self.is_open = False
        self.outlet: Outlet | None = None
        self.stream_id = 0
        self.messages: list[Message] = []
        self.why: list[str] = []

    def opened(self, outlet: Outlet | None = None, stream_id: int = 0) -> None:
        self.is_open, self.outlet, self.stream_id = True, outlet, stream_id

    def media(self, messages: Sequence[Message]) -> None:
        self.messages += messages

    def lost(self, why: str) -> None:
        self.why.append(why)


def exchange(policy: CallPolicy | None = None, guard: Guard = GUARD, ca_file: Path | None = None) -> Exchange:
    return Exchange(guard, policy or CallPolicy(), SystemClock(), lambda: client_context(ca_file))


def callers(policy: CallPolicy | None = None, guard: Guard = GUARD, ca_file: Path | None = None) -> Callers:
    return Callers(exchange(policy, guard, ca_file))


class Script:
    """A server that says what it is told to whoever connects, and keeps what it hears."""

    def __init__(self, *answers: bytes, closes: bool = True) -> None:
        """Each connection gets the next answer once it said something; then it is closed, or kept."""
        self.heard: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._answers = list(answers)
        self._closes = closes
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Script:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        try:
            self.heard.append(await reader.read(65536))
            writer.write(answer)
            await writer.drain()
            while not self._closes and await reader.read(65536):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()
