"""The relay door: workers name a relay and bring FLV."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.engine.relaying.ports import Call, SourceOwner
from penstock.link import socket as link_socket
from penstock.model import Kind
from penstock.protocols import flv
from penstock.servers.relay_door import MAX_LINE, RelayDoor
from tests.engine.kit import AVC_HEADER, inter_body, key_body
from tests.servers.house import until
from tests.servers.relaykit import Ears, exchange

RELAY = "a" * 32
LINE = b'{"relay": "%s"}\n' % RELAY.encode()
OPENING = flv.file_header(audio=False, video=True) + flv.tag(Kind.VIDEO, 0, AVC_HEADER)
MEDIA = flv.tag(Kind.VIDEO, 40, key_body(bytes(500_000))) + flv.tag(Kind.VIDEO, 80, inter_body())


class Waiting:
    """A relay that waits for a worker."""

    def __init__(self) -> None:
        self.ears = Ears()
        self.calls: list[Call] = []
        self.asked: list[str] = []

    def bring(self, relay: str, call: Call) -> SourceOwner | None:
        self.asked.append(relay)
        if relay != RELAY:
            return None
        self.calls.append(call)
        return self.ears


class Worker:
    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._socket.setblocking(False)

    async def says(self, *pieces: bytes) -> None:
        async with asyncio.timeout(5):
            for piece in pieces:
                await asyncio.get_running_loop().sock_sendall(self._socket, piece)

    async def is_closed(self) -> None:
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await asyncio.get_running_loop().sock_recv(self._socket, 1) == b""

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[tuple[Path, Waiting, RelayDoor]]:
    path, waiting = tmp_path / "relay.sock", Waiting()
    opened = RelayDoor(link_socket.bind(path), exchange(), waiting.bring)
    yield path, waiting, opened
    opened.close()


Door = tuple[Path, Waiting, RelayDoor]


async def test_a_worker_brings_flv_to_its_relay(door: Door) -> None:
    path, waiting, _ = door
    worker = Worker(path)
    await worker.says(LINE + OPENING, MEDIA)
    await until(lambda: len(waiting.ears.messages) == 3)
    assert [(message.timestamp, bytes(message.payload)) for message in waiting.ears.messages] == [
        (0, AVC_HEADER),
        (40, key_body(bytes(500_000))),
        (80, inter_body()),
    ]
    assert waiting.calls[0].bytes_in == len(OPENING + MEDIA)
    worker.close()
    await until(lambda: bool(waiting.ears.why))
    assert waiting.ears.why == ["the worker closed its connection"]


async def test_the_line_may_come_in_pieces(door: Door) -> None:
    path, waiting, _ = door
    worker = Worker(path)
    for at in range(0, len(LINE), 7):
        await worker.says(LINE[at : at + 7])
        await asyncio.sleep(0)
    await worker.says(OPENING)
    await until(lambda: len(waiting.ears.messages) == 1)
    worker.close()


@pytest.mark.parametrize(
    "line",
    [
        b'{"relay": "unknown"}\n',
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"relay": 7}\n',
        b"{}\n",
        b"\n",
        b"\xff\xfe\n",
        b'{"relay": "' + b"a" * MAX_LINE + b'"}\n',
        b"x" * (MAX_LINE + 1),
        b"[" * 1000 + b"\n",
    ],
)
async def test_who_names_no_relay_is_closed(door: Door, line: bytes) -> None:
    path, waiting, opened = door
    worker = Worker(path)
    await worker.says(line)
    await worker.is_closed()
    assert (waiting.calls, opened.workers) == ([], set())
    worker.close()


async def test_what_is_no_flv_ends_the_connection_alone(door: Door) -> None:
    path, waiting, opened = door
    worker, other = Worker(path), Worker(path)
    await worker.says(LINE + b"<html>")
    await worker.is_closed()
    assert "wanted b'FLV" in waiting.ears.why[0]
    await other.says(LINE + OPENING)
    await until(lambda: len(waiting.ears.messages) == 1)
    assert len(opened.workers) == 1
    worker.close()
    other.close()


async def test_a_relay_that_closes_its_worker_hears_no_more(door: Door) -> None:
    path, waiting, _ = door
    worker = Worker(path)
    await worker.says(LINE + OPENING)
    await until(lambda: len(waiting.ears.messages) == 1)
    waiting.calls[0].close()
    await worker.is_closed()
    assert waiting.ears.why == []
    worker.close()


async def test_the_socket_is_its_owners_alone(door: Door) -> None:
    path, _, _ = door
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
