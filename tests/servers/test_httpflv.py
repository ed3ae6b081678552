from __future__ import annotations

import asyncio
from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.addressing import Target
from penstock.errors import HttpError
from penstock.model import Kind
from penstock.protocols.flv import Tag, file_header
from penstock.servers import httpflv
from penstock.servers.httpflv import target_of
from penstock.servers.request import MAX_REQUEST_HEAD, read_request
from tests.clock import ManualClock
from tests.engine.kit import AAC_HEADER, AVC_HEADER, inter_body, is_key_tag, is_setup_tag, key_body
from tests.servers.client import HttpClient
from tests.servers.house import DEMO, House, OpenHouse, until

START = [(Kind.VIDEO, AVC_HEADER), (Kind.AUDIO, AAC_HEADER), (Kind.VIDEO, key_body())]


# Playing


async def test_a_get_is_answered_with_the_stream(house: House) -> None:
    publisher = await house.on_air()
    client = await house.http_client()
    answer = await client.request("/live/cam.flv")
    assert answer.status == 200
    assert answer.headers == {
        "content-type": "video/x-flv",
        "cache-control": "no-store",
        "access-control-allow-origin": "*",
        "connection": "close",
    }
    await publisher.send_media(Kind.VIDEO, 40, inter_body())
    tags = await client.tags(4)
    assert [(tag.kind, tag.payload) for tag in tags] == [*START, (Kind.VIDEO, inter_body())]


async def test_the_body_is_the_streams_own_bytes_in_no_coding(house: House) -> None:
    await house.on_air()
    client = await house.http_client()
    await client.request("/live/cam.flv")
    await until(lambda: house.players() == 1)
    await house.drop()
    assert (await client.body()).startswith(file_header(audio=True, video=True))


async def test_a_request_in_single_bytes_is_a_request(house: House) -> None:
    await house.on_air()
    client = await house.http_client()
    for byte in b"GET /live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\nUser-Agent: slow\r\n\r\n":
        await client.pipe.write(bytes((byte,)))
        await asyncio.sleep(0)
    assert (await client.answer()).status == 200
    assert len(await client.tags(3)) == 3


@pytest.mark.parametrize(
    "head",
    [
        "GET /live/cam.flv HTTP/1.0\r\nHost: pull.demo.test\r\n\r\n",
        "GET http://pull.demo.test/live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n",
        "GET https://pull.demo.test:8444/live/cam.flv HTTP/1.1\r\nHost: whatever.test\r\n\r\n",
        "GET /live/cam.flv HTTP/1.1\r\nHost: PULL.Demo.Test:8081\r\n\r\n",
        "GET /live/cam.flv HTTP/1.1\r\nhost: pull.demo.test.\r\n\r\n",
        "GET /live/cam.flv?key=1 HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n",
        "GET /live/cam.flv?vhost=demo HTTP/1.1\r\nHost: 127.0.0.1:8081\r\n\r\n",
        "GET /live/cam.flv?a=1&vhost=pull.demo.test HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET /live/cam.flv?vhost=shop HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n",
        "GET /live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\nRange: bytes=0-\r\nConnection: keep-alive\r\n\r\n",
        "GET /live/cam.flv HTTP/1.1\nHost: pull.demo.test\n\n",
    ],
)
async def test_all_these_mean_the_same_stream(house: House, head: str) -> None:
    await house.on_air()
    client = await house.http_client()
    assert (await client.say(head.encode())).status == 200
    assert len(await client.tags(3)) == 3


async def test_the_host_tells_the_vhost(house: House) -> None:
    await house.on_air()
    await house.on_air(tc_url="rtmp://push.shop.test/live")
    for host, vhost in (("pull.demo.test", "demo"), ("pull.shop.test", "shop")):
        await house.flv_player(host=host)
        assert house.players(type(DEMO)(vhost, "live", "cam")) == 1


async def test_a_players_own_bytes_after_its_request_mean_nothing(house: House) -> None:
    publisher = await house.on_air()
    client = await house.http_client()
    await client.say(b"GET /live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\n\r\nGET /live/other.flv HTTP/1.1\r\n\r\n")
    await client.pipe.write(b"\xff" * 100_000)
    await publisher.send_media(Kind.VIDEO, 40, inter_body())
    assert len(await client.tags(4)) == 4


# Other methods


async def test_a_head_is_answered_like_a_get_and_is_no_play(house: House) -> None:
    await house.on_air()
    client = await house.http_client()
    answer = await client.request("/live/cam.flv", method="HEAD")
    assert (answer.status, answer.headers["content-type"]) == (200, "video/x-flv")
    assert await client.body() == b""
    assert house.players() == 0
    assert await house.usage_bytes() == 0


