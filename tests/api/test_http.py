"""The listeners: who is let in, by which door, and how a server ends."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.api.http import HttpServer
from penstock.api.policy import HttpPolicy
from penstock.tls import ensure_certificate, server_context
from tests.api.door import WITHIN_S, Client, Door, get


class Doors:
    """Servers of a test, closed at its end."""

    def __init__(self) -> None:
        self._open: list[Door] = []

    def __call__(self, policy: HttpPolicy | None = None) -> Door:
        self._open.append(Door(policy))
        return self._open[-1]

    async def close(self) -> None:
        for door in self._open:
            await door.close()


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    there = Doors()
    yield there
    await there.close()


class Tls:
    """A certificate of a local authority, as the server shows it and as a client trusts it."""

    def __init__(self, folder: Path) -> None:
        self.server = server_context(*ensure_certificate(folder, []))
        self.client = ssl.create_default_context(cafile=str(folder / "tls" / "ca.pem"))


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


# Doors


async def test_tcp_tells_the_peers_address(door: Door) -> None:
    client = await door.client()
    answer = await client.ask(get("/a?b=1"))
    assert answer.told["scheme"] == "http"
    assert answer.told["client"] == list(client.writer.get_extra_info("sockname"))


async def test_tls_is_the_same_in_tls(doors: Doors, tls: Tls) -> None:
    door = doors()
    door.listen(tls.server)
    client = await door.client(tls.client)
    for _ in range(2):
        answer = await client.ask(get("/a?b=1"))
        assert (answer.status, answer.told["scheme"], answer.told["target"]) == (200, "https", "/a?b=1")
        assert answer.told["client"][0] == "127.0.0.1"
    assert (await client.ask("nonsense\r\n\r\n")).status == 400


async def test_a_unix_socket_has_no_address(doors: Doors, tmp_path: Path) -> None:
    door = doors()
    door.listen(path=str(tmp_path / "control.sock"))
    answer = await (await door.client()).ask(get("/explain"))
    assert (answer.status, answer.told["client"]) == (200, None)


async def test_one_server_has_many_doors(doors: Doors, tls: Tls, tmp_path: Path) -> None:
    door = doors()
    addresses = []
    for context, path in ((None, ""), (tls.server, ""), (None, str(tmp_path / "s"))):
        door.listen(context, path)
        addresses.append(door.address)
    clients = []
    for address, context in zip(addresses, (None, tls.client, None), strict=True):
        door.address = address
        clients.append(await door.client(context))
    for client in clients:
        assert (await client.ask(get())).status == 200
    assert len(door.server) == 3


async def test_plain_http_at_the_door_of_tls_is_closed(doors: Doors, tls: Tls) -> None:
    door = doors()
    door.listen(tls.server)
    client = await door.client()
    await client.say(get())
    assert b"HTTP" not in await client.rest()
    await door.guests(0)


async def test_a_handshake_that_does_not_go_on_is_given_up(doors: Doors, tls: Tls) -> None:
    door = doors(HttpPolicy(head_s=0.05))
    door.listen(tls.server)
    client = await door.client()
    await client.say(b"\x16\x03\x01")
    await door.guests(1)
    await client.rest()
    await door.guests(0)


async def test_a_peer_that_takes_nothing_is_cut_in_tls_too(doors: Doors, tls: Tls) -> None:
    policy = HttpPolicy()
    door = doors(policy)
    door.listen(tls.server)
    client = await door.client(tls.client)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    door.echo.filling = b"x" * 30_000_000  # more than all buffers
    await client.say(get())
    await asyncio.wait_for(door.echo.asked_one.wait(), WITHIN_S)
    await asyncio.sleep(0)
    await door.pass_time(1)
    await door.pass_time(policy.stall_s - 0.1)
    assert len(door.server) == 1
    await door.pass_time(0.1)
    await door.guests(0)


# How many


async def test_an_address_has_so_many_connections_and_no_more(doors: Doors) -> None:
    door = doors(HttpPolicy(max_connections_per_address=3))
    door.listen()
    clients = [await door.client() for _ in range(3)]
    for client in clients:
        assert (await client.ask(get())).status == 200
    one_more = await door.client()
    assert await one_more.rest() == b""
    await clients[0].close()
    await door.guests(2)
    assert (await (await door.client()).ask(get())).status == 200


async def test_handshakes_count_as_connections(doors: Doors, tls: Tls) -> None:
    door = doors(HttpPolicy(max_connections_per_address=2))
    door.listen(tls.server)
    await door.client()
    await door.client()
    await door.guests(2)
    assert await (await door.client()).rest() == b""


async def test_all_addresses_together_have_a_bound(doors: Doors, tmp_path: Path) -> None:
    door = doors(HttpPolicy(max_connections=2))
    door.listen(path=str(tmp_path / "s"))
    for _ in range(2):
        assert (await (await door.client()).ask(get())).status == 200
    assert await (await door.client()).rest() == b""


async def test_a_proxys_clients_are_not_one_address(doors: Doors) -> None:
    door = doors(HttpPolicy(max_connections_per_address=1, trusted_proxies=(ipaddress.ip_network("127.0.0.0/8"),)))
    door.listen()
    for _ in range(5):
        assert (await (await door.client()).ask(get())).status == 200


async def test_out_of_descriptors_it_rests_and_then_goes_on(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("penstock.api.http.ACCEPT_REST_S", 0.01)
    failed = asyncio.Event()
    (listener,) = door.server._listeners
    real = listener._sock

    class Exhausted:
        def accept(self) -> None:
            failed.set()
            listener._sock = real
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        def fileno(self) -> int:
            return real.fileno()

    listener._sock = Exhausted()  # type: ignore[assignment]
    assert (await (await door.client()).ask(get())).status == 200
    assert failed.is_set()
    assert "accepts nobody" in caplog.text


# Proxies


async def test_a_trusted_proxy_tells_whom_it_speaks_for(doors: Doors) -> None:
    door = doors(HttpPolicy(trusted_proxies=(ipaddress.ip_network("127.0.0.1"),)))
    door.listen()
    client = await door.client()
    answer = await client.ask(get("/", "X-Forwarded-For: 198.51.100.9, 203.0.113.7"))
    assert answer.told["client"] == ["203.0.113.7", 0]
    answer = await client.ask(get("/"))
    assert answer.told["client"][0] == "127.0.0.1"


async def test_anybody_else_is_not_believed(door: Door) -> None:
    answer = await (await door.client()).ask(get("/", "X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7"))
    assert answer.told["client"][0] == "127.0.0.1"


# The end


async def _refused(door: Door) -> None:
    with pytest.raises(OSError):  # noqa: PT012
        reader, _ = await asyncio.open_connection(*door.address)
        assert await reader.read() == b""
        raise ConnectionResetError


async def test_closing_lets_answers_out_and_takes_nothing_more(door: Door) -> None:
    may_answer = asyncio.Event()
    door.echo.instead = may_answer.wait  # type: ignore[assignment]
    busy, idle, fresh = await door.client(), await door.client(), await door.client()
    await busy.say(get("/last"))
    await asyncio.wait_for(door.echo.asked_one.wait(), WITHIN_S)
    await door.guests(3)
    closing = asyncio.create_task(door.server.close())
    assert await idle.rest() == b""
    assert await fresh.rest() == b""
    await _refused(door)
    await busy.say(get("/more"))
    assert not closing.done()
    may_answer.set()
    answer = await busy.answer()
    assert (answer.told["target"], answer.headers["connection"]) == ("/last", "close")
    assert await busy.rest() == b""
    await closing
    assert len(door.server) == 0
    assert [each["target"] for each in door.echo.asked] == ["/last"]


async def test_an_answer_that_never_comes_is_cut(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    was_cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()

    door.echo.instead = hang
    client = await door.client()
    await client.say(get())
    await asyncio.wait_for(door.echo.asked_one.wait(), WITHIN_S)
    with caplog.at_level(logging.WARNING, "penstock.api"):
        await door.server.close(drain_s=0.01)
    assert was_cancelled.is_set()
    assert "1 connections were cut" in caplog.text
    assert await client.rest() == b""


async def test_a_handshake_does_not_hold_up_the_end(doors: Doors, tls: Tls) -> None:
    door = doors()
    door.listen(tls.server)
    client = await door.client()
    await client.say(b"\x16\x03\x01")
    await door.guests(1)
    async with asyncio.timeout(WITHIN_S):
        await door.server.close()
    assert len(door.server) == 0


async def test_a_server_without_connections_ends_at_once() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    server = HttpServer(lambda: None, HttpPolicy())
    server.listen(sock)
    await server.close()
    assert sock.fileno() == -1


async def test_the_processs_signals_are_left_alone(door: Door) -> None:
    import signal

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    client: Client = await door.client()
    assert (await client.ask(get())).status == 200
