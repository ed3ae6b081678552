"""Requests and answers over sockets: what comes through, by which doors, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.api import http
from penstock.clouds.reading import MAX_BODY
from penstock.tls import ensure_certificate, server_context
from tests.api.site import GET, HEAD, Peer, Reply, Site, site
from tests.servers.client import DEADLINE_S

POST = b"POST /there?a=b%20c HTTP/1.1\r\nHost: kls.test\r\n"


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as here:
        yield here


@pytest.fixture
async def peer(here: Site) -> Peer:
    return await Peer.open(await here.listen())


# Requests


async def test_a_request_comes_as_it_was_sent(here: Site, peer: Peer) -> None:
    reply = await peer.ask(POST + b"X-One: 1\r\nx-two:  2\r\nX-ONE: 3\r\nContent-Length: 4\r\n\r\n\x00\xff{}")
    assert (reply.status, reply.body) == (200, b"POST /there?a=b%20c \x00\xff{}")
    (asked,) = here.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/there?a=b%20c", b"\x00\xff{}")
    assert list(asked.headers) == [
        ("host", "kls.test"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-one", "3"),
        ("content-length", "4"),
    ]
    assert here.clients == ["127.0.0.1"]


async def test_a_request_may_come_byte_by_byte(here: Site, peer: Peer) -> None:
    for byte in POST + b"Content-Length: 3\r\n\r\nabc":
        await peer.send(bytes([byte]))
    assert (await peer.reply()).body == b"POST /there?a=b%20c abc"


@pytest.mark.parametrize(
    "target",
    ["/", "//", "/a/../b", "/%2e%2e/", "/?", "/?a=b&a=c+d%2B%00", "/a;b=c?d?e", "/x?q=%ff", "/a%2fb", "/~a'()*"],
)
async def test_a_target_is_left_as_it_is(here: Site, peer: Peer, target: str) -> None:
    await peer.ask(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    # An empty query is none.
    assert here.asked[0].target == (target if target != "/?" else "/")


async def test_headers_beyond_ascii_come_as_latin_1(here: Site, peer: Peer) -> None:
    await peer.ask(HEAD + b"X-Name: \xe9\xff\r\n\r\n")
    assert here.asked[0].headers.get("X-Name") == "éÿ"


async def test_chunks_become_one_body(here: Site, peer: Peer) -> None:
    chunks = b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n"
    assert (await peer.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)).body.endswith(b" abcde")
    assert here.asked[0].body == b"abcde"


async def test_a_body_of_the_greatest_length_is_read(here: Site, peer: Peer) -> None:
    await peer.ask(POST + b"Content-Length: %d\r\n\r\n" % MAX_BODY + b"x" * MAX_BODY)
    assert here.asked[0].body == b"x" * MAX_BODY


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10**11, 10**13])
async def test_a_longer_body_is_refused_before_it_comes(here: Site, peer: Peer, length: int) -> None:
    reply = await peer.ask(POST + b"Content-Length: %d\r\n\r\n" % length)
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert str(MAX_BODY).encode() in reply.body
    assert await peer.rest() == b""
    assert here.asked == []


async def test_a_body_in_chunks_is_refused_where_it_gets_too_long(here: Site, peer: Peer) -> None:
    await peer.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for _ in range(MAX_BODY // 0x10000):
        await peer.send(chunk)
    reply = await peer.ask(b"1\r\nx\r\n")
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert await peer.rest() == b""
    assert here.asked == []


async def test_who_expects_to_be_told_to_go_on_is_told(here: Site, peer: Peer) -> None:
    assert (await peer.ask(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")).status == 100
    assert (await peer.ask(b"ab")).body.endswith(b" ab")


async def test_who_expects_it_for_too_much_is_refused_at_once(here: Site, peer: Peer) -> None:
    line = b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (MAX_BODY + 1)
    assert (await peer.ask(POST + line)).status == 413


async def test_half_a_request_is_none(here: Site, peer: Peer) -> None:
    await peer.send(POST + b"Content-Length: 5\r\n\r\nabc")
    await here.until(lambda: here.connections == 1)
    peer.close()
    await here.until(lambda: here.connections == 0)
    assert here.asked == []


@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nhost: b\r\n"], ids=["none", "2", "2"])
async def test_a_request_has_one_host(here: Site, peer: Peer, hosts: bytes) -> None:
    reply = await peer.ask(b"GET / HTTP/1.1\r\n" + hosts + b"\r\n")
    assert (reply.status, reply.headers["connection"]) == (400, "close")
    assert here.asked == []


# Answers


async def test_head_has_the_answers_head_alone(here: Site, peer: Peer) -> None:
    await peer.send(b"HEAD /there HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await peer.reply(has_body=False)).headers["content-length"] == str(len("HEAD /there "))
    assert (await peer.ask(GET)).body == b"GET /there "


async def test_an_answer_says_nothing_of_the_server(peer: Peer) -> None:
    reply = await peer.ask(GET)
    assert set(reply.headers) == {"content-type", "content-length"}


async def test_a_fault_is_answered_500_without_its_text_and_logged(
    here: Site, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    here.fault = ZeroDivisionError("at the secret place")
    reply = await peer.ask(GET)
    assert reply.status == 500
    assert b"secret" not in reply.body
    assert "secret place" in caplog.text


# Connections


async def test_a_connection_serves_one_request_after_the_other(here: Site, peer: Peer) -> None:
    for number in range(100):
        assert (await peer.ask(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)).body == b"GET /%d " % number
    assert here.connections == 1


async def test_requests_that_come_together_are_answered_in_their_order(here: Site, peer: Peer) -> None:
    asked = [b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n%03d" % (each, each) for each in range(200)]
    await peer.send(b"".join(asked))
    for number in range(200):
        assert (await peer.reply()).body == b"POST /%d %03d" % (number, number)


async def test_one_waits_for_the_other_on_the_same_connection(here: Site, peer: Peer) -> None:
    here.release.clear()
    await peer.send(GET + GET)
    await here.until(lambda: here.held == 1)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(here.asked) == 1
    here.release.set()
    assert [(await peer.reply()).status for _ in range(2)] == [200, 200]


async def test_connections_do_not_wait_for_each_other(here: Site) -> None:
    port = await here.listen()
    here.release.clear()
    first, second = [await Peer.open(port) for _ in range(2)]
    await first.send(GET)
    await second.send(GET)
    await here.until(lambda: here.held == 2)
    here.release.set()
    assert [(await each.reply()).status for each in (second, first)] == [200, 200]


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"Connection: close\r\n\r\n",
        HEAD + b"connection: Close\r\n\r\n",
        b"GET /there HTTP/1.0\r\nHost: h\r\n\r\n",
        b"GET /there HTTP/1.0\r\n\r\n",
    ],
)
async def test_the_connection_ends_with_an_answer_that_was_to_be_the_last(here: Site, peer: Peer, head: bytes) -> None:
    reply = await peer.ask(head)
    assert (reply.status, reply.headers["connection"]) == (200, "close")
    assert await peer.rest() == b""


async def test_what_comes_behind_the_last_request_is_none(here: Site, peer: Peer) -> None:
    await peer.send(HEAD + b"Connection: close\r\n\r\n" + GET)
    assert (await peer.rest()).count(b"HTTP/1.1") == 1
    assert len(here.asked) == 1


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
async def test_nothing_is_upgraded(here: Site, peer: Peer, upgrade: bytes) -> None:
    reply = await peer.ask(HEAD + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n")
    assert (reply.status, reply.body) == (200, b"GET /there ")


# Where a request comes from


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ("", "127.0.0.1"),
        ("X-Forwarded-For: 203.0.113.5", "203.0.113.5"),
        ("X-Forwarded-For: 203.0.113.5, 192.0.2.66", "192.0.2.66"),
        ("X-Forwarded-For: 203.0.113.5, 192.0.2.66, 10.0.0.1", "192.0.2.66"),
        ("X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-For: 10.0.0.1", "203.0.113.5"),
        ("X-Forwarded-For: 10.0.0.1, 127.0.0.1", "10.0.0.1"),
        ("X-Forwarded-For: 2001:db8::7", "2001:db8::7"),
        ("X-Forwarded-For: 203.0.113.5, nonsense", "127.0.0.1"),
        ("X-Forwarded-For: \x1b[31mred", "127.0.0.1"),
        ("X-Forwarded-For: fe80::1%" + "z" * 1000, "127.0.0.1"),
        ("X-Forwarded-For: ,,", "127.0.0.1"),
    ],
)
async def test_a_trusted_proxys_word_for_the_client_counts(lines: str, client: str) -> None:
    async with site(trusted=("127.0.0.1", "10.0.0.1")) as here:
        peer = await Peer.open(await here.listen())
        reply = await peer.ask(HEAD + f"{lines}\r\n\r\n".encode() if lines else GET)
        # A control character is no part of a header: that request is none at all.
        assert here.clients == ([client] if reply.status == 200 else [])
        assert (reply.status == 400) == ("\x1b" in lines)


async def test_anybody_elses_word_does_not(here: Site, peer: Peer) -> None:
    await peer.ask(HEAD + b"X-Forwarded-For: 203.0.113.5\r\nForwarded: for=203.0.113.5\r\n\r\n")
    assert here.clients == ["127.0.0.1"]


# Doors


async def test_several_doors_lead_to_one_app(here: Site, tmp_path: Path) -> None:
    cert, key = ensure_certificate(tmp_path, [])
    plain, secure = await here.listen(), await here.listen(server_context(cert, key))
    trusting = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.pem")
    peers = [await Peer.open(plain), await Peer.open_tls(secure, trusting)]
    assert [(await peer.ask(GET)).status for peer in peers] == [200, 200]
    body = POST + b"Content-Length: %d\r\n\r\n" % MAX_BODY + b"x" * MAX_BODY
    assert [len((await peer.ask(body)).body) for peer in peers] == [MAX_BODY + 20] * 2
    for peer in peers:
        peer.close()


async def test_plain_bytes_at_the_door_of_tls_end_there(here: Site, tmp_path: Path) -> None:
    port = await here.listen(server_context(*ensure_certificate(tmp_path, [])))
    peer = await Peer.open(port)
    await peer.send(GET)
    assert b"HTTP" not in await peer.rest()
    assert here.asked == []


async def test_a_socket_of_this_machine_has_no_address(here: Site, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    await here.listen_at(path)
    with socket.socket(socket.AF_UNIX) as near:
        near.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(near, str(path))
        await loop.sock_sendall(near, HEAD + b"Connection: close\r\n\r\n")
        async with asyncio.timeout(DEADLINE_S):
            assert (await loop.sock_recv(near, 65536)).startswith(b"HTTP/1.1 200")
    assert here.clients == [""]


# The end


async def test_a_server_that_closes_answers_what_it_was_asked(here: Site) -> None:
    port = await here.listen()
    busy, idle = await Peer.open(port), await Peer.open(port)
    assert (await idle.ask(GET)).status == 200
    here.release.clear()
    await busy.send(GET)
    await here.until(lambda: here.held == 1)
    closing = asyncio.create_task(here.server.close())
    assert await idle.rest() == b""
    with pytest.raises(OSError):
        await Peer.open(port)
    here.release.set()
    reply: Reply = await busy.reply()
    assert (reply.status, reply.headers["connection"]) == (200, "close")
    async with asyncio.timeout(DEADLINE_S):
        await closing
    assert here.connections == 0


async def test_a_request_that_takes_for_ever_is_cut_at_the_end(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "DRAIN_S", 0.05)
    peer = await Peer.open(await here.listen())
    here.release.clear()
    await peer.send(GET)
    await here.until(lambda: here.held == 1)
    async with asyncio.timeout(DEADLINE_S):
        await here.server.close()
    assert await peer.rest() == b""


async def test_a_peer_that_leaves_before_its_answer_disturbs_nobody(
    here: Site, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    here.release.clear()
    await peer.send(GET)
    await here.until(lambda: here.held == 1)
    peer.close()
    await here.until(lambda: here.connections == 0)
    here.release.set()
    with contextlib.suppress(ConnectionError):
        assert (await (await Peer.open(await here.listen())).ask(GET)).status == 200
    assert caplog.text == ""