async def test_a_head_of_what_is_not_there_has_no_body_either(house: House) -> None:
    client = await house.http_client()
    answer = await client.request("/live/cam.flv", method="HEAD")
    assert answer.status == 404
    assert int(answer.headers["content-length"]) > 0
    assert await client.body() == b""


async def test_a_page_of_any_origin_may_ask(house: House) -> None:
    client = await house.http_client()
    answer = await client.request(
        "/live/cam.flv",
        method="OPTIONS",
        headers="Origin: https://player.test\r\nAccess-Control-Request-Method: GET\r\n",
    )
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert "access-control-allow-credentials" not in answer.headers
    assert await client.body() == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "CONNECT", "TRACE", "PRI", "get", "X"])
async def test_no_other_method_is_taken(house: House, method: str) -> None:
    await house.on_air()
    answer = await (await house.http_client()).request("/live/cam.flv", method=method)
    assert answer.status == 404
    assert house.players() == 0


# Everything else


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/live",
        "/live/cam.flv/",
        "/live/.flv",
        "/live/..flv",
        "/live/...flv",
        "/live/other.flv",
        "/live/Cam.flv",
        "/LIVE/cam.flv",
        "/vod/cam.flv",
        "/live//cam.flv",
        "//live/cam.flv",
        "//pull.demo.test/live/cam.flv",
        "/live/../live/cam.flv",
        "/live/%63am.flv",
        "/live/..%2fcam.flv",
        "/live/cam%00.flv",
        "/live/cam.flv#x",
        "/live\\cam.flv",
        "/live/c:am.flv",
        "/live/" + "x" * 300 + ".flv",
        "live/cam.flv",
        "*",
        "ftp://pull.demo.test/live/cam.flv",
        "http:/live/cam.flv/",
        "http://[::1/live/cam.flv",
        "http://pull.nosuch.test/live/cam.flv",
        "/live/cam.flv?vhost=nosuch",
        "/live/cam.flv?vhost=shop",
        "/crossdomain.xml",
        "/etc/passwd",
    ],
)
async def test_everything_else_is_not_found(house: House, target: str) -> None:
    await house.on_air()
    client = await house.http_client()
    answer = await client.request(target, host="127.0.0.1" if "?" in target else "pull.demo.test")
    assert answer.status == 404
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["access-control-allow-origin"] == "*"
    body = await client.body()
    assert len(body) == int(answer.headers["content-length"])
    assert len(body) < 500
    assert house.players() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "nosuch.test", "", "pull.demo.test.evil.test", "a@b@c", "[::1", "\xff"])
async def test_a_host_that_no_vhost_has_is_not_found_and_the_answer_says_how_to_name_one(
    house: House, host: str
) -> None:
    await house.on_air()
    client = await house.http_client()
    answer = await client.request("/live/cam.flv", host=host)
    assert answer.status == 404
    assert b"vhost" in await client.body() or host == "\xff"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\r\n\r\n", id="nothing"),
        pytest.param(b"GET\r\n\r\n", id="one word"),
        pytest.param(b"GET /live/cam.flv\r\n\r\n", id="no version"),
        pytest.param(b"GET /live/c am.flv HTTP/1.1\r\nHost: a\r\n\r\n", id="a space in the path"),
        pytest.param(b"GET /live/cam.flv HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET /live/cam.flv HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two hosts"),
        pytest.param(b"GET /live/cam.flv HTTP/1.1\r\nHost : a\r\n\r\n", id="a space before the colon"),
        pytest.param(b"GET /live/cam.flv HTTP/1.1\r\nHost: a\x00b\r\n\r\n", id="a zero in a header"),
        pytest.param(b"GET /live/cam.flv HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n", id="a header without a colon"),
        pytest.param(b"GET /live/cam.flv HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", id="a negative length"),
        pytest.param(
            b"GET /live/cam.flv HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            id="two lengths",
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"\x03" + bytes(100), id="RTMP"),
    ],
)
async def test_what_is_no_request_is_a_bad_one(house: House, head: bytes) -> None:
    client = await house.http_client()
    answer = await client.say(head)
    assert answer.status == 400
    body = await client.body()
    assert len(body) == int(answer.headers["content-length"])


async def test_a_coding_that_nobody_knows_is_not_implemented(house: House) -> None:
    client = await house.http_client()
    answer = await client.request("/live/cam.flv", headers="Transfer-Encoding: gzip\r\n")
    assert answer.status == 501


def head_of(size: int) -> bytes:
    start, end = b"GET /live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\nX: ", b"\r\n\r\n"
    return start + b"x" * (size - len(start) - len(end)) + end


