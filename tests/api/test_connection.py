"""How one connection reads: whatever comes over the line, by raw sockets."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.api.policy import BYTES_IN_CHUNKS, MAX_HEAD, MAX_HEADER_LINES, MAX_LARGE_BODY, MAX_PIPELINED, HttpPolicy
from penstock.clouds.reading import MAX_BODY
from tests.api.door import WITHIN_S, Client, Door, get, post

POLICY = HttpPolicy()


# Targets


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/?",
        "/??a=1",
        "//x//y/",
        "/a/../b/./c",
        "/a%2Fb%00?x=%20+%2B&&x=&=&y",
        "/?Action=CheckBlacklist&Stream=news%201%2B2%2F3",
        "/live/channelManage/createChannel",
        "/a;b=1,2?q='\"<>\\^`{|}",
        "/" + "a" * 16_000 + "?" + "b" * 12_000,
    ],
)
async def test_a_target_arrives_as_it_stood_on_the_line(door: Door, target: str) -> None:
    answer = await (await door.client()).ask(get(target))
    assert (answer.status, answer.told["target"]) == (200, target)
    assert answer.told["query"] == target.partition("?")[2]


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("http://api.demo.test/a?b=1", "/a?b=1"),
        ("https://API.Demo.Test/a", "/a"),
        ("HTTP://api.demo.test", "/"),
        ("http://api.demo.test?b=1", "/?b=1"),
    ],
)
async def test_a_url_of_the_same_host_is_its_path(door: Door, target: str, origin: str) -> None:
    answer = await (await door.client()).ask(get(target))
    assert (answer.status, answer.told["target"]) == (200, origin)


@pytest.mark.parametrize(
    "target",
    [
        "http://other.test/",
        "http://api.demo.test:8080/",
        "http://api.demo.test./",
        "http://api.demo.test@other.test/",
        "http://user@api.demo.test/",
        "http:///a",
        "ftp://api.demo.test/",
        "*",
        "api.demo.test:80",
        "a/b",
        "",
        "/a#b",
        "/a b",
        "/\xe6\xb5\x8b",
        "/a\x7fb",
        "/a\x00b",
        "/a\tb",
    ],
)
async def test_any_other_target_is_refused(door: Door, target: str) -> None:
    client = await door.client()
    answer = await client.ask(get(target))
    assert answer.status == 400
    assert await client.rest() == b""
    assert door.echo.asked == []


# Heads


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nhost: b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test:80:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test:http\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\n X-B: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\n\tX-B: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX A: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\n: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-A\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: a\x00b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: a\rb: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX\xe6: 1\r\n\r\n",
        "GET / HTTP/1.1\nHost: a.test\n\n",
        "GET / HTTP/1.1\r\nHost: a.test\nX-A: 1\r\n\r\n",
        "GET / HTTP/1.1\rHost: a.test\r\r",
        "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/0.9\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a.test\r\n\r\n",
        "GET / http/1.1\r\nHost: a.test\r\n\r\n",
        "GET /\r\n\r\n",
        "get / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "\x00\x00\x00\x00",
    ],
)
async def test_a_head_that_is_no_plain_one_is_refused(door: Door, head: str) -> None:
    client = await door.client()
    answer = await client.ask(head)
    assert answer.status == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert await client.rest() == b""
    assert door.echo.asked == []


async def test_what_fails_in_the_parser_is_no_fault_of_ours(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await (await door.client()).ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        await (await door.client()).ask("nonsense\r\n\r\n")
    assert caplog.text == ""


async def test_header_lines_arrive_in_order_and_as_they_came(door: Door) -> None:
    answer = await (await door.client()).ask(get("/", "X-A:  1 \t", "x-a: 2", "X-B:", "X-C: caf\xe9"))
    assert answer.told["headers"] == [
        ["host", "api.demo.test"],
        ["x-a", "1"],
        ["x-a", "2"],
        ["x-b", ""],
        ["x-c", "caf\xe9"],
    ]


@pytest.mark.parametrize("host", ["a.test", "A.Test", "a.test.", "127.0.0.1:8080", "[::1]:8080", "a_b", "a:"])
async def test_a_host_arrives_as_it_was_sent(door: Door, host: str) -> None:
    answer = await (await door.client()).ask(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
    assert answer.told["headers"] == [["host", host]]


async def test_a_head_may_be_as_long_as_the_bound_and_no_longer(door: Door) -> None:
    for size, status in ((MAX_HEAD - 300, 200), (MAX_HEAD, 431)):
        answer = await (await door.client()).ask(get("/", f"X-A: {'a' * size}"))
        assert answer.status == status


async def test_a_head_may_have_so_many_lines_and_no_more(door: Door) -> None:
    for lines, status in ((MAX_HEADER_LINES - 1, 200), (MAX_HEADER_LINES, 431)):
        answer = await (await door.client()).ask(get("/", *["X-A: 1"] * lines))
        assert answer.status == status


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        ("GET /", "a"),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nX-A: ", "a"),
        ("GET / HTTP/1.1\r\nHost: a.test\r\n", "X"),
        ("GET / HTTP/1.1\r\nHost: a.test\r\n", "X-A: 1\r\n"),
        ("", "\r\n"),
    ],
)
async def test_a_head_without_an_end_is_refused_soon_after_the_bound(door: Door, begin: str, more: str) -> None:
    client = await door.client()
    sent = 0
    await client.say(begin)
    async with asyncio.timeout(WITHIN_S):
        while not client.reader._buffer and sent < 100 * MAX_HEAD:  # type: ignore[attr-defined]
            await client.say(more * 1024)
            sent += 1024 * len(more)
            await asyncio.sleep(0)
    assert (await client.answer()).status == 431
    assert sent < 20 * MAX_HEAD


async def test_a_request_in_single_bytes_is_a_request(door: Door) -> None:
    client = await door.client()
    for byte in post("hello").encode():
        await client.say(bytes((byte,)))
        await asyncio.sleep(0)
    assert (await client.answer()).told["body"] == "hello"


# Bodies


async def test_bodies_arrive_whole_whatever_their_method(door: Door) -> None:
    client = await door.client()
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        answer = await client.ask(f"{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello")
        assert (answer.told["method"], answer.told["body"]) == (method, "hello")


async def test_a_body_in_chunks_arrives_joined(door: Door) -> None:
    answer = await (await door.client()).ask(
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\n\r\n"
    )
    assert answer.told["body"] == "hello"


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, 200), (MAX_BODY + 1, 413)])
async def test_a_body_may_be_as_long_as_the_bound(door: Door, size: int, status: int) -> None:
    answer = await (await door.client()).ask(post("a" * size))
    assert answer.status == status
    chunks = f"{size:x}\r\n{'a' * size}\r\n0\r\n\r\n"
    head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await (await door.client()).ask(head + chunks)).status == status


async def test_a_length_beyond_the_bound_is_refused_before_its_body_comes(door: Door) -> None:
    for length in (MAX_BODY + 1, 1 << 40, (1 << 64) - 1):
        head = f"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        assert (await (await door.client()).ask(head)).status == 413


# Large ones


@pytest.fixture
async def gallery() -> AsyncIterator[Door]:
    """A door where two bodies with pictures may be at a time."""
    there = Door(HttpPolicy(large_targets=re.compile(rb"[?]picture\Z"), max_large_bodies=2))
    there.listen()
    yield there
    await there.close()


def picture(size: int, *, is_chunked: bool = False, target: str = "/?picture") -> tuple[str, str]:
    """Head and body of a request with a body of that size."""
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {size}"
    body = f"{size:x}\r\n{'a' * size}\r\n0\r\n\r\n" if is_chunked else "a" * size
    return f"POST {target} HTTP/1.1\r\nHost: a.test\r\n{length}\r\n\r\n", body


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_may_be_large_where_pictures_are_expected(gallery: Door, is_chunked: bool) -> None:
    for size, status in ((MAX_LARGE_BODY, 200), (MAX_LARGE_BODY + 1, 413), (MAX_BODY, 200)):
        client = await gallery.client()
        answer = await client.ask("".join(picture(size, is_chunked=is_chunked)))
        assert answer.status == status
        if status == 200:
            assert answer.told["body"] == size
    client = await gallery.client()
    head, body = picture(MAX_BODY + 1, is_chunked=is_chunked, target="/?no-picture")
    assert (await client.ask(head + body)).status == 413


async def test_few_large_bodies_may_be_there_at_a_time(gallery: Door) -> None:
    waiting = [await gallery.client() for _ in range(2)]
    for client in waiting:
        await client.say(picture(MAX_BODY + 1)[0])
    late = await gallery.client()
    assert (await late.ask(picture(MAX_BODY + 1)[0])).status == 503
    small = await gallery.client()
    assert (await small.ask("".join(picture(MAX_BODY)))).status == 200
    # One is answered, and its connection stays; one goes away in the middle.
    assert (await waiting[0].ask("a" * (MAX_BODY + 1))).status == 200
    for client in (waiting[1], late, small):
        await client.close()
    await gallery.guests(1)
    assert gallery.server.large_bodies == 0
    for _ in range(3):
        assert (await waiting[0].ask("".join(picture(MAX_BODY + 1)))).status == 200


async def test_a_large_body_has_more_time_and_no_more_than_that(gallery: Door) -> None:
    client = await gallery.client()
    await client.say(picture(MAX_BODY + 1)[0] + "a")
    async with asyncio.timeout(WITHIN_S):
        while not gallery.server.large_bodies:  # noqa: ASYNC110 - the socket's own news comes between
            await asyncio.sleep(0)
    await gallery.pass_time(29)
    await client.say("a")
    await gallery.pass_time(1)
    assert (await client.answer()).status == 408


@pytest.mark.parametrize("extension", ["", ";" + "x" * 200])
async def test_chunks_that_are_mostly_wrapping_end_at_a_bound(door: Door, extension: str) -> None:
    client = await door.client()
    await client.say("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = f"1{extension}\r\nx\r\n"
    sent = 0
    async with asyncio.timeout(WITHIN_S):
        while not client.reader._buffer and sent < 3 * BYTES_IN_CHUNKS * MAX_BODY:  # type: ignore[attr-defined]
            await client.say(chunk * 500)
            sent += 500 * len(chunk)
            await asyncio.sleep(0)
    assert (await client.answer()).status == 413
    assert door.echo.asked == []


async def test_a_body_is_asked_for_when_it_waits_for_that(door: Door) -> None:
    client = await door.client()
    await client.say("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.answer()).status == 100
    assert (await client.ask("hello")).told["body"] == "hello"


# Two readers, two readings


SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Content-Length: 5"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5, 5",),
        ("Content-Length: +5",),
        ("Content-Length: -5",),
        ("Content-Length: 0x5",),
        ("Content-Length: 5 5",),
        ("Content-Length: 5.0",),
        ("Content-Length:",),
        ("Content-Length: 99999999999999999999999",),
        ("Content-Length : 5",),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked;q=1",),
        ("Transfer-Encoding:\x0bchunked",),
        ("Transfer-Encoding: chunked", "Connection: Transfer-Encoding, Upgrade", "Upgrade: websocket"),
        ("Transfer_Encoding: chunked", "Transfer-Encoding: x"),
        ("Content-Length: 5", "Connection: Upgrade", "Upgrade: h2c"),
        ("X: 1\r\n Transfer-Encoding: chunked", "Content-Length: 5"),
    ],
)
async def test_a_body_with_two_ends_is_refused_and_nothing_behind_it_is_read(
    door: Door, lines: tuple[str, ...]
) -> None:
    head = "\r\n".join(("POST / HTTP/1.1", "Host: a.test", *lines, "", ""))
    client = await door.client()
    answer = await client.ask(f"{head}0\r\n\r\n{SMUGGLED}")
    assert answer.status in (400, 413)
    assert await client.rest() == b""
    assert door.echo.asked == []


@pytest.mark.parametrize(
    "body",
    [
        "5\nhello\n0\n\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "fffffff0\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Action: ForbidStream\r\n\r\n",
        "5\r\nhello\r\n0\r\nHost: b.test\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
    ],
)
async def test_chunks_that_are_not_by_the_book_are_refused(door: Door, body: str) -> None:
    client = await door.client()
    await client.say(f"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}")
    if body.startswith("fffffff0"):
        client.writer.write_eof()  # a chunk of 4 GB is on its way, for all we know
        assert await client.rest() == b""
    else:
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
    assert door.echo.asked == []


async def test_http_1_0_has_no_chunks(door: Door) -> None:
    head = "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert (await (await door.client()).ask(head)).status == 400


# One connection, many requests


async def test_a_connection_is_kept_for_the_next_request(door: Door) -> None:
    client = await door.client()
    for number in range(5):
        answer = await client.ask(get(f"/{number}"))
        assert answer.told["target"] == f"/{number}"
        assert "connection" not in answer.headers
        assert "server" not in answer.headers
        assert "date" in answer.headers


@pytest.mark.parametrize(
    "request_",
    [
        get("/", "Connection: close"),
        "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ],
)
async def test_a_connection_is_closed_when_it_is_to_be(door: Door, request_: str) -> None:
    client = await door.client()
    answer = await client.ask(request_)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await client.rest() == b""


async def test_bytes_behind_a_last_request_are_not_read_as_another(door: Door) -> None:
    client = await door.client()
    answer = await client.ask(get("/", "Connection: close") + SMUGGLED)
    assert answer.status == 200
    assert await client.rest() == b""
    assert len(door.echo.asked) == 1


async def test_requests_sent_ahead_are_answered_in_their_order(door: Door) -> None:
    client = await door.client()
    may_answer = asyncio.Event()
    door.echo.instead = may_answer.wait  # type: ignore[assignment]
    await client.say("".join(get(f"/{number}") for number in range(MAX_PIPELINED)))
    may_answer.set()
    for number in range(MAX_PIPELINED):
        assert (await client.answer()).told["target"] == f"/{number}"


async def test_too_many_requests_sent_ahead_end_behind_the_last_that_was_taken(door: Door) -> None:
    client = await door.client()
    await client.say("".join(get(f"/{number}") for number in range(500)))
    text = (await client.rest()).decode()
    assert text.count("HTTP/1.1 200") == len(door.echo.asked) == MAX_PIPELINED + 1
    assert text.count("connection: close") == 1
    assert "HTTP/1.1 400" not in text


async def test_what_is_wrong_behind_a_request_costs_that_its_answer_not(door: Door) -> None:
    client = await door.client()
    answer = await client.ask(get("/first") + "nonsense\r\n\r\n")
    assert (answer.told["target"], answer.headers["connection"]) == ("/first", "close")
    assert await client.rest() == b""


async def test_a_client_that_closes_its_half_is_answered(door: Door) -> None:
    client = await door.client()
    may_answer = asyncio.Event()
    door.echo.instead = may_answer.wait  # type: ignore[assignment]
    await client.say(get("/late"))
    client.writer.write_eof()
    await asyncio.wait_for(door.echo.asked_one.wait(), WITHIN_S)
    await asyncio.sleep(0)
    may_answer.set()
    assert (await client.answer()).told["target"] == "/late"
    assert await client.rest() == b""


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(door: Door) -> None:
    for half in ("GET /", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"):
        client = await door.client()
        await client.say(half)
        await door.guests(1)
        await client.close()
        await door.guests(0)
    assert door.echo.asked == []


async def test_an_application_that_fails_is_a_500_of_its_own_request(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise RuntimeError("spilt")

    door.echo.instead = fail
    assert (await (await door.client()).ask(get())).status == 500
    assert "spilt" in caplog.text
    door.echo.instead = None
    assert (await (await door.client()).ask(get())).status == 200


# Deadlines


async def test_a_connection_that_says_nothing_is_closed_without_a_word(door: Door) -> None:
    client = await door.client()
    await door.guests(1)
    await door.pass_time(POLICY.head_s - 0.1)
    assert len(door.server) == 1
    await door.pass_time(0.1)
    assert await client.rest() == b""


async def _trickle(door: Door, client: Client, piece: str, seconds: float) -> None:
    for _ in range(int(seconds)):
        await client.say(piece)
        await asyncio.sleep(0)
        await door.pass_time(1)


async def test_a_head_that_trickles_in_is_refused_at_its_deadline(door: Door) -> None:
    client = await door.client()
    await client.say("GET / HTTP/1.1\r\n")
    await door.guests(1)
    await _trickle(door, client, "X-A: 1\r\n", POLICY.head_s)
    assert (await client.answer()).status == 408


async def test_a_body_that_trickles_in_is_refused_at_its_deadline(door: Door) -> None:
    client = await door.client()
    await client.say("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.answer()).status == 100
    await _trickle(door, client, "x", POLICY.body_s)
    assert (await client.answer()).status == 408
    assert door.echo.asked == []


async def test_the_next_head_has_a_deadline_of_its_own(door: Door) -> None:
    client = await door.client()
    await client.ask(get())
    await door.pass_time(POLICY.keep_alive_s - 1)
    await client.ask(get())
    await client.say("GET / HTTP/1.1\r\n")
    await _trickle(door, client, "X-A: 1\r\n", POLICY.head_s)
    assert (await client.answer()).status == 408


async def test_a_connection_that_rests_too_long_is_closed(door: Door) -> None:
    client = await door.client()
    await client.ask(get())
    await door.pass_time(POLICY.keep_alive_s)
    assert await client.rest() == b""


async def test_an_answer_may_take_its_time(door: Door) -> None:
    client = await door.client()
    may_answer = asyncio.Event()
    door.echo.instead = may_answer.wait  # type: ignore[assignment]
    await client.say(get())
    await asyncio.wait_for(door.echo.asked_one.wait(), WITHIN_S)
    await door.pass_time(3600)
    may_answer.set()
    assert (await client.answer()).status == 200


async def test_a_refused_peer_that_sends_on_is_cut_after_a_moment(door: Door) -> None:
    client = await door.client()
    assert (await client.ask("nonsense\r\n\r\n")).status == 400
    await client.say("x" * 100_000)
    await door.pass_time(POLICY.closing_s)
    await client.rest()
    await door.guests(0)


async def test_a_peer_that_takes_nothing_is_cut(door: Door) -> None:
    client = await door.client()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    door.echo.filling = b"x" * 30_000_000  # more than all socket buffers
    await client.say(get())
    await asyncio.wait_for(door.echo.asked_one.wait(), WITHIN_S)
    await door.pass_time(1)
    await door.pass_time(POLICY.stall_s - 0.1)
    assert len(door.server) == 1
    await door.pass_time(0.1)
    await door.guests(0)


# Anything


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                ["GET ", "POST ", "/", "?a=%", " HTTP/1.1", "\r\n", "\n", "Host: a.test\r\n", "Content-Length: ", "5",
                 "Transfer-Encoding: chunked\r\n", "0\r\n\r\n", ":", " ", "\t", "\x00", "hi", "Connection: close\r\n"]
            ),
            max_size=25,
        ).map(lambda parts: "".join(parts).encode("latin-1")),
    )
)  # fmt: skip
async def test_any_bytes_are_answered_or_closed(data: bytes) -> None:
    door = Door()
    door.listen()
    client = await door.client()
    await client.say(data)
    client.writer.write_eof()
    answers = await client.rest()
    assert answers == b"" or answers.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 5" not in answers
    await door.guests(0)
    await door.close()
