"""Bytes as weapons at the API's door: two requests in one, heads without measure, hosts that lie."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from penstock.clouds.http import HttpRequest
from tests.api.kit import CAM, MINE, signed, unsigned, with_header
from tests.security.api import Fort, as_answer, as_bytes, fort
from tests.servers.house import until

BAN = as_bytes(signed(unsigned("ForbidStream", CAM, method="POST"), MINE))
CHECK = signed(unsigned("CheckBlacklist", CAM), MINE)


@pytest.fixture
async def held() -> AsyncIterator[Fort]:
    async with fort() as held:
        yield held


# 14. Request smuggling, huge headers, 100,000 parameters, chunked trailers, HTTP/2

SMUGGLED = {
    "a body that is a request": as_bytes(CHECK, body=BAN),
    "a length and chunks": as_bytes(CHECK, ("Content-Length", "4"), ("Transfer-Encoding", "chunked"))
    + b"0\r\n\r\n"
    + BAN,
    "chunks and a length": as_bytes(CHECK, ("Transfer-Encoding", "chunked"), ("Content-Length", "5"))
    + b"0\r\n\r\n"
    + BAN,
    "two lengths": as_bytes(CHECK, ("Content-Length", "0"), ("Content-Length", str(len(BAN)))) + BAN,
    "a length with a sign": as_bytes(CHECK, ("Content-Length", "+0")) + BAN,
    "chunks in disguise": as_bytes(CHECK, ("Transfer-Encoding", "xchunked")) + b"0\r\n\r\n" + BAN,
    "chunks after a blank": as_bytes(CHECK, ("Transfer-Encoding ", "chunked")) + b"0\r\n\r\n" + BAN,
    "chunks over two lines": as_bytes(CHECK, ("Transfer-Encoding", "\r\n chunked")) + b"0\r\n\r\n" + BAN,
    "a chunk's size that overflows": as_bytes(CHECK, ("Transfer-Encoding", "chunked")) + b"f" * 17 + b"0\r\n" + BAN,
    "a bare line feed": as_bytes(CHECK, ("X", "y\n")) + BAN,
    "a bare carriage return": as_bytes(CHECK, ("X", "y\rContent-Length: 0")) + BAN,
    "behind the last request": as_bytes(CHECK, ("Connection", "close")) + BAN,
    "a second head in a chunk": as_bytes(CHECK, ("Transfer-Encoding", "chunked"))
    + b"%x\r\n" % len(BAN)
    + BAN
    + b"\r\n0\r\n\r\n",
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + BAN,
    "an upgrade": as_bytes(CHECK, ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")) + BAN,
}


@pytest.mark.parametrize("sent", SMUGGLED.values(), ids=SMUGGLED)
async def test_14_a_request_hidden_in_another_is_never_done(held: Fort, sent: bytes) -> None:
    peer = await held.peer()
    await peer.send(sent)
    assert (await peer.reply()).status in (200, 400)
    # Whatever was read behind it has had its turn when the connection is gone.
    peer.close()
    await until(lambda: not held.server._state.connections and not held.server._state.tasks)
    assert held.stands()


async def test_14_trailers_steer_nothing(held: Fort) -> None:
    """What stands behind a body was not signed: it must not name an operation, a host or a key."""
    trailers = b"X-Action: ForbidStream\r\nHost: evil\r\nAuthorization: AWS4-HMAC-SHA256 x\r\nX-Amz-Date: x\r\n\r\n"
    peer = await held.peer()
    await peer.send(as_bytes(CHECK, ("Transfer-Encoding", "chunked")) + b"0\r\n" + trailers)
    assert as_answer(await peer.reply()).data["CheckResult"] == 0
    peer.close()
    assert held.stands()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /?Action=ForbidStream&" + b"a=1&" * 100_000, id="100,000 query parameters"),
        pytest.param(BAN.partition(b"\r\n")[0] + b"\r\n" + b"X: " + b"x" * 1_000_000, id="a header of a megabyte"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % each for each in range(50_000)), id="headers"),
    ],
)
async def test_14_a_head_without_measure_is_refused(held: Fort, head: bytes) -> None:
    peer = await held.peer()
    with contextlib.suppress(ConnectionError):
        await peer.send(head)
    assert (await peer.rest())[:13] in (b"", b"HTTP/1.1 400 ")
    assert held.stands()


async def test_14_a_hundred_thousand_parameters_within_the_heads_bound_are_not_read(held: Fort) -> None:
    many = "&".join("a" for _ in range(20_000))
    request = signed(unsigned(query="Action=ForbidStream&Version=2017-01-01"))
    sent = HttpRequest(method="GET", target=f"{request.target}&{many}", headers=request.headers)
    assert (await held.ask(sent)).code == "InvalidParameterValue"
    assert held.stands()


# 19. Host header tricks


@pytest.mark.parametrize(
    "host", ["kls.test:8080", "kls.test.", "KLS.TEST", "kls.test:080", "user@kls.test", "kls.test/x"]
)
async def test_19_a_host_that_is_not_the_signed_one_is_refused(held: Fort, host: str) -> None:
    asked = with_header(signed(unsigned("ForbidStream", CAM, method="POST")), "Host", host)
    assert (await held.ask(asked)).code == "SignatureNotMatch"
    assert held.stands()


@pytest.mark.parametrize("host", ["kls.test:8080", "kls.test.", "KLS.TEST", "xn--kls", "127.0.0.1", "[::1]:80"])
async def test_19_a_host_is_signed_as_it_is_sent(held: Fort, host: str) -> None:
    """Behind a proxy or a name of one's own, any will do: nothing is looked up by it."""
    asked = with_header(unsigned("CheckBlacklist", CAM), "Host", host)
    assert (await held.ask(signed(asked))).code == "0"


@pytest.mark.parametrize("hosts", [(), ("kls.test", "kls.test"), ("kls.test", "evil.test")])
async def test_19_none_or_two_hosts_are_no_request(held: Fort, hosts: tuple[str, ...]) -> None:
    peer = await held.peer()
    await peer.send(as_bytes(with_header(signed(unsigned("ForbidStream", CAM, method="POST")), "Host", *hosts)))
    assert (await peer.reply()).status == 400
    assert await peer.rest() == b""
    assert held.stands()


async def test_19_an_absolute_target_does_not_replace_the_signed_host(held: Fort) -> None:
    request = signed(unsigned("CheckBlacklist", CAM))
    for authority in ("kls.test", "evil.test"):
        target = f"http://{authority}{request.target}"
        sent = HttpRequest(method="GET", target=target, headers=request.headers)
        assert (await held.ask(sent)).code == "0"  # path, query and Host are those that were signed
    evil = with_header(request, "Host", "evil.test")
    sent = HttpRequest(method="GET", target=f"http://kls.test{request.target}", headers=evil.headers)
    assert (await held.ask(sent)).code == "SignatureNotMatch"
