"""An HTTP server over a function of the test's own, and peers that speak to it in raw bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

from msgspec import Struct

from penstock.api.connections import Doorkeeper
from penstock.api.http import HttpServer, RequestApp
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from tests.servers.client import DEADLINE_S, Pipe, RawPipe, TlsPipe

HEAD: Final = b"GET /there HTTP/1.1\r\nHost: kls.test\r\n"
GET: Final = HEAD + b"\r\n"


class Site:
    """Answers each request with what it was, and remembers it."""

    def __init__(self, *, trusted: tuple[str, ...] = (), limit: int = 100) -> None:
        def is_trusted(address: str) -> bool:
            return address in trusted

        self.asked: list[HttpRequest] = []
        self.clients: list[str] = []
        self.length = 0  # of the answers; 0: the request's own target and body
        self.held = 0  # requests that wait for `release`
        self.release = asyncio.Event()
        self.release.set()
        self.fault: Exception | None = None
        self.server = HttpServer(RequestApp(self._answer, is_trusted), Doorkeeper(is_trusted, limit))
        self._listeners: list[socket.socket] = []

    async def _answer(self, request: HttpRequest, client: str) -> HttpResponse:
        self.asked.append(request)
        self.clients.append(client)
        self.held += 1
        await self.release.wait()
        self.held -= 1
        if self.fault is not None:
            raise self.fault
        body = b"x" * self.length or f"{request.method} {request.target} ".encode() + request.body
        headers = Headers([("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return HttpResponse(status=200, headers=headers, body=body)

    async def listen(self, context: ssl.SSLContext | None = None) -> int:
        """Open one more door; returns its port."""
        listener = socket.create_server(("127.0.0.1", 0))
        await self.server.listen(listener, context)
        return int(listener.getsockname()[1])

    async def listen_at(self, path: Path) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        await self.server.listen(listener)

    @property
    def connections(self) -> int:
        return len(self.server._state.connections)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Turn the loop until the server has done something, with a deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while not is_so():  # noqa: ASYNC110  what is waited for sets no event
                await asyncio.sleep(0)


@asynccontextmanager
async def site(*, trusted: tuple[str, ...] = (), limit: int = 100) -> AsyncIterator[Site]:
    site = Site(trusted=trusted, limit=limit)
    yield site
    site.release.set()
    await site.server.close()
    await site.until(lambda: site.connections == 0)


class Reply(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes


class Peer:
    """One connection, and the answers that came over it."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self._buffer = b""

    @classmethod
    async def open(cls, port: int, *, source: str = "127.0.0.1", receive_buffer: int | None = None) -> Self:
        return cls(await RawPipe.open(port, source=source, receive_buffer=receive_buffer))

    @classmethod
    async def open_tls(cls, port: int, context: ssl.SSLContext, name: str = "localhost") -> Self:
        return cls(await TlsPipe.open(port, context, name))

    async def send(self, data: bytes) -> None:
        await self.pipe.write(data)

    async def ask(self, data: bytes) -> Reply:
        await self.send(data)
        return await self.reply()

    async def reply(self, *, has_body: bool = True) -> Reply:
        """Read the next answer, and nothing behind it."""
        head = await self._read_until(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers["content-length"]) if has_body and status != "100" else 0
        while len(self._buffer) < length:
            await self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Reply(int(status), headers, body)

    async def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            await self._more()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    async def _more(self) -> None:
        data = await self.pipe.read()
        if not data:
            raise EOFError(f"the connection ended; there was {self._buffer[:200]!r}")
        self._buffer += data

    async def rest(self) -> bytes:
        """What still comes before the connection is closed, in whatever way."""
        found, self._buffer = self._buffer, b""
        try:
            while data := await self.pipe.read():
                found += data
        except ConnectionError:
            pass
        return found

    def close(self) -> None:
        self.pipe.close()
