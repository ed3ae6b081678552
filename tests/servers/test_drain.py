"""A server that is told to end in good time, by real sockets: who is let go, who is refused, and how long it takes."""

from __future__ import annotations

import asyncio
import logging

import pytest

from penstock.engine.addressing import Target
from penstock.link.messages import Ended, EndReason
from penstock.model import Kind
from tests.engine.kit import inter_body, key_body
from tests.servers.client import RawPipe, Status
from tests.servers.house import House, OpenHouse, until
from tests.servers.test_hls import ready

WITHIN_S = 5.0


async def test_players_and_publisher_are_let_go_at_the_key_frame(house: House) -> None:
    publisher = await house.on_air()
    flv, rtmp = await house.flv_player(), await house.rtmp_player()
    draining = asyncio.create_task(house.engine.drain(WITHIN_S))
    await asyncio.sleep(0)
    await publisher.send_media(Kind.VIDEO, 40, inter_body(b"last"))
    await house.arrived(len(inter_body(b"last")))
    assert not draining.done()
    await publisher.send_media(Kind.VIDEO, 80, key_body(b"not any more"))
    ended = await house.heard(Ended)
    assert ended.reason is EndReason.ENGINE_STOPPED
    last = (await flv.rest())[-1]
    assert (last.kind, last.payload) == (Kind.VIDEO, inter_body(b"last"))
    rest = [bytes(message.payload) for message in await rtmp.rest()]
    assert inter_body(b"last") in rest
    assert key_body(b"not any more") not in rest
    assert await publisher.ended() == [Status("NetStream.Publish.Denied", "error", "engine stopped")]
    await asyncio.wait_for(draining, WITHIN_S)
    assert len(house.rtmp) == len(house.http) == 0


async def test_the_ports_refuse_and_who_was_about_to_begin_is_closed(house: House) -> None:
    publisher = await house.on_air()
    player = await house.flv_player()
    waiting = [await RawPipe.open(house.rtmp.port), await RawPipe.open(house.http.port)]
    await until(lambda: len(house.rtmp) + len(house.http) == 4)
    ports = house.rtmp.port, house.http.port
    draining = asyncio.create_task(house.engine.drain(WITHIN_S))
    await asyncio.sleep(0)
    for pipe in waiting:
        await pipe.ended()
        pipe.close()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
    assert len(house.rtmp) + len(house.http) == 2
    assert not draining.done()
    for peer in (publisher, player):
        peer.close()
    await asyncio.wait_for(draining, WITHIN_S)


async def test_one_that_publishes_anew_on_its_old_connection_is_refused(house: House) -> None:
    """Its connection may be there still; it is no way in."""
    publisher = await house.on_air()
    await house.flv_player()
    house.engine.hub.drain(EndReason.ENGINE_STOPPED)
    told: list[object] = []
    target = Target("push.demo.test", "live", "new", ())
    house.engine.control.ask(target, house.engine.hub.publications()[0].client, told.append)
    (answer,) = told
    assert "takes no new publishers" in str(answer)
    publisher.close()


async def test_a_stream_without_a_key_frame_is_cut_when_the_time_is_over(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "penstock")
    await house.on_air()
    await house.flv_player()
    await asyncio.wait_for(house.engine.drain(0.05), WITHIN_S)
    assert "2 connections are cut: they were not done within 0.05 s" in caplog.text
    await house.close()


async def test_with_nobody_there_it_is_over_at_once(open_house: OpenHouse) -> None:
    house = await open_house()
    await asyncio.wait_for(house.engine.drain(600), 1)


async def test_a_player_of_hls_reads_to_the_end_on_its_connection(house: House) -> None:
    publisher, player = await ready(house)
    draining = asyncio.create_task(house.engine.drain(WITHIN_S))
    await asyncio.sleep(0)
    # It plays, though it is quiet between two requests; so its stream goes on to a key frame, as for others.
    assert "#EXT-X-ENDLIST" not in await player.playlist()
    await publisher.send_media(Kind.VIDEO, 8000, key_body(b"not any more"))
    assert (await house.heard(Ended)).reason is EndReason.ENGINE_STOPPED
    assert "#EXT-X-ENDLIST" in await player.playlist()
    assert all([await player.get(uri) for uri in player.uris])
    assert not draining.done()
    player.client.close()
    await asyncio.wait_for(draining, WITHIN_S)
