"""Peers that take their time: floods of half-open connections, single bytes, viewers that do not read."""

from __future__ import annotations

import asyncio

import pytest

from penstock.model import Kind, StreamId
from tests.clock import ManualClock
from tests.engine.kit import inter_body, key_body
from tests.security.conftest import Bystander
from tests.servers.client import BLOCK, RawPipe
from tests.servers.house import House, OpenHouse, until

HALF_OPEN = {
    "nothing": b"",
    "RTMP's version": b"\x03",
    "half of a handshake": b"\x03" + bytes(BLOCK // 2),
    "a handshake without its end": b"\x03" + bytes(BLOCK),
    "half of a request": b"GET /live/cam.flv HTTP/1.1\r\nHost: pull.de",
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def house(open_house: OpenHouse, clock: ManualClock) -> House:
    """Its publishers may be silent for as long as they like, as time passes here by leaps."""
    return await open_house(clock=clock, max_pending_per_address=50, player_buffer_kib=128, idle_timeout_s=1e6)


def sweep(house: House, clock: ManualClock, seconds: float) -> None:
    clock.advance(seconds)
    house.engine.hub.tick()
    for door in house.engine.doors.values():
        door.sweep()


@pytest.mark.parametrize("said", HALF_OPEN.values(), ids=HALF_OPEN)
async def test_a_flood_of_half_open_connections_is_bounded_by_address_and_over_after_ten_seconds(
    house: House, bystander: Bystander, clock: ManualClock, said: bytes
) -> None:
    """Handshake flood: more than one address may hold is closed at once, and the rest at its deadline."""
    doors = (house.http,) if said.startswith(b"GET") else (house.rtmp, house.http)
    before = sum(map(len, doors))
    pipes = [await RawPipe.open(door.port) for door in doors for _ in range(100 // len(doors))]
    for pipe in pipes:
        try:
            await pipe.write(said)
        except ConnectionError:
            continue
    await until(lambda: sum(map(len, doors)) - before <= 50)
    await bystander.plays_on()
    sweep(house, clock, 10)
    await until(lambda: sum(map(len, doors)) <= before)
    for pipe in pipes:
        pipe.close()


async def test_one_byte_a_minute_holds_no_connection(house: House, bystander: Bystander, clock: ManualClock) -> None:
    """Slow-loris, at each door: the deadline is for the whole way in, and bytes do not move it."""
    for door, words in ((house.rtmp, b"\x03" + bytes(20)), (house.http, b"GET /live/cam.flv")):
        pipe = await RawPipe.open(door.port)
        before = len(door)
        for at in range(len(words)):
            try:
                await pipe.write(words[at : at + 1])
            except ConnectionError:
                break
            await asyncio.sleep(0)
            sweep(house, clock, 60)
        await pipe.ended()
        assert len(door) <= before
        pipe.close()


async def test_a_publisher_that_trickles_its_first_frame_is_gone_after_the_time_for_silence(
    open_house: OpenHouse, clock: ManualClock
) -> None:
    """Slow-loris after admission: bytes that make no message are silence."""
    house = await open_house(clock=clock)
    publisher = await house.publisher()
    whole = publisher.encode(Kind.VIDEO, key_body(bytes(60_000)), stream_id=1)
    for at in range(9):
        await publisher.pipe.write(whole[at * 100 : at * 100 + 100])
        await asyncio.sleep(0)
        sweep(house, clock, 1)
    assert len(house.engine.hub.publications()) == 1
    sweep(house, clock, 1.25)
    assert house.engine.hub.publications() == []
    await publisher.ended()


async def test_viewers_that_do_not_read_cost_their_share_and_are_closed(
    house: House, bystander: Bystander, clock: ManualClock
) -> None:
    """Slow viewers in number: what waits for them is shared and bounded, and nobody else waits for it."""
    publisher = await house.on_air("wall")
    for _ in range(20):
        await (await house.rtmp_client(receive_buffer=4096)).play("wall")
    players = [connection for connection in house.rtmp._connections if connection.outlet.limit_bytes == 128 * 1024]
    assert len(players) == 20
    for number in range(1, 100):
        await publisher.send_media(Kind.VIDEO, number * 40, inter_body(bytes(40_000)))
        await house.arrived(number * 40_000, "wall")
        assert all(player.outlet.queued_bytes < 300_000 for player in players)
    waiting = {id(buffer): len(buffer) for player in players for buffer in player.outlet.queue or () if len(buffer)}
    assert sum(waiting.values()) < 20 * 100_000  # what is on its way to each is its own; the rest is one for all
    await bystander.plays_on()
    sweep(house, clock, 0)
    sweep(house, clock, 10)
    assert all(player.closed for player in players)
    await bystander.plays_on()
    assert await house.drop(StreamId("demo", "live", "wall")) is not None
