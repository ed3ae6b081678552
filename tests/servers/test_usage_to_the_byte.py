"""What is billed is what the kernel took: both are measured here, each by itself.

The kernel tells of every connection how many bytes the far end acknowledged, and how many of those
that it took are not acknowledged yet. Together they are what it took, whatever the server believes.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from typing import Final

import pytest

from penstock.link.messages import Ended, EndReason, Usage
from penstock.model import Kind
from penstock.protocols.rtmp import messages
from penstock.servers.wire import PlainWire
from tests.clock import ManualClock
from tests.engine.kit import key_body
from tests.servers.client import HttpClient, RtmpClient
from tests.servers.hlsplayer import HlsPlayer
from tests.servers.house import DEMO, House, OpenHouse, begin, film, until

# struct tcp_info in linux/tcp.h: 8 bytes, 24 words of 4, two pacing rates of 8, then tcpi_bytes_acked.
_BYTES_ACKED_AT: Final = 8 + 24 * 4 + 2 * 8
PLAYER_STALL_S: Final = 10.0


def kernel_took(connection: socket.socket) -> int:
    """Bytes that sends on `connection` were told to be taken; one more after a shutdown, which FIN counts as."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    (acked,) = struct.unpack_from("=Q", info, _BYTES_ACKED_AT)
    queued = bytearray(4)
    fcntl.ioctl(connection, termios.TIOCOUTQ, queued)  # SIOCOUTQ
    return int(acked) + int.from_bytes(queued, sys.byteorder)


# The measure itself


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A server's socket and its client's, whose buffer is small."""
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            server.setblocking(False)
            yield server, client


def fill(server: socket.socket) -> int:
    """Send until the kernel takes no more; return what it took."""
    taken = 0
    while True:
        try:
            taken += server.send(bytes(100_000))
        except BlockingIOError:
            return taken


def test_the_kernel_knows_what_it_took_while_nobody_reads(pair: tuple[socket.socket, socket.socket]) -> None:
    server, _ = pair
    assert kernel_took(server) == 0
    assert server.send(b"hello") == 5
    assert kernel_took(server) == 5
    taken = fill(server)
    assert taken > 8192
    assert kernel_took(server) == 5 + taken


def test_it_knows_after_the_peer_read_closed_or_reset(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    taken = fill(server)
    client.recv(5000)
    assert kernel_took(server) == taken
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with pytest.raises(ConnectionResetError):
        server.send(bytes(100))
    assert kernel_took(server) == taken


def test_a_shutdown_counts_as_one(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    server.send(b"hello")
    server.shutdown(socket.SHUT_WR)
    assert kernel_took(server) == 6
    assert client.recv(100) == b"hello"
    assert client.recv(100) == b""
    assert kernel_took(server) == 6


# What the server counts, beside it


class Truth:
    """Asks the kernel about each of the server's connections right before it is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._took: dict[int, int] = {}  # by the peer's port
        self._ports: dict[PlainWire, int] = {}  # a socket that was reset cannot tell it any more
        self._shut: set[PlainWire] = set()
        begin, shutdown, close = PlainWire.__init__, PlainWire.shutdown, PlainWire.close

        def watched_begin(wire: PlainWire, connection: socket.socket) -> None:
            begin(wire, connection)
            self._ports[wire] = int(connection.getpeername()[1])

        def watched_shutdown(wire: PlainWire) -> None:
            shutdown(wire)
            self._shut.add(wire)

        def watched_close(wire: PlainWire) -> None:
            self._took[self._ports[wire]] = kernel_took(wire._socket) - (wire in self._shut)
            close(wire)

        monkeypatch.setattr(PlainWire, "__init__", watched_begin)
        monkeypatch.setattr(PlainWire, "shutdown", watched_shutdown)
        monkeypatch.setattr(PlainWire, "close", watched_close)

    def of(self, players: Players) -> int:
        """What was taken for all of them, whose connections must be closed."""
        return sum(self._took[port] for port in players.ports)


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> Truth:
    return Truth(monkeypatch)