async def test_a_head_of_the_largest_size_is_read(house: House) -> None:
    await house.on_air()
    client = await house.http_client()
    assert (await client.say(head_of(MAX_REQUEST_HEAD))).status == 200


@pytest.mark.parametrize("size", [MAX_REQUEST_HEAD + 2, 60_000, 250_000])
async def test_a_longer_head_is_refused_however_it_arrives(house: House, size: int) -> None:
    await house.on_air()
    whole, parts = await house.http_client(), await house.http_client()
    assert (await whole.say(head_of(size))).status == 431
    head = head_of(size)
    for at in range(0, MAX_REQUEST_HEAD + 1000, 1000):
        await parts.pipe.write(head[at : at + 1000])
        await asyncio.sleep(0)
    assert (await parts.answer()).status == 431
    assert house.players() == 0


async def test_a_head_that_never_ends_is_refused_at_the_bound(house: House) -> None:
    client = await house.http_client()
    assert (await client.say(b"GET /" + b"a" * MAX_REQUEST_HEAD)).status == 431


# Ends


async def test_the_stream_ends_where_a_tag_ends_when_its_publisher_stays_away(open_house: OpenHouse) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock)
    publisher = await house.on_air()
    client = await house.flv_player()
    await publisher.leave()
    await until(lambda: not house.engine.hub.on_air())
    clock.advance(10)
    house.engine.hub.tick()
    assert [(tag.kind, tag.payload) for tag in await client.rest()] == START


async def test_a_player_that_goes_is_no_player_any_more(house: House) -> None:
    await house.on_air()
    closes, resets = await house.http_client(), await house.http_client()
    for client in (closes, resets):
        await client.request("/live/cam.flv")
        await client.tags(3)
    await until(lambda: house.players() == 2)
    closes.close()
    resets.raw.reset()
    await until(lambda: house.players() == 0)
    assert len(house.http) == 0


async def test_a_player_that_is_gone_at_once_harms_nothing(house: House) -> None:
    await house.on_air()
    for _ in range(20):
        client = await house.http_client()
        await client.pipe.write(b"GET /live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n")
        client.raw.reset()
    viewer = await house.flv_player()
    assert len(await viewer.tags(3)) == 3
    await until(lambda: len(house.http) == 1)


async def test_a_slow_player_skips_to_the_next_key_frame_and_gets_whole_tags_alone(open_house: OpenHouse) -> None:
    house = await open_house(player_buffer_kib=256)
    publisher = await house.on_air()
    slow = await house.http_client(receive_buffer=4096)
    assert (await slow.request("/live/cam.flv")).status == 200
    await until(lambda: len(house.http) == 1)
    (connection,) = house.http._connections

    async def film(number: int) -> None:
        body = (key_body if number % 20 == 0 else inter_body)(bytes(20_000))
        await publisher.send_media(Kind.VIDEO, number * 40, body)
        await house.arrived(number * len(body))

    for number in range(1, 200):  # 4 MB, of which it reads nothing
        await film(number)
    assert connection.outlet.skipped_at
    reading = asyncio.create_task(_read_up_to(slow, 239 * 40))
    for number in range(200, 240):
        # It reads again: what was on its way first, then nothing until there is a key frame.
        await until(lambda: not connection.outlet.queue)
        await film(number)
    pictures = [tag for tag in await reading if not is_setup_tag(tag)]
    times = [tag.dts_ms for tag in pictures]
    (gap,) = [at for at, (before, after) in enumerate(pairwise(times), 1) if after != before + 40]
    assert is_key_tag(pictures[gap])
    assert times[gap:] == list(range(200 * 40, 240 * 40, 40))


async def _read_up_to(client: HttpClient, dts_ms: int) -> list[Tag]:
    tags = await client.tags(1)
    while tags[-1].dts_ms < dts_ms:
        tags += await client.tags(1)
    return tags


# TLS


async def test_in_tls_it_is_the_same(open_house: OpenHouse) -> None:
    house = await open_house(tls=True)
    publisher = await house.on_air()
    port = house.engine.doors["https"].port
    client = await HttpClient.open_tls(port, house.client_context(), "pull.demo.test")
    answer = await client.request("/live/cam.flv")
    assert (answer.status, answer.headers["content-type"]) == (200, "video/x-flv")
    large = inter_body(bytes(range(256)) * 4000)
    await publisher.send_media(Kind.VIDEO, 40, large)
    tags = await client.tags(4)
    assert [(tag.kind, tag.payload) for tag in tags] == [*START, (Kind.VIDEO, large)]
    await house.drop()
    assert await client.rest() == []
    client.close()


