"""Deadlines and bounds of a public port: what breaks one closes its connection and nothing else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.api import connections
from penstock.api.connections import MAX_HEAD, MAX_LINES, Doorkeeper
from penstock.tls import ensure_certificate, server_context
from tests.api.site import GET, HEAD, Peer, Site, site
from tests.servers.client import DEADLINE_S

SOON_S = 0.15
LONG = 8 * 1024 * 1024  # bytes of an answer that no kernel keeps for its peer
POST = b"POST /there HTTP/1.1\r\nHost: kls.test\r\n"


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as here:
        yield here


async def ends(here: Site, peer: Peer) -> bytes:
    """What still came before the server closed."""
    rest = await peer.rest()
    await here.until(lambda: here.connections == 0)
    return rest


async def pauses(seconds: float) -> None:
    """Let the server's timers run."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, done.set)
    await done.wait()


# Time


@pytest.fixture
def quick_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", SOON_S)


@pytest.fixture
def quick_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_S", SOON_S)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        HEAD,
        HEAD + b"X-Long: ",
        POST + b"Content-Length: 5\r\n\r\n",
        POST + b"Content-Length: 5\r\n\r\nabcd",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n",
        POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    ],
)
async def test_a_request_that_does_not_get_whole_is_not_waited_for(
    here: Site, quick_requests: None, sent: bytes
) -> None:
    peer = await Peer.open(await here.listen())
    await peer.send(sent)
    assert b"200" not in await ends(here, peer)
    assert here.asked == []


@pytest.mark.parametrize("begun", [b"GET /", HEAD + b"X: ", POST + b"Content-Length: 100000\r\n\r\n"])
async def test_a_byte_now_and_then_does_not_make_the_time_longer(
    here: Site, quick_requests: None, begun: bytes
) -> None:
    """Slow loris: its deadline is for the whole request."""
    peer = await Peer.open(await here.listen())
    began_s = asyncio.get_running_loop().time()
    await peer.send(begun)
    ended = asyncio.create_task(peer.rest())
    async with asyncio.timeout(DEADLINE_S):
        while not ended.done():
            await asyncio.wait({ended}, timeout=SOON_S / 10)
            try:
                await peer.send(b"x")
            except ConnectionError:
                break
        await ended
    assert asyncio.get_running_loop().time() - began_s >= SOON_S * 0.9
    assert here.asked == []


@pytest.mark.parametrize("begun", [b"", b"GET"])
async def test_the_second_request_has_the_same_time(here: Site, quick_requests: None, begun: bytes) -> None:
    peer = await Peer.open(await here.listen())
    await peer.ask(GET)
    await peer.ask(GET)
    await pauses(SOON_S * 2)
    # Between requests a peer may be silent for longer.
    assert (await peer.ask(GET)).status == 200
    await peer.send(b"GET /")
    assert await ends(here, peer) == b""


async def test_what_came_of_a_second_request_while_the_first_was_answered_has_its_time_too(
    here: Site, quick_requests: None
) -> None:
    peer = await Peer.open(await here.listen())
    here.release.clear()
    await peer.send(GET + b"GET /sec")
    await here.until(lambda: here.held == 1)
    await pauses(SOON_S * 2)
    here.release.set()
    assert (await peer.reply()).status == 200
    assert await ends(here, peer) == b""


async def test_an_answer_may_take_longer_than_a_request(here: Site, quick_requests: None) -> None:
    peer = await Peer.open(await here.listen())
    here.release.clear()
    await peer.send(GET)
    await pauses(SOON_S * 2)
    here.release.set()
    assert (await peer.reply()).status == 200


async def test_an_answer_that_never_comes_is_not_waited_for(here: Site, quick_answers: None) -> None:
    peer = await Peer.open(await here.listen())
    here.release.clear()
    await peer.send(GET)
    assert await ends(here, peer) == b""


async def test_a_peer_that_does_not_take_its_last_answer_is_let_go(here: Site, quick_answers: None) -> None:
    here.length = LONG
    peer = await Peer.open(await here.listen(), receive_buffer=4096)
    await peer.send(HEAD + b"Connection: close\r\n\r\n")
    await here.until(lambda: len(here.asked) == 1)
    await here.until(lambda: here.connections == 0)
    assert len(await peer.rest()) < LONG