class Players:
    """Players of every format; each keeps its port after it closed."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.ports: list[int] = []

    async def rtmp(self, receive_buffer: int | None = None) -> RtmpClient:
        client = await self._house.rtmp_client(receive_buffer=receive_buffer)
        self.ports.append(client.raw.port)
        return await client.play()

    async def flv(self, receive_buffer: int | None = None) -> HttpClient:
        client = await self._house.http_client(receive_buffer=receive_buffer)
        self.ports.append(client.raw.port)
        assert (await client.request("/live/cam.flv")).status == 200
        return client

    async def hls(self, receive_buffer: int | None = None) -> HlsPlayer:
        client = await self._house.http_client(receive_buffer=receive_buffer)
        self.ports.append(client.raw.port)
        return await HlsPlayer.begin(client)


@pytest.fixture
async def players(house: House) -> Players:
    return Players(house)


async def billed(house: House) -> int:
    """What control has counted once the server has stopped."""
    await house.close()
    told = sum(row.bytes_down for message in house.told if isinstance(message, Usage) for row in message.rows)
    assert told == house.control.live.usage.total_bytes_down
    return told


async def test_players_that_stay(house: House, players: Players, truth: Truth) -> None:
    publisher = await house.on_air()
    rtmp, flv = await players.rtmp(), await players.flv()
    await film(publisher, 50)
    await rtmp.media(103)
    await flv.tags(103)
    assert await billed(house) == truth.of(players)


async def test_the_count_is_right_at_every_report_on_the_way(house: House, players: Players, truth: Truth) -> None:
    publisher = await house.on_air()
    rtmp, flv = await players.rtmp(), await players.flv()
    totals = []
    for step in range(5):
        await film(publisher, 5, from_ms=40 + step * 200)
        await rtmp.media(10)
        await flv.tags(10)
        totals.append(await house.usage_bytes())
    assert totals == sorted(set(totals))
    assert await billed(house) == truth.of(players)


async def test_players_that_leave_in_the_middle_of_a_frame(house: House, players: Players, truth: Truth) -> None:
    publisher = await house.on_air()
    peers = (await players.rtmp(), await players.flv(), await players.rtmp(), await players.flv())
    clients = [peer.raw for peer in peers]
    await publisher.send_media(Kind.VIDEO, 40, key_body(bytes(7_000_000)))
    for number, client in enumerate(clients):
        got = 0
        while got < 500_000:
            got += len(await client.read())
        if number < 2:
            client.close()
        else:
            client.reset()
    await until(lambda: house.players() == 0)
    took = truth.of(players)
    assert 4 * 500_000 < took < 4 * 7_000_000
    assert await billed(house) == took


async def test_players_that_never_read(open_house: OpenHouse, truth: Truth) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock, player_buffer_kib=256)
    players = Players(house)
    publisher = await house.on_air()
    await players.rtmp(8192), await players.flv(8192)
    await film(publisher, 100)
    await house.arrived(100 * 20_000)
    house.engine.hub.tick()
    assert house.players() == 2
    clock.advance(PLAYER_STALL_S)
    house.engine.hub.tick()
    assert house.players() == 0
    took = truth.of(players)
    assert took < 2_000_000  # most of it was never handed over
    assert await billed(house) == took


async def test_slow_players_that_skip(open_house: OpenHouse, truth: Truth) -> None:
    house = await open_house(player_buffer_kib=256)
    players = Players(house)
    publisher = await house.on_air()
    rtmp, flv = await players.rtmp(8192), await players.flv(8192)
    for step in range(10):
        await film(publisher, 20, from_ms=40 + step * 800)
        await house.arrived((step + 1) * 20 * 20_000)
        for client in (rtmp, flv):
            for _ in range(5):
                await client.raw.read()
    await until(lambda: house.players() == 2)
    assert await billed(house) == truth.of(players)


async def test_players_that_are_kicked(house: House, players: Players, truth: Truth) -> None:
    publisher = await house.on_air()
    for _ in range(3):
        await players.rtmp(8192)
        await players.flv(8192)
    await film(publisher, 30)
    await house.arrived(30 * 20_000)
    assert await house.drop() is not None
    assert await billed(house) == truth.of(players)


async def test_players_that_read_on_after_their_stream_ended(open_house: OpenHouse, truth: Truth) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock)
    players = Players(house)
    publisher = await house.on_air()
    rtmp, flv = await players.rtmp(8192), await players.flv(8192)
    await film(publisher, 60)
    await house.arrived(60 * 20_000)
    await publisher.leave()
    await house.heard(Ended)
    clock.advance(10)
    house.engine.hub.tick()
    assert house.players() == 0
    await house.usage_bytes()
    # They have two seconds more, and take what waits for them.
    assert len(await flv.rest()) > 100
    codes = [status.code for status in await rtmp.ended()]
    assert codes[-1] == "NetStream.Play.Stop"
    for client in (rtmp, flv):
        client.close()
    await until(lambda: len(house.rtmp) == len(house.http) == 0)
    assert await billed(house) == truth.of(players)


async def test_players_that_read_on_while_the_server_stops(open_house: OpenHouse, truth: Truth) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock)
    players = Players(house)
    publisher = await house.on_air()
    flv = await players.flv(8192)
    await film(publisher, 60)
    await house.arrived(60 * 20_000)
    await publisher.leave()
    await house.heard(Ended)
    clock.advance(10)
    house.engine.hub.tick()
    before = await house.usage_bytes()
    assert len(await flv.rest()) > 100
    assert await billed(house) == truth.of(players) > before


async def test_a_connection_that_plays_twice_is_billed_once(house: House, players: Players, truth: Truth) -> None:
    publisher = await house.on_air()
    player = await players.rtmp()
    await film(publisher, 10)
    await player.media(23)
    await player.call("deleteStream", None, 1.0)
    await player.expect("NetStream.Play.Stop")
    await player.play_again()
    await film(publisher, 10, from_ms=1000)
    await player.media(20)
    assert await billed(house) == truth.of(players)
    assert house.control.live.usage.plays[DEMO, "rtmp"] == 2


async def test_a_player_that_pauses_and_goes_on(house: House, players: Players, truth: Truth) -> None:
    publisher = await house.on_air()
    player = await players.rtmp()
    await player.call("pause", None, True, 0.0, stream_id=1)
    await player.expect("NetStream.Pause.Notify")
    await film(publisher, 20)
    await player.call("pause", None, False, 0.0, stream_id=1)
    await player.expect("NetStream.Unpause.Notify")
    await player.media(3)
    assert await billed(house) == truth.of(players)


async def test_players_kept_over_a_blink(house: House, players: Players, truth: Truth) -> None:
    first = await house.on_air()
    rtmp, flv = await players.rtmp(), await players.flv()
    first.reset()
    assert (await house.heard(Ended)).reason is EndReason.LOST
    second = await house.publisher()
    await begin(second)
    await film(second, 10)
    await rtmp.media(26)
    await flv.tags(26)
    assert await billed(house) == truth.of(players)


async def test_publishers_and_those_turned_away_are_billed_nothing(house: House, truth: Truth) -> None:
    publisher = await house.on_air()
    await publisher.send(messages.USER_CONTROL, b"\x00\x06\x00\x00\x00\x00", csid=2)
    client = await house.http_client()
    assert (await client.request("/live/nosuch.flv")).status == 404
    await client.body()
    assert await billed(house) == 0


# Players of HLS: many answers, one play


async def segments(open_house: OpenHouse) -> tuple[House, Players]:
    """A server with some seconds of a stream in segments."""
    house = await open_house(hls_always=("live",))
    publisher = await house.on_air()
    await film(publisher, 200)
    await house.arrived(200 * 20_000)
    return house, Players(house)


async def test_players_that_fetch_segments(open_house: OpenHouse, truth: Truth) -> None:
    house, players = await segments(open_house)
    one, other = await asyncio.gather(players.hls(), players.hls())
    for player in (one, other, one):
        await player.playlist()
        for uri in player.uris:
            await player.get(uri)
    before = await house.usage_bytes()
    assert before > 1_000_000
    await one.get(one.uris[-1])
    assert await billed(house) == truth.of(players) > before
    assert house.control.live.usage.plays[DEMO, "hls"] == 2


async def test_players_that_leave_in_the_middle_of_a_segment(open_house: OpenHouse, truth: Truth) -> None:
    house, players = await segments(open_house)
    one, other = await asyncio.gather(players.hls(8192), players.hls(8192))
    for player, leave in ((one, one.client.raw.close), (other, other.client.raw.reset)):
        await player.playlist()
        await player.ask(player.uris[-1])
        leave()
    await until(lambda: len(house.http) == 0)
    assert await billed(house) == truth.of(players)


async def test_one_connection_of_many_players(open_house: OpenHouse, truth: Truth) -> None:
    """A proxy's: what it took is counted for each, and HTTP-FLV behind it as well."""
    house, players = await segments(open_house)
    one = await players.hls()
    other = await HlsPlayer.begin(one.client)
    for player in (one, other, one):
        await player.playlist()
        await player.get(player.uris[-1])
    hls = await house.usage_bytes()
    await one.client.request("/live/cam.flv")
    await until(lambda: house.players() == 3)
    assert await billed(house) == truth.of(players) > hls
    rows = [row for message in house.told if isinstance(message, Usage) for row in message.rows]
    assert sum(row.bytes_down for row in rows if row.format == "hls") == hls
    assert house.control.live.usage.plays[DEMO, "hls"] == 2


async def test_a_kicked_player_of_hls(open_house: OpenHouse, truth: Truth) -> None:
    house, players = await segments(open_house)
    player = await players.hls(8192)
    await player.playlist()
    await player.ask(player.uris[-1])
    assert await house.drop() is not None
    assert len(house.http) == 0
    assert await billed(house) == truth.of(players)
