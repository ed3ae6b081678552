"""HTTP behind the guard, blocking and async alike, against real sockets."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from penstock.errors import ConfigError, NetworkRefused, PeerError
from penstock.net.guard import Guard
from penstock.net.http import HttpPolicy, open_async_client, open_client
from penstock.net.tls import client_context
from penstock.tls import ensure_certificate, server_context
from tests.net.peers import guard, redirects, says, serving

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# Asks for a URL by a client of the guard and the policy given, and returns the answer with its body.
Get = Callable[..., Awaitable[httpx2.Response]]


async def get_blocking(
    at: Guard, url: str, policy: HttpPolicy | None = None, tls: ssl.SSLContext = NO_TLS, **options: Any
) -> httpx2.Response:
    with open_client(at, policy or HttpPolicy(), tls) as client:
        return client.get(url, **options)


async def get_async(
    at: Guard, url: str, policy: HttpPolicy | None = None, tls: ssl.SSLContext = NO_TLS, **options: Any
) -> httpx2.Response:
    async with open_async_client(at, policy or HttpPolicy(), tls) as client:
        return await client.get(url, **options)


@pytest.fixture(params=[get_blocking, get_async], ids=["blocking", "async"])
def get(request: pytest.FixtureRequest) -> Get:
    found: Get = request.param
    return found


async def test_an_answer_comes_with_the_hosts_name_in_its_request(get: Get) -> None:
    with serving(says(b"hello", "X-Kind: one")) as peer:
        answer = await get(guard("a.example"), f"http://a.example:{peer.port}/x?y=1")
    assert (answer.status_code, answer.content, answer.headers["X-Kind"]) == (200, b"hello", "one")
    head = peer.heads[0]
    assert head.startswith("GET /x?y=1 HTTP/1.1\r\n")
    assert f"Host: a.example:{peer.port}\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head
    assert "cookie" not in head.lower()


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/", "http://localhost:{}/", "http://[::ffff:127.0.0.1]:{}/"])
async def test_this_machine_is_not_reached(get: Get, url: str) -> None:
    with serving(says(b"secret")) as peer:
        with pytest.raises(NetworkRefused):
            await get(Guard(), url.format(peer.port))
        assert peer.connections == 0


@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.2:{}/",
        "http://inside.example:{}/",
        "//127.0.0.2:{}/",
        "http://0x7f.0.0.2:{}/",
        "http://2130706434:{}/",
        "file:///etc/passwd",
        "gopher://a.example:{}/",
        "http://u:p@127.0.0.1:{}/",
    ],
)
async def test_a_redirect_is_checked_like_any_url(get: Get, to: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.2" if host == "inside.example" else "127.0.0.1"]

    with serving(says(b"secret"), address="127.0.0.2") as inside:
        with serving(redirects(to.format(inside.port))) as peer, pytest.raises((NetworkRefused, PeerError)):
            await get(Guard(("127.0.0.1",), resolve), f"http://a.example:{peer.port}/")
        assert inside.connections == 0


async def test_redirects_are_followed_so_often_and_no_more(get: Get) -> None:
    seen = itertools.count(1)

    def answer(accepted: socket.socket, _: bytes) -> None:
        number = next(seen)
        (says(b"there") if number == 6 else redirects(f"/{number}"))(accepted, b"")

    with serving(answer) as peer:
        assert (await get(guard("a.example"), f"http://a.example:{peer.port}/")).content == b"there"
    with serving(redirects("/again")) as peer:
        with pytest.raises(PeerError, match="redirects"):
            await get(guard("a.example"), f"http://a.example:{peer.port}/")
        assert len(peer.heads) == 6
    with serving(redirects("/again")) as peer:
        policy = HttpPolicy(max_redirects=0)
        assert (await get(guard("a.example"), f"http://a.example:{peer.port}/", policy)).status_code == 302
        assert len(peer.heads) == 1


async def test_another_host_gets_no_key(get: Get) -> None:
    with serving(says(b"")) as other, serving(redirects(f"http://b.example:{other.port}/")) as peer:
        url = f"http://a.example:{peer.port}/"
        await get(guard("a.example", "b.example"), url, headers={"Authorization": "secret"})
        assert "secret" in peer.heads[0]
        assert "secret" not in other.heads[0]


async def test_cookies_are_not_kept(get: Get) -> None:
    seen = itertools.count()

    def answer(accepted: socket.socket, _: bytes) -> None:
        line = "Set-Cookie: a=1"
        (says(b"", line, "Location: /", status="302 Found") if not next(seen) else says(b"x"))(accepted, b"")

    with serving(answer) as peer:
        await get(guard("a.example"), f"http://a.example:{peer.port}/")
    assert len(peer.heads) == 2
    assert "a=1" not in peer.heads[1]


async def test_proxies_of_the_environment_are_not_used(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(says(b"proxied")) as proxy, serving(says(b"direct")) as peer:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await get(guard("a.example"), f"http://a.example:{peer.port}/")).content == b"direct"
        assert proxy.connections == 0


@pytest.mark.parametrize("framing", ["Content-Length: 2000", "Transfer-Encoding: chunked"])
async def test_a_body_has_its_bound_announced_or_not(get: Get, framing: str) -> None:
    body = b"x" * 2000
    if "chunked" in framing:
        body = b"7d0\r\n" + body + b"\r\n0\r\n\r\n"

    def answer(accepted: socket.socket, _: bytes) -> None:
        accepted.sendall(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + body)

    with serving(answer) as peer:
        url = f"http://a.example:{peer.port}/"
        assert len((await get(guard("a.example"), url, HttpPolicy(max_body_bytes=2000))).content) == 2000
        with pytest.raises(PeerError, match="more than 1999 bytes"):
            await get(guard("a.example"), url, HttpPolicy(max_body_bytes=1999))


async def test_a_redirects_body_has_its_bound_too(get: Get) -> None:
    answer = says(b"x" * 70_000, "Location: /", status="302 Found")
    with serving(answer) as peer, pytest.raises(PeerError, match="more than 65536 bytes"):
        await get(guard("a.example"), f"http://a.example:{peer.port}/")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate, gzip"])
async def test_a_body_that_unpacks_is_not_taken(get: Get, coding: str) -> None:
    answer = says(b"\x1f\x8b", f"Content-Encoding: {coding}")
    with serving(answer) as peer, pytest.raises(PeerError, match="compressed"):
        await get(guard("a.example"), f"http://a.example:{peer.port}/")


def trickle(before: bytes) -> Callable[[socket.socket, bytes], None]:
    """Sends a byte now and then after `before`, until the peer goes."""

    def answer(accepted: socket.socket, _: bytes) -> None:
        accepted.sendall(before)
        gone = threading.Event()
        with contextlib.suppress(OSError):
            while not gone.wait(0.02):
                accepted.sendall(b"x")

    return answer


@pytest.mark.parametrize("before", [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_who_trickles_does_not_outlast_the_whole_time(get: Get, before: bytes) -> None:
    with serving(trickle(before)) as peer:
        started = time.monotonic()
        with pytest.raises(PeerError, match="time"):
            await get(guard("a.example"), f"http://a.example:{peer.port}/", HttpPolicy(total_timeout_s=0.3))
        assert time.monotonic() - started < 5


async def test_a_head_has_its_time_even_where_a_body_has_none(get: Get) -> None:
    with serving(trickle(b"HTTP/1.1 200 OK\r\nX-Long: ")) as peer, pytest.raises(PeerError, match="time"):
        await get(guard("a.example"), f"http://a.example:{peer.port}/", HttpPolicy(head_timeout_s=0.3))


async def test_a_body_that_stops_is_given_up(get: Get) -> None:
    def answer(accepted: socket.socket, _: bytes) -> None:
        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.")
        accepted.recv(1)  # until the peer goes

    with serving(answer) as peer, pytest.raises(PeerError):
        await get(guard("a.example"), f"http://a.example:{peer.port}/", HttpPolicy(read_timeout_s=0.2))


async def test_who_is_not_there_is_told(get: Get) -> None:
    with serving(says(b"")) as peer:
        port = peer.port
    with pytest.raises(PeerError):
        await get(guard("a.example"), f"http://a.example:{port}/")
    with pytest.raises(PeerError, match="does not resolve"):
        await get(guard(), f"http://b.example:{port}/")


async def test_the_second_address_serves_where_the_first_one_does_not(get: Get) -> None:
    with serving(says(b"second"), address="127.0.0.2") as peer:
        two = Guard(("127.0.0.0/8",), lambda host, port: ["127.0.0.1", "127.0.0.2"])
        assert (await get(two, f"http://a.example:{peer.port}/")).content == b"second"


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    pair = ensure_certificate(tmp_path, ["a.example"], now=datetime.now(UTC))
    return server_context(*pair), tmp_path / "tls" / "ca.pem"


async def test_a_certificate_is_held_against_the_name(get: Get, authority: tuple[ssl.SSLContext, Path]) -> None:
    context, ca = authority
    with serving(says(b"safe"), context) as peer:
        both = guard("a.example", "b.example")
        answer = await get(both, f"https://a.example:{peer.port}/", tls=client_context(ca))
        assert answer.content == b"safe"
        with pytest.raises(PeerError, match=r"certificate does not hold.*b\.example"):
            await get(both, f"https://b.example:{peer.port}/", tls=client_context(ca))
        with pytest.raises(PeerError, match="certificate does not hold"):
            await get(both, f"https://a.example:{peer.port}/", tls=client_context())


def test_a_file_without_certificates_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("none")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=rf"network\.ca_file is .*{name}"):
            client_context(tmp_path / name)


# Bodies in parts, as a worker reads a file


def test_a_body_comes_in_parts_and_without_end() -> None:
    def answer(accepted: socket.socket, _: bytes) -> None:
        accepted.sendall(b"HTTP/1.1 206 Partial Content\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                accepted.sendall(b"x" * 1000)

    with serving(answer) as peer, open_client(guard("a.example"), HttpPolicy(), NO_TLS) as client:
        with client.stream("GET", f"http://a.example:{peer.port}/", headers={"Range": "bytes=5-"}) as body:
            taken = sum(len(part) for part in itertools.islice(body.iter_bytes(10_000), 200))
        assert taken == 2_000_000
    assert "Range: bytes=5-\r\n" in peer.heads[0]


async def test_and_so_it_does_async() -> None:
    def answer(accepted: socket.socket, _: bytes) -> None:
        accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50_000)
        accepted.shutdown(socket.SHUT_RDWR)

    async def parts(body: httpx2.Response) -> AsyncIterator[bytes]:
        async for part in body.aiter_bytes():
            yield part

    with serving(answer) as peer:
        client = open_async_client(guard("a.example"), HttpPolicy(), NO_TLS)
        async with client, client.stream("GET", f"http://a.example:{peer.port}/") as body:
            assert sum([len(part) async for part in parts(body)]) == 50_000
