"""The relay door: workers name a relay and bring FLV."""

from __future__ import annotations

import asyncio
import contextlib
import errno
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
from penstock.servers import relay_door
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


async def test_without_descriptors_it_rests_and_lets_in_whoever_waits_then(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, waiting, opened = door
    monkeypatch.setattr(relay_door, "REST_S", 0.05)
    accepts = 0
    real = opened._listener.accept

    class Listener:
        fileno, close = opened._listener.fileno, opened._listener.close

        def accept(self) -> object:
            nonlocal accepts
            accepts += 1
            if accepts <= 2:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return real()

    monkeypatch.setattr(opened, "_listener", Listener())
    worker = Worker(path)
    await worker.says(LINE + OPENING)
    await until(lambda: len(waiting.ears.messages) == 1)
    # It asked twice in vain, for a rest each, and did not spin; a third time for the worker, a fourth for nobody.
    assert accepts == 4
    assert [record.getMessage() for record in caplog.records] == [
        "no worker is let in for 0.05 s: " + os.strerror(24)
    ] * 2
    worker.close()


async def test_nothing_is_left_open_however_a_worker_ends(tmp_path: Path) -> None:
    path, waiting = tmp_path / "one.sock", Waiting()
    opened = RelayDoor(link_socket.bind(path), exchange(), waiting.bring)
    before = len(os.listdir("/proc/self/fd"))
    kept = (b"", b"{", LINE, LINE + OPENING, LINE + OPENING + b"\x12")
    refused = (b"[]\n", b"x" * 2000, LINE + b"<html>", LINE + OPENING + b"\xff" * 50)
    for said in (*kept, *refused):
        worker = Worker(path)
        await until(lambda: len(opened.workers) == 1)
        await worker.says(said)
        if said in refused:
            await worker.is_closed()
        worker.close()
        await until(lambda: not opened.workers)
        assert len(os.listdir("/proc/self/fd")) == before
    opened.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1
