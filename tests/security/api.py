"""The API as an attacker meets it: its own server on a port, over a control plane in memory."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from penstock.api.connections import Doorkeeper
from penstock.api.http import HttpServer, RequestApp
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from penstock.clouds.kingsoft import streams
from tests.api import kit
from tests.api.kingsoft.kit import on_air, published, turned_away
from tests.api.kit import Answer, Front
from tests.api.site import Peer, Reply
from tests.clock import START
from tests.domain.kit import DEMO


class Fort:
    """What is to be held: a stream on air and a banned one, of account 1."""

    def __init__(self, front: Front, server: HttpServer, port: int) -> None:
        self.front = front
        self.server = server
        self.port = port

    async def peer(self) -> Peer:
        return await Peer.open(self.port)

    async def ask(self, request: HttpRequest) -> Answer:
        """Send one request over a connection of its own."""
        peer = await self.peer()
        reply = await peer.ask(as_bytes(request))
        peer.close()
        return as_answer(reply)

    def stands(self) -> bool:
        """Nothing was banned, lifted, cut or asked of a handler that changes something."""
        live = self.front.live
        changed = [
            each for _, each in self.front.acted if isinstance(each, streams.ForbidStream | streams.ResumeStream)
        ]
        return (
            not changed
            and live.sessions.holder(DEMO) is not None
            and [ban.stream.stream for ban in live.bans.in_force(START)] == ["banned"]
        )


@asynccontextmanager
async def fort() -> AsyncIterator[Fort]:
    async with kit.front() as front:
        server = HttpServer(RequestApp(front.gateway.answer), Doorkeeper())
        listener = socket.create_server(("127.0.0.1", 0))
        await server.listen(listener)
        on_air(front.live, "cam")
        await published(front.live, "cam", START, START)
        await turned_away(front.live, "cam", START)
        assert (await front.call("ForbidStream", {**kit.WHERE, "Stream": "banned"})).code == "0"
        front.acted.clear()
        yield Fort(front, server, int(listener.getsockname()[1]))
        await server.close()


def as_bytes(request: HttpRequest, *more: tuple[str, str], body: bytes | None = None) -> bytes:
    """A request as it goes over the wire, with its length unless one is among `more`."""
    sent = request.body if body is None else body
    names = {name.lower() for name, _ in (*request.headers, *more)}
    length = [] if names & {"content-length", "transfer-encoding"} else [("Content-Length", str(len(sent)))]
    lines = "".join(f"{name}: {value}\r\n" for name, value in (*request.headers, *more, *length))
    return f"{request.method} {request.target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + sent


def as_answer(reply: Reply) -> Answer:
    headers = Headers(reply.headers.items())
    return kit.read(HttpResponse(status=reply.status, headers=headers, body=reply.body))
