"""The HTTP server on a real socket with an application that tells what it was given, and a raw client."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Self

from msgspec import Struct

from penstock.api.connection import TARGET
from penstock.api.http import HttpServer
from penstock.api.policy import HttpPolicy
from tests.clock import ManualClock

WITHIN_S = 10.0


class Answer(Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        """What the application of these tests says of its request."""
        return json.loads(self.body)


class Client:
    """A socket that says what it is told, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes | str) -> Self:
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)
        await self.writer.drain()
        return self

    async def ask(self, data: bytes | str) -> Answer:
        await self.say(data)
        return await self.answer()

    async def answer(self) -> Answer:
        async with asyncio.timeout(WITHIN_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(first.split()[1]), headers, body)

    async def rest(self) -> bytes:
        """What still comes until the server closes; a reset is an end, too."""
        data = b""
        async with asyncio.timeout(WITHIN_S):
            try:
                while piece := await self.reader.read(65536):
                    data += piece
            except ConnectionError:
                pass
        return data

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


class Echo:
    """Answers with what it was asked; what `instead` holds is done first."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.instead: Callable[[], Awaitable[None]] | None = None
        self.filling = b""
        self.asked_one = asyncio.Event()

    async def __call__(self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        message = await receive()
        assert not message["more_body"]
        told = {
            "method": scope["method"],
            "target": scope[TARGET],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "client": list(scope["client"]) if scope["client"] else None,
            "scheme": scope["scheme"],
            "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": message["body"].decode("latin-1") if len(message["body"]) < 5000 else len(message["body"]),
        }
        self.asked.append(told)
        self.asked_one.set()
        if self.instead is not None:
            await self.instead()
        body = self.filling or json.dumps(told).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Door:
    """A server with one listener; time stands still in it until `pass_time`."""

    def __init__(self, policy: HttpPolicy | None = None, application: Any = None) -> None:
        self.clock = ManualClock()
        self.echo = Echo()
        self.server = HttpServer(application or self.echo, policy or HttpPolicy(), monotonic=self.clock.monotonic)
        self._clients: list[Client] = []
        self.address: Any = None

    def listen(self, context: ssl.SSLContext | None = None, path: str = "") -> None:
        sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        sock.bind(path or ("127.0.0.1", 0))
        sock.listen(128)
        self.address = sock.getsockname()
        self.server.listen(sock, context)

    async def client(self, context: ssl.SSLContext | None = None) -> Client:
        if isinstance(self.address, str):
            pair = await asyncio.open_unix_connection(self.address)
        else:
            name = "127.0.0.1" if context is not None else None
            pair = await asyncio.open_connection(*self.address, ssl=context, server_hostname=name)
        self._clients.append(Client(*pair))
        return self._clients[-1]

    async def guests(self, number: int) -> None:
        """Wait until the server has so many connections."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.server) != number:  # noqa: ASYNC110 - the sockets' own news comes between
                await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.clock.advance(seconds)
        self.server.sweep()

    async def close(self) -> None:
        await self.server.close(drain_s=WITHIN_S)
        for client in self._clients:
            await client.close()


def get(target: str = "/", *lines: str) -> str:
    return "\r\n".join((f"GET {target} HTTP/1.1", "Host: api.demo.test", *lines, "", ""))


def post(body: str = "", *lines: str) -> str:
    return "\r\n".join(("POST / HTTP/1.1", "Host: api.demo.test", f"Content-Length: {len(body)}", *lines, "", body))