async def test_usage_in_tls_is_counted_before_it_and_says_so(open_house: OpenHouse) -> None:
    house = await open_house(tls=True)
    await house.on_air()
    port = house.engine.doors["https"].port
    client = await HttpClient.open_tls(port, house.client_context(), "pull.demo.test")
    await client.pipe.write(b"GET /live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n")
    await until(lambda: house.players() == 1)
    await house.drop()
    plain = b""
    while data := await client.pipe.read():
        plain += data
    assert await house.usage_bytes() == len(plain)
    (report,) = [message for message in house.told if type(message).__name__ == "Usage"]
    assert [row.tls for row in report.rows] == [True]  # type: ignore[union-attr]
    client.close()


async def test_a_plain_request_at_the_tls_door_is_closed(open_house: OpenHouse) -> None:
    house = await open_house(tls=True)
    client = await HttpClient.open(house.engine.doors["https"].port)
    await client.pipe.write(b"GET /live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n")
    await client.raw.ended()
    client.close()


# The parts by themselves


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_head_is_whole_after_its_last_byte_and_not_before(step: int) -> None:
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST_HEAD)
    head = head_of(5000)
    found = [read_request(parser, head[at : at + step]) for at in range(0, len(head), step)]
    assert found[:-1] == [None] * (len(found) - 1)
    assert found[-1] is not None
    assert found[-1].target == b"/live/cam.flv"


WORDS = st.sampled_from(
    [b"GET ", b"HEAD ", b"/live/cam.flv", b"?", b"%2e", b"http://", b"[", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n",
     b"Host: a\r\n", b"Host:", b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n", b":", b"\r\n\r\n", b"\0"]
)  # fmt: skip
HEADS = st.binary(max_size=100) | st.lists(WORDS | st.binary(max_size=5), max_size=12).map(b"".join)
USUAL = st.just(b"GET /live/cam.flv?a=b HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n")


def what_it_reads(parts: list[bytes]) -> tuple[bytes, ...] | int | None:
    """The request that `parts` are, the status that they are refused with, or None while it is not whole."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST_HEAD)
    try:
        for part in parts:
            request = read_request(parser, part)
            if request is not None:
                return bytes(request.method), bytes(request.target), *map(bytes, dict(request.headers).values())
    except HttpError as error:
        return error.status
    return None


@settings(max_examples=300)
@given(HEADS | USUAL, st.lists(st.integers(0, 100), max_size=6))
def test_any_bytes_are_a_request_or_refused_and_the_same_in_any_split(data: bytes, cuts: list[int]) -> None:
    whole = what_it_reads([data])
    assert whole is None or isinstance(whole, tuple) or whole in httpflv.REASONS
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    # A peer's empty read is its end, and never comes here.
    assert what_it_reads([data[a:b] for a, b in pairwise(places) if a < b]) == whole
    assert what_it_reads([data[at : at + 1] for at in range(len(data))]) == whole


@settings(max_examples=300)
@given(HEADS, HEADS)
def test_any_target_and_host_are_a_stream_to_look_for_or_not_found(target: bytes, host: bytes) -> None:
    try:
        found: Target | int = target_of(target, host)
    except HttpError as error:
        found = error.status
    assert isinstance(found, Target) or found == 404


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        (b"/live/cam.flv", b"a.test", "a.test/live/cam"),
        (b"/live/cam.flv.flv", b"a.test", "a.test/live/cam.flv"),
        (b"http://b.test:80/live/cam.flv", b"a.test", "b.test:80/live/cam"),
        (b"HTTP://b.test/live/cam.flv", b"a.test", "b.test/live/cam"),
        (b"http://u:p@b.test/live/cam.flv?x", b"a.test", "u:p@b.test/live/cam"),
        (b"http:///live/cam.flv", b"a.test", "/live/cam"),
    ],
)
def test_a_target_is_a_host_an_app_and_a_name(target: bytes, host: bytes, expected: str) -> None:
    assert str(target_of(target, host)) == expected


def test_the_query_is_kept_as_it_came() -> None:
    assert target_of(b"/live/cam.flv?a=%20?b&vhost=x", b"h").queries == ("a=%20?b&vhost=x",)


@pytest.mark.parametrize("target", [b"", b"/", b"*", b"/a/b/c.flv", b"/a.flv", b"\xff/live/cam.flv"])
def test_any_other_target_is_none(target: bytes) -> None:
    with pytest.raises(HttpError) as refusal:
        target_of(target, b"a.test")
    assert refusal.value.status == 404


def test_every_status_that_is_answered_has_its_reason() -> None:
    assert set(httpflv.REASONS) >= {400, 404, 431, 501}
