"""RTMP to other servers: our own is the peer, plain and in TLS, and scripts where one has to misbehave."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from penstock.model import Kind
from penstock.net.guard import Guard
from penstock.protocols.rtmp.session import CHUNK_SIZE
from penstock.servers.callers import Callers
from penstock.servers.calling import CallPolicy
from tests.engine.kit import AVC_HEADER, inter_body, key_body
from tests.protocols.rtmp.tools import command, write
from tests.servers.house import House, OpenHouse, until
from tests.servers.relaykit import Ears, Script, callers, exchange

SERVER_HANDSHAKE = b"\x03" + bytes(3072)


def url(house: House, name: str = "out", *, scheme: str = "rtmp", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{house.engine.doors[scheme].port}/live/{name}?vhost=demo"


async def test_it_publishes(house: House) -> None:
    ears = Ears()
    call = callers().push(url(house), ears)
    await until(lambda: ears.is_open)
    assert ears.outlet is not None
    body = key_body(bytes(200_000))
    media = [(6, (Kind.VIDEO, 0, ears.stream_id, AVC_HEADER)), (6, (Kind.VIDEO, 0, ears.stream_id, body))]
    ears.outlet.limit_bytes = 1 << 20
    ears.outlet.write(write([media[0]], CHUNK_SIZE) + write([media[1]], CHUNK_SIZE))
    await house.arrived(len(AVC_HEADER) + len(body), "out")
    assert call.bytes_out > len(body)
    call.finish()
    await until(lambda: not house.engine.hub.on_air())
    assert ears.why == []


async def test_it_plays(house: House) -> None:
    publisher = await house.on_air()
    ears = Ears()
    call = callers().pull(url(house, "cam"), ears)
    await until(lambda: len(ears.messages) == 3)
    await publisher.send_media(Kind.VIDEO, 40, inter_body(bytes(300_000)))
    await until(lambda: len(ears.messages) == 4)
    assert bytes(ears.messages[3].payload) == inter_body(bytes(300_000))
    assert (ears.is_open, ears.messages[3].timestamp) == (True, 40)
    assert call.bytes_in > 300_000
    call.close()
    await until(lambda: not house.players())
    assert ears.why == []


async def test_what_the_server_says_of_a_refusal_is_told(house: House) -> None:
    await house.on_air()
    ears = Ears()
    callers().push(url(house, "cam"), ears)
    await until(lambda: bool(ears.why))
    assert ears.why[0].startswith("it refuses: NetStream.Publish.BadName: ")
    assert not ears.is_open
    player = Ears()
    callers().pull(url(house, "nobody"), player)
    await until(lambda: bool(player.why))
    assert "NetStream.Play.StreamNotFound: demo/live/nobody is not on air" in player.why[0]


async def test_the_end_of_a_stream_is_told_once(open_house: OpenHouse) -> None:
    house = await open_house(keep_players_s=0)
    publisher = await house.on_air()
    ears = Ears()
    callers().pull(url(house, "cam"), ears)
    await until(lambda: len(ears.messages) == 3)
    await publisher.leave()
    await until(lambda: bool(ears.why))
    assert ears.why[0].startswith("it ended the stream: ")
    assert len(ears.why) == 1


async def test_a_publisher_that_is_cut_hears_why(house: House) -> None:
    ears = Ears()
    callers().push(url(house, "cam"), ears)
    await until(lambda: ears.is_open)
    await house.drop()
    await until(lambda: bool(ears.why))
    assert "by hand" in ears.why[0]


async def test_tls_is_checked_by_name_and_authority(tmp_path: Path) -> None:
    house = await House.open(tmp_path, tls=True)
    ca = house.config.data_dir / "tls" / "ca.pem"
    guard = Guard(("127.0.0.0/8",), lambda host, port: ["127.0.0.1"])
    good, other, unknown = Ears(), Ears(), Ears()
    kept = callers(guard=guard, ca_file=ca)
    kept.push(url(house, scheme="rtmps", host="push.demo.test"), good)
    kept.push(url(house, scheme="rtmps", host="other.example"), other)
    callers(guard=guard).push(url(house, scheme="rtmps", host="push.demo.test"), unknown)
    await until(lambda: good.is_open and bool(other.why) and bool(unknown.why))
    assert good.outlet is not None
    body = key_body(bytes(100_000))
    good.outlet.limit_bytes = 1 << 20
    good.outlet.write(write([(6, (Kind.VIDEO, 0, good.stream_id, body))], CHUNK_SIZE))
    await house.arrived(len(body), "out")
    for ears in (other, unknown):
        assert "certificate" in ears.why[0]
        assert "does not hold" in ears.why[0]
    await house.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "opens with byte 0x48"),
        (b"", "it closed the connection"),
        (SERVER_HANDSHAKE, "connection"),  # closed, or broken: its system may say either
        (
            SERVER_HANDSHAKE + command("_error", 1.0, None, {"code": "X", "description": "need auth"}),
            "it refuses: X: need auth",
        ),
    ],
)
@pytest.mark.parametrize("publishes", [True, False])
async def test_a_server_that_is_none_is_told(publishes: bool, answer: bytes, why: str) -> None:
    async with Script(answer) as server:
        ears = Ears()
        where = f"rtmp://127.0.0.1:{server.port}/live/cam"
        if publishes:
            callers().push(where, ears)
        else:
            callers().pull(where, ears)
        await until(lambda: bool(ears.why))
    assert why in ears.why[0]
    assert len(ears.why) == 1


async def test_a_server_that_says_nothing_has_its_time() -> None:
    async with Script(SERVER_HANDSHAKE, closes=False) as server:
        ears = Ears()
        callers(CallPolicy(setup_timeout_s=0.1)).push(f"rtmp://127.0.0.1:{server.port}/live/cam", ears)
        await until(lambda: bool(ears.why))
    assert ears.why == [f"127.0.0.1:{server.port} did not agree to anything within 0.1 s"]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("rtmp://127.0.0.1/live", "must be /app/stream"),
        ("http://127.0.0.1/live/cam", "rtmp:// or rtmps://"),
        ("rtmp://10.0.0.1/live/cam", "network.allow_private"),
        ("rtmp://nowhere.invalid/live/cam", "does not resolve"),
        ("rtmp://127.0.0.1:1/live/cam", "is not to be reached: "),
    ],
)
async def test_where_nobody_gets_is_told(where: str, why: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    ears = Ears()
    callers(guard=Guard(("127.0.0.0/8",), resolve)).push(where, ears)
    assert ears.why == []  # not from inside
    await until(lambda: bool(ears.why))
    assert why in ears.why[0]


async def test_who_was_closed_hears_no_more() -> None:
    async with Script(b"", closes=False) as server:
        calls = exchange()
        ears = Ears()
        for end in ("close", "finish"):
            early = Callers(calls).push(f"rtmp://127.0.0.1:{server.port}/live/cam", ears)
            getattr(early, end)()
            getattr(early, end)()
        late = Callers(calls).push(f"rtmp://127.0.0.1:{server.port}/live/cam", ears)
        await until(lambda: bool(server.heard))
        late.close()
        await asyncio.sleep(0)
        assert (ears.why, calls.calls) == ([], set())


async def test_a_name_that_changes_its_mind_is_dialled_where_it_was_checked(house: House) -> None:
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    guard = Guard(("127.0.0.1",), lambda host, port: answers.pop(0))
    ears = Ears()
    callers(guard=guard).push(url(house, host="a.example"), ears)
    await until(lambda: ears.is_open)
    assert len(answers) == 1
    again = Ears()
    callers(guard=guard).push(url(house, "other", host="a.example"), again)
    await until(lambda: bool(again.why))
    assert "network.allow_private" in again.why[0]
