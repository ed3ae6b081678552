"""How each server is told to drop a stream: in its own way, over a connection that is open before the command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from bench.processes import BenchError
from bench.servers import APP, CREDENTIALS, PUSH_DOMAIN, WITH_API, Running
from penstock.clouds.http import Endpoint
from penstock.clouds.kingsoft import streams, wire
from penstock.link import socket as link
from penstock.link.messages import VERSION, AnyMessage, Drop, Dropped, EndReason, Hello, Vhost, Welcome
from penstock.model import StreamId

_ANSWER_S = 5.0
# The server's own control process has noted its loss by then, and is not back yet (penstock.app.RECONNECT_S):
# it shares the engine's core, and its work is not the command's.
_QUIET_S = 0.02


class Control(Protocol):
    """A way to end streams; for each command `prepare`, `drop`, `release` are called in turn."""

    async def prepare(self) -> None:
        """Do all that a controller has long done when it decides to drop a stream."""

    async def drop(self, stream: str) -> None:
        """End the session that publishes `stream`; returns when the server has answered."""

    def release(self) -> None:
        """Let go of what `prepare` has taken."""


class NginxControl:
    """nginx-rtmp's control module: a GET."""

    def __init__(self, at: Running) -> None:
        self._port = at.ports.http

    async def prepare(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def drop(self, stream: str) -> None:
        path = f"/control/drop/publisher?app={APP}&name={stream}"
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(self._reader.read(), _ANSWER_S)
        if b" 200" not in answer.split(b"\r\n", 1)[0]:
            raise BenchError(f"GET {path}: {answer[:100]!r}")

    def release(self) -> None:
        self._writer.close()


class PenstockControl:
    """Penstock's link between control and engine.

    An engine listens to the newest control process alone. So this one takes the link from the server's own for
    the moment of a command; the server's own connects again a little later, before the next round needs it.
    """

    def __init__(self, at: Running) -> None:
        # Relative, as a Unix socket's path has to be short.
        self._path = Path(os.path.relpath(at.folder / "data" / "link.sock"))
        self._vhost = at.server.vhost

    async def prepare(self) -> None:
        loop = asyncio.get_running_loop()
        self._hello: asyncio.Future[None] = loop.create_future()
        self._dropped: asyncio.Future[int | None] = loop.create_future()
        self._channel = await link.connect(self._path, self._take)
        await asyncio.wait_for(self._hello, _ANSWER_S)
        self._channel.send(Welcome(VERSION, (Vhost(self._vhost, apps=(APP,)),), self._vhost))
        await asyncio.sleep(_QUIET_S)

    async def drop(self, stream: str) -> None:
        self._channel.send(Drop(1, StreamId(self._vhost, APP, stream), EndReason.KICKED, "measured"))
        if await asyncio.wait_for(self._dropped, _ANSWER_S) is None:
            raise BenchError(f"the engine says that nobody publishes {stream}")

    def release(self) -> None:
        self._channel.close()

    def _take(self, channel: link.SocketChannel) -> None:
        channel.on_message, channel.on_lost = self._receive, self._lose

    def _receive(self, message: AnyMessage) -> None:
        if isinstance(message, Hello) and not self._hello.done():
            self._hello.set_result(None)
        elif isinstance(message, Dropped) and not self._dropped.done():
            self._dropped.set_result(message.epoch)

    def _lose(self, why: str) -> None:
        for waiting in (self._hello, self._dropped):
            if not waiting.done():
                waiting.set_exception(BenchError(f"the link to the engine was lost: {why}"))
                waiting.exception()  # nobody may be waiting for this one


class KlsControl:
    """Penstock's API as an SDK's user has it: a signed ForbidStream that only cuts."""

    def __init__(self, at: Running) -> None:
        self._endpoint = Endpoint("http", f"127.0.0.1:{at.ports.api}")
        self._port = at.ports.api
        self._vhost = at.server.vhost

    async def prepare(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def drop(self, stream: str) -> None:
        ask = streams.ForbidStream(
            unique_name=self._vhost, app=APP, pubdomain=PUSH_DOMAIN, stream=stream, forbid_till_unix_time=streams.KICK
        )
        request = wire.encode_request(ask, CREDENTIALS, datetime.now(UTC), self._endpoint)
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
        head = f"{request.method} {request.target} HTTP/1.1\r\n{lines}Content-Length: {len(request.body)}\r\n\r\n"
        self._writer.write(head.encode() + request.body)
        answer = await asyncio.wait_for(self._reader.readuntil(b'"RetCode":0'), _ANSWER_S)
        if b" 200" not in answer.split(b"\r\n", 1)[0]:
            raise BenchError(f"ForbidStream: {answer[:100]!r}")

    def release(self) -> None:
        self._writer.close()


CONTROLS: dict[str, Callable[[Running], Control]] = {
    "penstock": PenstockControl,
    "nginx-rtmp": NginxControl,
    WITH_API.name: KlsControl,
}
