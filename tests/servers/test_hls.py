"""HLS on the HTTP door: what is asked, how it is answered, and whoever asks for more than there is."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from penstock.link.messages import EndReason
from penstock.model import Kind
from penstock.servers.hls import ANSWER_S, KEEP_ALIVE_S, MAX_AHEAD
from tests.clock import ManualClock
from tests.engine.kit import AAC_RECORD, AVC_RECORD, inter_body, key_body
from tests.protocols.boxes import read, read_segment
from tests.servers.client import HttpClient, RtmpClient
from tests.servers.hlsplayer import HlsPlayer
from tests.servers.house import DEMO, House, OpenHouse, film, until

PATH = "/live/cam.m3u8"
SESSION = "0123456789abcdef"


async def filmed(house: House, frames: int = 160) -> RtmpClient:
    """A publisher of some seconds, all of which the engine has."""
    publisher = await house.on_air()
    await film(publisher, frames, size=2000)
    await house.arrived(frames * 2000)
    return publisher


async def keys(publisher: RtmpClient, count: int, from_s: int = 2) -> None:
    """A key frame every two seconds."""
    for number in range(count):
        await publisher.send_media(Kind.VIDEO, 1000 * from_s + 2000 * number, key_body())


async def ready(house: House) -> tuple[RtmpClient, HlsPlayer]:
    """A publisher, and a player of the segments that came since it is there."""
    publisher = await house.on_air()
    client = await house.http_client()
    begun = asyncio.create_task(HlsPlayer.begin(client))
    await until(lambda: house.players() == 1)
    await keys(publisher, 3)
    return publisher, await begun


# Playing


async def test_a_player_finds_its_playlist_and_in_that_all_it_needs(house: House) -> None:
    _, player = await ready(house)
    text = await player.playlist()
    assert text.startswith("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n")
    init, *segments = [await player.get(uri) for uri in player.uris]
    assert AVC_RECORD in init
    assert [box.kind for box in read(init).boxes] == ["ftyp", "moov"]
    datas = [sample.data for data in segments for run in read_segment(data) for sample in run.samples]
    assert datas == [b"key"] * len(segments)
    assert house.players() == 1


async def test_the_first_answer_says_what_the_stream_is(house: House) -> None:
    publisher = await filmed(house)
    client = await house.http_client()
    asked = asyncio.create_task(client.get(PATH))
    await until(lambda: house.players() == 1)
    await film(publisher, 160, size=2000, from_ms=6500)
    answer, body = await asked
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "connection" not in answer.headers
    assert b'CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=640x360\ncam/' in body
    assert bytes.fromhex("1190") == AAC_RECORD


async def test_every_answer_says_how_long_it_may_be_kept(house: House) -> None:
    _, player = await ready(house)
    await player.playlist()
    found = {}
    for name in ("live.m3u8", *player.uris[:2]):
        answer, _ = await player.client.get(f"{player.base}/{name}")
        found[name.partition(".")[2]] = answer.headers["content-type"], answer.headers["cache-control"]
        assert answer.headers["access-control-allow-origin"] == "*"
    assert found == {
        "m3u8": ("application/vnd.apple.mpegurl", "no-cache"),
        "mp4": ("video/mp4", "public, max-age=3600, immutable"),
        "m4s": ("video/mp4", "public, max-age=3600, immutable"),
    }


async def test_all_players_get_the_same_bytes(house: House) -> None:
    publisher, one = await ready(house)
    other = await HlsPlayer.begin(await house.http_client())
    assert one.session != other.session
    assert await one.playlist() == await other.playlist()
    assert await one.get(one.uris[-1]) == await other.get(other.uris[-1])
    await keys(publisher, 1, from_s=8)
    assert house.players() == 2


async def test_the_playlist_goes_on(house: House) -> None:
    publisher, player = await ready(house)
    await player.playlist()
    before = player.segments
    await keys(publisher, 2, from_s=8)
    while len(player.segments) != len(before) + 2:
        await player.playlist()
    assert player.segments[: len(before)] == before


async def test_a_stream_in_tls_plays_alike(open_house: OpenHouse) -> None:
    house = await open_house(tls=True)
    publisher = await house.on_air()
    client = await HttpClient.open_tls(house.engine.doors["https"].port, house.client_context(), "pull.demo.test")
    begun = asyncio.create_task(HlsPlayer.begin(client))
    await until(lambda: house.players() == 1)
    for number in range(1, 4):
        await publisher.send_media(Kind.VIDEO, 2000 * number, key_body(bytes(300_000)))
    player = await begun
    await player.playlist()
    assert len(await player.get(player.segments[1])) > 300_000
    client.close()


async def test_the_host_tells_the_vhost_and_the_playlist_keeps_a_hint(house: House) -> None:
    publisher = await house.on_air(tc_url="rtmp://push.shop.test/live")
    client = await house.http_client()
    asked = asyncio.create_task(client.get("/live/cam.m3u8?vhost=shop", host="127.0.0.1"))
    await until(lambda: house.players(type(DEMO)("shop", "live", "cam")) == 1)
    await keys(publisher, 2)
    _, body = await asked
    uri = body.decode().splitlines()[-1]
    assert uri.endswith("/live.m3u8?vhost=shop")
    assert (await client.get(f"/live/{uri}", host="127.0.0.1"))[0].status == 200


# Before there is anything


async def test_what_is_not_on_air_is_not_found_at_once(house: House) -> None:
    client = await house.http_client()
    answer, body = await client.get(PATH)
    assert (answer.status, answer.headers["connection"]) == (404, "close")
    assert body == b"demo/live/cam is not on air\n"


async def test_a_stream_without_media_is_waited_for_and_then_given_up(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock, idle_timeout_s=100)
    await house.on_air()
    client = await house.http_client()
    asked = asyncio.create_task(client.get(PATH))
    await until(lambda: house.players() == 1)
    clock.advance(7.9)
    house.engine.viewers.tick()
    house.http.sweep()
    await asyncio.sleep(0)
    assert not asked.done()
    clock.advance(0.1)
    house.engine.viewers.tick()
    answer, body = await asked
    assert answer.status == 404
    assert b"nothing of that has come yet" in body


async def test_who_leaves_while_it_waits_is_forgotten(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock, idle_timeout_s=100)
    await house.on_air()
    client = await house.http_client()
    await client.pipe.write(b"GET /live/cam.m3u8 HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n")
    await until(lambda: house.players() == 1)
    client.close()
    await until(lambda: len(house.http) == 0)
    clock.advance(9)
    house.engine.viewers.tick()
    clock.advance(30)
    house.engine.viewers.tick()
    assert house.players() == 0


async def test_an_app_that_is_packed_always_need_not_wait(open_house: OpenHouse) -> None:
    house = await open_house(hls_always=("live",))
    publisher = await house.on_air()
    await keys(publisher, 3)
    player = await HlsPlayer.begin(await house.http_client())
    await player.playlist()
    assert len(player.segments) >= 1


# Over restarts and ends


async def test_a_session_of_an_engine_before_this_one_goes_on_under_its_name(house: House) -> None:
    publisher = await house.on_air()
    client = await house.http_client()
    asked = asyncio.create_task(client.get(f"/live/cam/{SESSION}/live.m3u8"))
    await until(lambda: house.players() == 1)
    await keys(publisher, 2)
    assert (await asked)[0].status == 200
    assert house.engine.viewers.find(SESSION) is not None


async def test_it_waits_for_its_publisher_as_well(house: House) -> None:
    client = await house.http_client()
    asked = asyncio.create_task(client.get(f"/live/cam/{SESSION}/live.m3u8"))
    publisher = await house.on_air()
    await until(lambda: house.players() == 1)
    await keys(publisher, 2)
    assert (await asked)[0].status == 200


async def test_but_not_for_ever(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock)
    client = await house.http_client()
    await client.pipe.write(f"GET /live/cam/{SESSION}/live.m3u8 HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n".encode())
    await until(lambda: bool(house.engine.viewers.waits))
    clock.advance(8)
    house.engine.viewers.tick()
    answer = await client.answer()
    assert answer.status == 404
    assert await client.content(answer) == b"the stream is not on air\n"


async def test_a_stream_that_ended_is_read_to_its_end(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock)
    publisher, player = await ready(house)
    await publisher.leave()
    await until(lambda: not house.engine.hub.on_air())
    assert "#EXT-X-ENDLIST" not in await player.playlist()
    clock.advance(10)
    house.engine.hub.tick()
    assert (await player.playlist()).endswith("#EXT-X-ENDLIST\n")
    assert read_segment(await player.get(player.segments[-1]))
    assert (await (await house.http_client()).get(PATH))[0].status == 404


@pytest.mark.parametrize("reason", [EndReason.KICKED, EndReason.BANNED])
async def test_a_player_that_was_thrown_out_gets_nothing_more(house: House, reason: EndReason) -> None:
    _, player = await ready(house)
    await player.playlist()
    await house.drop(reason=reason)
    for name in ("live.m3u8", *player.uris):
        assert await player.status(name) == 410
    assert (await (await house.http_client()).get(PATH))[0].status == 404


async def test_an_answer_under_way_stops_when_its_player_is_thrown_out(house: House) -> None:
    publisher = await house.on_air()
    client = await house.http_client(receive_buffer=8192)
    begun = asyncio.create_task(HlsPlayer.begin(client))
    await until(lambda: house.players() == 1)
    for number in range(1, 4):
        await publisher.send_media(Kind.VIDEO, 2000 * number, key_body(bytes(7_000_000)))
    player = await begun
    await player.playlist()
    await player.ask(player.segments[-1])
    await house.drop()
    assert len(house.http) == 0


async def test_a_player_that_waits_is_told_when_it_is_thrown_out(house: House) -> None:
    await house.on_air()
    client = await house.http_client()
    asked = asyncio.create_task(client.get(PATH))
    await until(lambda: house.players() == 1)
    await house.drop()
    assert (await asked)[0].status == 410


# Connections


async def test_a_connection_serves_one_request_after_the_other(house: House) -> None:
    _, player = await ready(house)
    for _ in range(20):
        await player.playlist()
        await player.get(player.uris[-1])
    assert len(house.http) == 1


async def test_requests_sent_ahead_are_answered_in_their_order(house: House) -> None:
    _, player = await ready(house)
    await player.playlist()
    names = [*player.uris, "live.m3u8", "1.m4s", *player.uris]
    heads = [f"GET {player.base}/{name} HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n" for name in names]
    await player.client.pipe.write("".join(heads).encode())
    found = []
    for _ in names:
        answer = await player.client.answer()
        found.append((answer.status, await player.client.content(answer)))
    assert [status for status, _ in found] == [404 if name == "1.m4s" else 200 for name in names]
    count = len(player.uris)
    assert found[:count] == found[-count:]
    assert found[count][1].decode() == player.text


async def test_a_request_in_single_bytes_is_a_request(house: House) -> None:
    _, player = await ready(house)
    for _ in range(2):
        for byte in f"GET {player.base}/live.m3u8 HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n".encode():
            await player.client.pipe.write(bytes((byte,)))
            await asyncio.sleep(0)
        answer = await player.client.answer()
        assert (answer.status, len(await player.client.content(answer)) > 50) == (200, True)


@pytest.mark.parametrize("headers", ["Connection: close\r\n", "Connection: Close\r\n"])
async def test_a_peer_that_wants_to_go_is_let_go(house: House, headers: str) -> None:
    _, player = await ready(house)
    answer = await player.client.request(f"{player.base}/live.m3u8", headers=headers)
    assert answer.headers["connection"] == "close"
    assert len(await player.client.body()) == int(answer.headers["content-length"])


async def test_http_1_0_is_answered_and_closed(house: House) -> None:
    _, player = await ready(house)
    answer = await player.client.say(f"GET {player.base}/live.m3u8 HTTP/1.0\r\nHost: pull.demo.test\r\n\r\n".encode())
    assert answer.headers["connection"] == "close"
    assert len(await player.client.body()) == int(answer.headers["content-length"])


async def test_a_head_says_what_a_get_would(house: House) -> None:
    _, player = await ready(house)
    await player.playlist()
    for name in ("live.m3u8", *player.uris):
        body = await player.get(name)
        answer = await player.ask(name, method="HEAD")
        assert (answer.status, int(answer.headers["content-length"])) == (200, len(body))
    # Had a body followed, this answer would not be read as one.
    assert await player.status("live.m3u8") == 200


async def test_a_head_of_the_stream_begins_no_session(house: House) -> None:
    await filmed(house)
    client = await house.http_client()
    assert (await client.request(PATH, method="HEAD")).status == 200
    assert house.players() == 0


async def test_a_page_of_any_origin_may_ask(house: House) -> None:
    client = await house.http_client()
    answer = await client.request(PATH, method="OPTIONS")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, "*")


async def test_the_flv_of_a_stream_is_played_on_the_same_connection_last(house: House) -> None:
    _, player = await ready(house)
    answer = await player.client.request("/live/cam.flv")
    assert (answer.status, answer.headers["content-type"]) == (200, "video/x-flv")
    assert len(await player.client.tags(3)) == 3


async def test_idle_connections_are_closed(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock, idle_timeout_s=1000)
    _, player = await ready(house)
    await player.playlist()
    clock.advance(KEEP_ALIVE_S - 1)
    house.http.sweep()
    await player.playlist()
    clock.advance(KEEP_ALIVE_S)
    house.http.sweep()
    assert len(house.http) == 0


async def test_a_player_that_reads_too_slowly_is_closed(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock, idle_timeout_s=1000)
    publisher = await house.on_air()
    client = await house.http_client(receive_buffer=8192)
    begun = asyncio.create_task(HlsPlayer.begin(client))
    await until(lambda: house.players() == 1)
    for number in range(1, 4):
        await publisher.send_media(Kind.VIDEO, 2000 * number, key_body(bytes(7_000_000)))
    player = await begun
    await player.playlist()
    await player.ask(player.segments[-1])
    for _ in range(3):
        await client.raw.read()
        clock.advance(ANSWER_S / 3 - 0.1)
        house.http.sweep()
        assert len(house.http) == 1
    clock.advance(1)
    house.http.sweep()
    assert len(house.http) == 0


# Hostile requests


@pytest.mark.parametrize(
    "name",
    [
        "0.m4s",
        "1.m4s",
        "01.m4s",
        "-1.m4s",
        "999999999999999999.m4s",
        "9999999999999999999999999999.m4s",
        "1e9.m4s",
        "\u0661.m4s",
        ".m4s",
        "init-0.mp4",
        "init-.mp4",
        "init-1",
        "init--1.mp4",
        "live.M3U8",
        "live.m3u8/",
        "../live.m3u8",
        "..%2flive.m3u8",
        "%2e%2e/%2e%2e/etc/passwd",
        "x" * 300,
        "",
    ],
)
async def test_what_a_session_has_not_is_not_found(house: House, name: str) -> None:
    _, player = await ready(house)
    target = f"{player.base}/{name}".encode()
    answer = await player.client.say(b"GET " + target + b" HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n")
    assert answer.status in (400, 404)
    assert len(await player.client.content(answer)) < 300
    assert house.players() == 1


@pytest.mark.parametrize(
    "session",
    ["0" * 15, "0" * 17, "0123456789ABCDEF", "0123456789abcdeg", "..", "%30123456789abcde", "0" * 5000],
)
async def test_what_is_no_session_is_not_waited_for(house: House, session: str) -> None:
    await filmed(house)
    client = await house.http_client()
    assert (await client.get(f"/live/cam/{session}/live.m3u8"))[0].status == 404
    assert house.players() == 0


async def test_segments_of_no_session_are_not_found(house: House) -> None:
    _, player = await ready(house)
    await player.playlist()
    client = await house.http_client()
    assert (await client.get(f"/live/cam/{SESSION}/{player.uris[-1]}"))[0].status == 404


async def test_a_session_is_good_for_its_own_stream(house: House) -> None:
    _, player = await ready(house)
    await house.on_air("other")
    await player.playlist()
    for path in (f"/live/other/{player.session}", f"/vod/cam/{player.session}", f"/live/other.flv/{player.session}"):
        for name in ("live.m3u8", player.uris[-1]):
            assert (await player.client.get(f"{path}/{name}"))[0].status == 404


async def test_sessions_of_one_address_are_bounded(open_house: OpenHouse) -> None:
    house = await open_house(max_connections_per_address=3, hls_always=("live",))
    publisher = await house.on_air()
    await keys(publisher, 3)
    await house.arrived(3 * len(key_body()))
    client = await house.http_client()
    await until(lambda: len(house.http) == 1)
    statuses = [(await client.get(PATH))[0].status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert house.players() == 3


async def test_who_sends_ahead_without_measure_is_closed(house: House) -> None:
    await house.on_air()
    client = await house.http_client()
    request = b"GET /live/cam.m3u8 HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n"
    with contextlib.suppress(ConnectionError):
        await client.pipe.write(request * (MAX_AHEAD // len(request) + 2))
        await client.raw.ended()
    await until(lambda: len(house.http) == 0)


@pytest.mark.parametrize(
    "headers", ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"], ids=["a length", "chunks"]
)
async def test_a_request_with_a_body_is_the_last(house: House, headers: str) -> None:
    _, player = await ready(house)
    second = f"GET {player.base}/live.m3u8 HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n"
    first = f"GET {player.base}/live.m3u8 HTTP/1.1\r\nHost: pull.demo.test\r\n{headers}\r\n"
    answer = await player.client.say((first + second).encode())
    assert answer.headers["connection"] == "close"
    assert len(await player.client.body()) == int(answer.headers["content-length"])


async def test_many_requests_that_ask_at_once_are_no_recursion(house: House) -> None:
    _, player = await ready(house)
    request = f"HEAD {player.base}/live.m3u8 HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    count = MAX_AHEAD // len(request)
    await player.client.pipe.write(request * count)
    for _ in range(count):
        assert (await player.client.answer()).status == 200


async def test_nobody_else_is_disturbed_by_frames_that_make_no_sense(house: House) -> None:
    publisher, player = await ready(house)
    await publisher.send_media(Kind.VIDEO, 8000, bytes.fromhex("1700000000") + b"no record at all")
    await publisher.send_media(Kind.AUDIO, 8000, bytes.fromhex("af00ff"))
    for number in range(5):
        await publisher.send_media(Kind.VIDEO, 8000 + 2000 * number, inter_body())
    flv = await house.flv_player()
    await publisher.send_media(Kind.VIDEO, 20_000, key_body(b"sound again"))
    assert await flv.tags(2)
    assert "#EXTM3U" in await player.playlist()
