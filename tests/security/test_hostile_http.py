"""Bytes as weapons at the HTTP door: two requests in one, heads without measure, hosts that lie."""

from __future__ import annotations

import contextlib

import pytest

from penstock.engine.addressing import MAX_HOST
from penstock.link.messages import Usage
from penstock.servers.request import MAX_REQUEST_HEAD
from tests.security.conftest import Bystander
from tests.servers.house import DEMO, House, until

SECOND = b"GET /live/cam.flv HTTP/1.1\r\nHost: pull.demo.test\r\n\r\n"
START = b"GET /live/nosuch.flv HTTP/1.1\r\nHost: pull.demo.test\r\n"

SMUGGLED = {
    "two requests at once": START + b"\r\n" + SECOND,
    "a body that is a request": START + b"Content-Length: %d\r\n\r\n" % len(SECOND) + SECOND,
    "a length and chunks": START + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunks and a length": START + b"Transfer-Encoding: chunked\r\nContent-Length: 400\r\n\r\n0\r\n\r\n" + SECOND,
    "two lengths": START + b"Content-Length: 0\r\nContent-Length: 50\r\n\r\n" + SECOND,
    "a length with a sign": START + b"Content-Length: +50\r\n\r\n" + SECOND,
    "chunks in disguise": START + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunks after a blank": START + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunks over two lines": START + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "trailers": START + b"Transfer-Encoding: chunked\r\n\r\n0\r\nHost: pull.demo.test\r\n\r\n" + SECOND,
    "a bare line feed": START + b"X: y\n\r\n" + SECOND,
    "a bare carriage return": START + b"X: y\rHost: a\r\n\r\n" + SECOND,
    "an upgrade": START + b"Connection: Upgrade, keep-alive\r\nUpgrade: h2c\r\n\r\n" + SECOND,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECOND,
}


@pytest.mark.parametrize("sent", SMUGGLED.values(), ids=SMUGGLED)
async def test_a_connection_is_one_request_and_one_answer(house: House, bystander: Bystander, sent: bytes) -> None:
    """Request smuggling: whatever follows the first head is never a request."""
    client = await house.http_client()
    answer = await client.say(sent)
    assert answer.status in (400, 404, 501)
    body = await client.body()
    assert b"HTTP/1.1" not in body
    assert len(body) == int(answer.headers["content-length"])
    assert house.players() == 1


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /live/cam.flv?" + b"a=1&" * 100_000, id="100,000 query parameters"),
        pytest.param(START + b"X: " + b"x" * 1_000_000, id="a header of a megabyte"),
        pytest.param(START + b"".join(b"X-%d: y\r\n" % number for number in range(50_000)), id="50,000 headers"),
        pytest.param(b"GET /" + b"x" * 1_000_000, id="a path of a megabyte"),
        pytest.param(b"G" * 1_000_000, id="a method of a megabyte"),
        pytest.param(b"\r\n" * 100_000, id="empty lines"),
    ],
)
async def test_a_head_without_measure_is_refused_at_the_bound(house: House, bystander: Bystander, head: bytes) -> None:
    """Huge headers, paths and queries."""
    client = await house.http_client()
    # The answer may be lost: what was sent and never read makes the server's close a reset.
    with contextlib.suppress(ConnectionError, EOFError):
        await client.pipe.write(head)
        assert (await client.answer()).status in (400, 431)
    client.close()
    await until(lambda: len(house.http) == 1)


async def test_as_many_parameters_as_fit_a_head_are_no_burden(house: House, bystander: Bystander) -> None:
    """Query parameters by the thousand, as many as a head may hold."""
    client = await house.http_client()
    query = "&".join(f"a{number}=" for number in range(2000))
    assert len(query) < MAX_REQUEST_HEAD
    assert (await client.request(f"/live/cam.flv?{query}&vhost=shop")).status == 200


HOSTS = {
    "PULL.DEMO.TEST": True,
    "pull.demo.test:1": True,
    "pull.demo.test:": True,
    "pull.demo.test.": True,
    "pull.demo.test.:8081": True,
    "x@pull.demo.test": True,
    "pull.shop.test@pull.demo.test": True,
    "pull.demo.test@pull.shop.test": False,
    "pull.demo.test/": False,
    "pull.demo.test?": False,
    "pull.demo.test#": False,
    "pull.demo.test\\": False,
    "pull.demo.test, pull.shop.test": False,
    "pull.demo.test%00": False,
    ".pull.demo.test": False,
    "demo": False,
    "127.0.0.1": False,
    "localhost": False,
    "[::1]": False,
    "xn--pull-demo": False,
}


@pytest.mark.parametrize(("host", "is_demo"), HOSTS.items())
async def test_a_host_is_the_domain_that_it_names_or_none(
    house: House, bystander: Bystander, host: str, is_demo: bool
) -> None:
    """Port, case, closing dot, user, and everything that only looks like a configured host."""
    client = await house.http_client()
    answer = await client.request("/live/cam.flv", host=host)
    assert answer.status == (200 if is_demo else 404)


@pytest.mark.parametrize(
    ("target", "is_demo"),
    [
        ("http://pull.demo.test/live/cam.flv", True),
        ("http://PULL.demo.test.:80/live/cam.flv", True),
        ("http://pull.shop.test/live/cam.flv", False),
        ("http://pull.shop.test@pull.demo.test/live/cam.flv", True),
        ("http://pull.demo.test@pull.shop.test/live/cam.flv", False),
        ("http://pull.demo.test\\@pull.shop.test/live/cam.flv", False),
        ("//pull.demo.test/live/cam.flv", False),
        ("http:pull.demo.test/live/cam.flv", False),
        ("ws://pull.demo.test/live/cam.flv", False),
        ("file:///live/cam.flv", False),
        ("javascript:/live/cam.flv", False),
        ("pull.demo.test:443", False),
    ],
)
async def test_a_target_in_absolute_form_goes_before_the_host(
    house: House, bystander: Bystander, target: str, is_demo: bool
) -> None:
    """Absolute-form targets whose host is not that of the Host header."""
    client = await house.http_client()
    answer = await client.request(target, host="pull.shop.test" if is_demo else "pull.demo.test")
    assert answer.status == (200 if is_demo else 404)


async def test_a_player_is_counted_under_no_host_that_it_made_up_at_length(house: House, bystander: Bystander) -> None:
    """Cardinality bomb: the host is a heading of usage, and must not be as long as a head may be."""
    for number in range(5):
        client = await house.http_client()
        host = f"{number}" + "x" * 10_000
        assert (await client.request("/live/cam.flv?vhost=demo", host=host)).status == 200
        player = await house.rtmp_client()
        await player.play("cam?vhost=demo", tc_url=f"rtmp://{host}/live")
    assert house.players(DEMO) == 11
    await house.usage_bytes()
    rows = [row for message in house.told if isinstance(message, Usage) for row in message.rows]
    assert {row.domain for row in rows} <= {"", "pull.demo.test"}
    assert all(len(row.domain) <= MAX_HOST for row in rows)
