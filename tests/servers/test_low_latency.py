"""Low-latency HLS on the HTTP door: requests that wait for a part, and how each of them ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable

import pytest

from penstock.engine.parts import Reload
from penstock.errors import HttpError
from penstock.link.messages import EndReason
from penstock.model import Kind
from penstock.servers.hls import KEEP_ALIVE_S, PART_S, read_reload
from tests.clock import ManualClock
from tests.engine.kit import audio_body, inter_body, key_body
from tests.protocols.boxes import read_segment
from tests.servers.client import HttpClient, RtmpClient
from tests.servers.hlsplayer import HlsPlayer
from tests.servers.house import House, OpenHouse, until

FPS = 25


class Studio:
    """A house with low latency, a publisher, and a player that has read the playlist."""

    def __init__(self, house: House, clock: ManualClock, publisher: RtmpClient, player: HlsPlayer) -> None:
        self.house = house
        self.clock = clock
        self.publisher = publisher
        self.player = player
        self.sent = 0  # pictures

    @classmethod
    async def open(cls, open_house: OpenHouse, **media: object) -> Studio:
        clock = ManualClock()
        house = await open_house(clock=clock, hls_low_latency=True, hls_always=("live",), idle_timeout_s=100, **media)
        publisher = await house.on_air()
        studio = cls(house, clock, publisher, None)  # type: ignore[arg-type]
        await studio.film(2 * FPS + 10)
        studio.player = await HlsPlayer.begin(await house.http_client())
        await studio.player.playlist()
        return studio

    async def film(self, pictures: int) -> None:
        """So many more with sound, of which every fiftieth is a key frame; the engine has them all."""
        (publication,) = self.house.engine.hub.publications()
        wanted = publication.facts.video_frames + pictures
        for _ in range(pictures):
            self.sent += 1
            at_ms = self.sent * 1000 // FPS
            body = (inter_body if self.sent % (2 * FPS) else key_body)(b"%d" % self.sent)
            await self.publisher.send_media(Kind.AUDIO, at_ms, audio_body())
            await self.publisher.send_media(Kind.VIDEO, at_ms, body)
        await until(lambda: publication.facts.video_frames == wanted)

    @property
    def next(self) -> tuple[int, int]:
        """The part that the player's playlist hints."""
        number, index = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="(\d+)\.(\d+)\.m4s"', self.player.text)[0]
        return int(number), int(index)

    def get(self, name: str, client: HttpClient | None = None) -> asyncio.Task[tuple[int, bytes]]:
        """Ask for something of the player's session; it may have to wait."""
        client = client or self.player.client

        async def ask() -> tuple[int, bytes]:
            answer, body = await client.get(f"{self.player.base}/{name}")
            return answer.status, body

        return asyncio.create_task(ask())

    def reload(self, number: int, index: int | None = None) -> asyncio.Task[tuple[int, bytes]]:
        part = "" if index is None else f"&_HLS_part={index}"
        return self.get(f"live.m3u8?_HLS_msn={number}{part}")

    async def until_it_waits(self, count: int = 1) -> None:
        await until(lambda: len(self.house.engine.viewers.waits) == count)

    def tick(self) -> None:
        self.house.engine.hub.tick()
        self.house.engine.viewers.tick()
        self.house.http.sweep()


async def soon(task: Awaitable[tuple[int, bytes]]) -> tuple[int, bytes]:
    async with asyncio.timeout(5):
        return await task


# The playlist