async def test_asking_for_more_does_not_make_the_time_longer(here: Site, quick_answers: None) -> None:
    here.length = LONG
    peer = await Peer.open(await here.listen(), receive_buffer=4096)
    await peer.send(GET * 10)
    await here.until(lambda: len(here.asked) == 1)
    await here.until(lambda: here.connections == 0)
    assert len(here.asked) <= 2


async def test_a_slow_reader_that_reads_gets_its_answer(here: Site) -> None:
    here.length = LONG
    peer = await Peer.open(await here.listen(), receive_buffer=4096)
    assert len((await peer.ask(GET)).body) == LONG
    here.length = 0
    assert (await peer.ask(GET)).body == b"GET /there "


@pytest.fixture
async def impatient(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Keeps no idle connection for long."""
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", SOON_S)
    async with site() as here:
        yield here


async def test_a_silent_peer_is_kept_for_a_while_and_not_for_ever(impatient: Site) -> None:
    peer = await Peer.open(await impatient.listen())
    for _ in range(3):
        await peer.ask(GET)
        await pauses(SOON_S / 3)
    assert await ends(impatient, peer) == b""


async def test_a_peer_that_does_not_take_its_answer_is_not_waited_for(impatient: Site) -> None:
    impatient.length = LONG
    peer = await Peer.open(await impatient.listen(), receive_buffer=4096)
    await peer.send(GET)
    await impatient.until(lambda: len(impatient.asked) == 1)
    await impatient.until(lambda: impatient.connections == 0)
    assert len(await peer.rest()) < LONG


async def test_the_same_holds_in_tls(impatient: Site, tmp_path: Path) -> None:
    port = await impatient.listen(server_context(*ensure_certificate(tmp_path, [])))
    trusting = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.pem")
    impatient.length = LONG * 4
    peer = await Peer.open_tls(port, trusting)
    await peer.send(GET)
    await impatient.until(lambda: len(impatient.asked) == 1)
    await impatient.until(lambda: impatient.connections == 0)
    peer.close()


async def test_a_handshake_has_a_deadline(here: Site, quick_requests: None, tmp_path: Path) -> None:
    peer = await Peer.open(await here.listen(server_context(*ensure_certificate(tmp_path, []))))
    assert await peer.rest() == b""


# Size


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(HEAD + b"X: " + b"x" * 1_000_000, id="a header of a megabyte"),
        pytest.param(b"GET /?" + b"a=1&" * 100_000, id="100,000 query parameters"),
        pytest.param(b"GET /" + b"x" * 1_000_000, id="a path of a megabyte"),
        pytest.param(HEAD + b"".join(b"X-%d: y\r\n" % each for each in range(50_000)), id="50,000 headers"),
        pytest.param(HEAD + b"x" * 1_000_000, id="a name of a megabyte"),
        pytest.param(b"G" * 1_000_000, id="a method of a megabyte"),
        pytest.param(b"\r\n" * 500_000, id="empty lines"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 3_000_000, id="a chunk's extension"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 3_000_000, id="a trailer of megabytes"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200_000)),
            id="200,000 trailers",
        ),
    ],
)
async def test_a_head_without_measure_is_refused_at_the_bound(here: Site, sent: bytes) -> None:
    peer = await Peer.open(await here.listen())
    sending = asyncio.create_task(peer.send(sent))
    said = await ends(here, peer)
    await asyncio.gather(sending, return_exceptions=True)
    assert said == b"" or said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))
    assert here.asked == []


async def test_a_head_just_below_the_bound_is_read(here: Site) -> None:
    peer = await Peer.open(await here.listen())
    line = b"X: " + b"x" * (MAX_HEAD - len(HEAD) - 7) + b"\r\n"
    head = HEAD + line + b"\r\n"
    assert len(head) == MAX_HEAD
    assert (await peer.ask(head)).status == 200
    # The next one is counted from nothing.
    assert (await peer.ask(head)).status == 200


async def test_a_head_above_the_bound_is_refused_in_whatever_pieces_it_comes(here: Site) -> None:
    port = await here.listen()
    head = HEAD + b"X: " + b"x" * MAX_HEAD + b"\r\n\r\n"
    for size in (len(head), 30_000):
        peer = await Peer.open(port)
        for start in range(0, len(head), size):
            await peer.send(head[start : start + size])
        assert (await peer.rest()).startswith(b"HTTP/1.1 400 ")
    assert here.asked == []


async def test_the_bound_is_for_heads_and_not_for_bodies(here: Site) -> None:
    peer = await Peer.open(await here.listen())
    body = b"x" * (MAX_HEAD * 3)
    request = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    await peer.send(request + request + GET)
    assert [(await peer.reply()).status for _ in range(3)] == [200, 200, 200]
    assert [len(each.body) for each in here.asked] == [len(body), len(body), 0]


async def test_headers_have_a_number(here: Site) -> None:
    port = await here.listen()
    lines = [b"X-%d: y\r\n" % number for number in range(MAX_LINES)]
    assert (await (await Peer.open(port)).ask(HEAD + b"".join(lines[1:]) + b"\r\n")).status == 200
    assert (await (await Peer.open(port)).ask(HEAD + b"".join(lines) + b"\r\n")).status == 400


async def test_lines_behind_the_chunks_never_become_headers(here: Site) -> None:
    peer = await Peer.open(await here.listen())
    trailer = b"X-Action: ForbidStream\r\nHost: other\r\nAuthorization: x\r\n\r\n"
    await peer.send(POST + b"Transfer-Encoding: chunked\r\nTrailer: X-Action\r\n\r\n2\r\nab\r\n0\r\n" + trailer + GET)
    assert [(await peer.reply()).status for _ in range(2)] == [200, 200]
    first, second = here.asked
    assert first.headers.names() == ["host", "transfer-encoding", "trailer"]
    assert (first.body, first.headers.get_all("Host")) == (b"ab", ["kls.test"])
    assert second.headers.names() == ["host"]


# What could be understood in two ways


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nabcde",
        POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
        POST + b"Content-Length: 5, 5\r\n\r\nabcde",
        POST + b"Content-Length: +5\r\n\r\nabcde",
        POST + b"Content-Length: 5x\r\n\r\nabcde",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: \xb2\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999999999\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        HEAD + b"X: y\r\n folded\r\n\r\n",
        HEAD + b"X: y\n\r\n",
        HEAD + b"X: y\rHost: a\r\n\r\n",
        HEAD + b"X: \x00\r\n\r\n",
        HEAD + b"X Y: z\r\n\r\n",
        HEAD + b": z\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / \r\nHost: h\r\n\r\n",
        b"GET http://kls.test HTTP/1.1\r\nHost: kls.test\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x03" + bytes(1536),
    ],
)
async def test_what_is_no_clear_request_is_answered_400_and_closed(here: Site, sent: bytes) -> None:
    peer = await Peer.open(await here.listen())
    await peer.send(sent + GET)
    said = await ends(here, peer)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1") == 1
    assert here.asked == []


@pytest.mark.parametrize("target", [b"http://kls.test/there?a=b", b"http://other.test/there?a=b"])
async def test_of_an_absolute_target_the_path_and_query_count(here: Site, target: bytes) -> None:
    peer = await Peer.open(await here.listen())
    await peer.ask(b"GET " + target + b" HTTP/1.1\r\nHost: kls.test\r\n\r\n")
    (asked,) = here.asked
    assert (asked.target, asked.headers.get_all("Host")) == ("/there?a=b", ["kls.test"])


# Numbers


async def test_an_address_has_so_many_connections_and_not_one_more() -> None:
    async with site(limit=3) as here:
        port = await here.listen()
        peers = [await Peer.open(port) for _ in range(3)]
        assert [(await peer.ask(GET)).status for peer in peers] == [200] * 3
        assert await (await Peer.open(port)).rest() == b""
        other = await Peer.open(port, source="127.0.0.2")
        assert (await other.ask(GET)).status == 200
        peers.pop().close()
        await here.until(lambda: here.connections == 3)
        assert (await (await Peer.open(port)).ask(GET)).status == 200


async def test_a_trusted_proxy_has_as_many_as_it_likes() -> None:
    async with site(limit=2, trusted=("127.0.0.1",)) as here:
        port = await here.listen()
        peers = [await Peer.open(port) for _ in range(10)]
        assert [(await peer.ask(GET)).status for peer in peers] == [200] * 10


def test_the_doorkeeper_forgets_who_left() -> None:
    keeper = Doorkeeper(limit=2)
    for number in range(1000):
        assert keeper.enter(f"192.0.2.{number}")
    for number in range(1000):
        keeper.leave(f"192.0.2.{number}")
    assert keeper._counts == {}
    assert [keeper.enter("a"), keeper.enter("a"), keeper.enter("a")] == [True, True, False]
    keeper.leave("a")
    assert [keeper.enter("a"), keeper.enter("a")] == [True, False]