async def test_a_playlist_says_that_it_can_be_waited_for(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    assert "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.900\n" in studio.player.text
    assert "#EXT-X-PART-INF:PART-TARGET=0.300\n" in studio.player.text


async def test_what_is_there_is_answered_at_once(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    number, index = studio.next
    for wanted in ((number - 1, None), (number, index - 1), (number - 1, 99)):
        status, body = await soon(studio.reload(*wanted))
        assert (status, body.decode()) == (200, studio.player.text)
    assert len(studio.house.engine.viewers.waits) == 0


async def test_a_reload_waits_for_the_next_part_and_is_answered_by_it(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    number, index = studio.next
    asked = studio.reload(number, index)
    await studio.until_it_waits()
    await studio.film(FPS // 2)
    status, body = await soon(asked)
    assert status == 200
    assert f'URI="{number}.{index}.m4s"' in body.decode()
    assert len(studio.house.engine.viewers.waits) == 0


async def test_a_reload_for_a_segment_waits_until_it_is_whole(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    number, _ = studio.next
    asked = studio.reload(number)
    await studio.until_it_waits()
    await studio.film(FPS // 2)
    assert not asked.done()
    await studio.film(2 * FPS)
    _, body = await soon(asked)
    assert f"\n{number}.m4s\n" in body.decode()


async def test_a_part_that_is_hinted_is_waited_for(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    number, index = studio.next
    asked = studio.get(f"{number}.{index}.m4s")
    await studio.until_it_waits()
    await studio.film(FPS // 2)
    status, body = await soon(asked)
    assert status == 200
    assert read_segment(body)
    # All players get the same bytes, and the segment is made of them.
    await studio.film(2 * FPS)
    whole = await studio.player.get(f"{number}.m4s")
    parts = re.findall(rf'URI="({number}\.\d+\.m4s)"', await studio.player.playlist())
    assert whole == b"".join([await studio.player.get(name) for name in parts])
    assert body in whole


async def test_parts_say_how_long_they_may_be_kept(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    number, index = studio.next
    answer = await studio.player.ask(f"{number}.{index - 1}.m4s", "HEAD")
    assert (answer.status, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.headers["cache-control"] == "public, max-age=3600, immutable"


async def test_many_who_wait_are_answered_together(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    number, index = studio.next
    clients = [await studio.house.http_client() for _ in range(20)]
    asked = [
        studio.get(name, client) for client in clients for name in [f"live.m3u8?_HLS_msn={number}&_HLS_part={index}"]
    ]
    await studio.until_it_waits(20)
    await studio.film(FPS // 2)
    bodies = {body for _, body in await asyncio.gather(*map(soon, asked))}
    assert len(bodies) == 1


# What is refused


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=0",
        "_HLS_msn=",
        "_HLS_msn=x",
        "_HLS_msn=-1",
        "_HLS_msn=1&_HLS_part=",
        "_HLS_msn=1&_HLS_part=x",
        "_HLS_msn=%31",
        f"_HLS_msn={'9' * 19}",
    ],
)
async def test_a_directive_that_is_none_is_a_bad_request(open_house: OpenHouse, query: str) -> None:
    studio = await Studio.open(open_house)
    assert (await soon(studio.get(f"live.m3u8?{query}")))[0] == 400
    # The session goes on, on the same connection.
    assert await studio.player.status("live.m3u8") == 200


@pytest.mark.parametrize(("ahead", "index"), [(2, None), (2, 0), (10**6, None), (0, 40), (1, 40)])
async def test_what_is_too_far_ahead_is_a_bad_request(open_house: OpenHouse, ahead: int, index: int | None) -> None:
    studio = await Studio.open(open_house)
    number, _ = studio.next
    assert (await soon(studio.reload(number + ahead, index)))[0] == 400


@pytest.mark.parametrize("name", ["{n}.{j}.m4s", "{m}.0.m4s", "{n}.00.m4s", "0{n}.0.m4s", "{n}.99999.m4s", "1.0.m4s"])
async def test_a_part_that_is_neither_there_nor_hinted_is_not_found(open_house: OpenHouse, name: str) -> None:
    studio = await Studio.open(open_house)
    number, index = studio.next
    asked = studio.get(name.format(n=number, m=number + 1, j=index + 1))
    assert (await soon(asked))[0] == 404


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", None),
        ("vhost=demo", None),
        ("x_HLS_msn=3", None),
        ("_HLS_skip=YES", None),
        ("_HLS_msn=3", Reload(3, None)),
        ("vhost=demo&_HLS_msn=3&_HLS_part=0", Reload(3, 0)),
        ("_HLS_part=12&x=1&_HLS_msn=3", Reload(3, 12)),
    ],
)
def test_directives_are_read_out_of_a_query(query: str, wanted: Reload | None) -> None:
    assert read_reload(query) == wanted


def test_a_part_without_its_segment_is_an_error() -> None:
    with pytest.raises(HttpError, match="wanted _HLS_msn=NUMBER"):
        read_reload("_HLS_part=3")


# How waiting ends


async def test_who_waits_too_long_is_told_that_nothing_new_came(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house, keep_players_s=100)
    number, index = studio.next
    for asked in (studio.reload(number, index), studio.get(f"{number}.{index}.m4s", await studio.house.http_client())):
        await studio.until_it_waits()
        studio.clock.advance(PART_S - 0.1)
        studio.tick()
        await asyncio.sleep(0)
        assert not asked.done()
        studio.clock.advance(0.1)
        studio.tick()
        assert (await soon(asked))[0] == 503
    # The session is there as before.
    assert await studio.player.status("live.m3u8") == 200


async def test_the_publishers_last_part_is_an_answer_and_so_is_the_end(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    number, index = studio.next
    asked = studio.reload(number, index)
    await studio.until_it_waits()
    await studio.publisher.leave()
    status, body = await soon(asked)
    assert status == 200
    assert f"\n{number}.m4s\n" in body.decode()
    asked = studio.reload(number + 1, 0)
    hinted = studio.get(f"{number + 1}.0.m4s", await studio.house.http_client())
    await studio.until_it_waits(2)
    studio.clock.advance(8)
    studio.tick()
    await asyncio.sleep(0)
    # Both were asked for less than nine seconds ago, and the stream is kept for ten.
    assert not asked.done()
    studio.house.engine.hub.drain(EndReason.ENGINE_STOPPED)
    status, body = await soon(asked)
    assert status == 200
    assert body.endswith(b"#EXT-X-ENDLIST\n")
    # That part will never be.
    assert (await soon(hinted))[0] == 404


@pytest.mark.parametrize("reason", [EndReason.KICKED, EndReason.BANNED])
async def test_who_is_thrown_out_while_it_waits_is_cut_off(open_house: OpenHouse, reason: EndReason) -> None:
    studio = await Studio.open(open_house)
    number, index = studio.next
    asked = studio.reload(number, index)
    await studio.until_it_waits()
    await studio.house.drop(reason=reason)
    with pytest.raises((EOFError, ConnectionError)):
        await soon(asked)
    assert len(studio.house.engine.viewers.waits) == 0


async def test_who_goes_while_it_waits_is_forgotten(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    number, index = studio.next
    asked = studio.reload(number, index)
    await studio.until_it_waits()
    asked.cancel()
    studio.player.client.close()
    await until(lambda: len(studio.house.engine.viewers.waits) == 0)
    await until(lambda: len(studio.house.http) == 0)


async def test_one_that_waits_is_no_idle_connection_and_counts_as_one(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house, max_connections_per_address=2, keep_players_s=100)
    number, index = studio.next
    asked = studio.reload(number, index)
    await studio.until_it_waits()
    with pytest.raises((EOFError, ConnectionError)):
        # The publisher is the other one.
        await (await studio.house.http_client()).get("/live/cam.m3u8")
    studio.clock.advance(PART_S - 0.5)
    studio.tick()
    await studio.film(FPS // 2)
    assert (await soon(asked))[0] == 200
    studio.clock.advance(KEEP_ALIVE_S)
    studio.tick()
    await until(lambda: len(studio.house.http) == 0)


async def test_every_byte_is_counted(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    await studio.house.usage_bytes()
    before = await studio.house.usage_bytes()
    number, index = studio.next
    asked = studio.get(f"{number}.{index}.m4s")
    await studio.until_it_waits()
    # What is refused is nobody's, though the same connection plays.
    await studio.film(FPS // 2)
    _, body = await soon(asked)
    head = await studio.player.ask(f"{number}.{index}.m4s", "HEAD")
    size = len("".join(f"{name}: {value}\r\n" for name, value in head.headers.items())) + len("HTTP/1.1 200 OK\r\n\r\n")
    assert await studio.house.usage_bytes() - before == len(body) + 2 * size


async def test_a_publishers_return_is_waited_for(open_house: OpenHouse) -> None:
    studio = await Studio.open(open_house)
    await studio.publisher.leave()
    await until(lambda: not studio.house.engine.hub.on_air())
    await studio.player.playlist()
    number, index = studio.next
    asked = studio.reload(number, index)
    await studio.until_it_waits()
    studio.clock.advance(1)
    studio.publisher = await studio.house.on_air()
    studio.sent = 0
    await studio.film(FPS)
    text = (await soon(asked))[1].decode()
    assert index == 0
    assert (
        f'#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:01.000Z\n#EXT-X-PART:DURATION=0.280,URI="{number}.0.m4s"'
        in text
    )


# Without the setting


async def test_without_the_setting_nothing_waits_and_there_are_no_parts(open_house: OpenHouse) -> None:
    house = await open_house(hls_always=("live",))
    publisher = await house.on_air()
    for second in range(2, 8, 2):
        await publisher.send_media(Kind.VIDEO, 1000 * second, key_body())
    player = await HlsPlayer.begin(await house.http_client())
    text = await player.playlist()
    assert not re.search("PART|SERVER-CONTROL|PRELOAD", text)
    number = int(player.segments[-1].partition(".")[0])
    for query in (f"_HLS_msn={number + 1}", f"_HLS_msn={number + 50}", "_HLS_part=3", "_HLS_msn=x"):
        assert await player.status(f"live.m3u8?{query}") == 200
    assert await player.status(f"{number}.0.m4s") == 404
