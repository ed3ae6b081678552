"""Attack cases 3 and 4: URLs that make the server call into its own network, and names that change their mind."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx2
import pytest

from penstock.errors import NetworkRefused, PeerError
from penstock.net.guard import HTTP, RTMP, Address, Guard, Resolver
from penstock.net.http import HttpPolicy, open_async_client, open_client
from tests.net.peers import Peer, says, serving

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# What a user might write for a place inside; {port} is where something listens.
INSIDE = (
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST.:{port}/",
    "http://127.1:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://a.example@127.0.0.1:{port}/",
    "http://a.example:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@a.example/",
    "http://a.example\r\nHost: 127.0.0.1:{port}/",
    "http://\u2460\u2461\u2466.0.0.1:{port}/",
    "http://127\u30020\u30020\u30021:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_GET",
    "ftp://127.0.0.1:{port}/",
    "data:text/plain,hello",
    "unix:/run/control.sock",
    "http+unix://control.sock/",
)


@pytest.fixture
def inside() -> Iterator[Peer]:
    with serving(says(b"secret")) as peer:
        yield peer


@pytest.mark.parametrize("url", INSIDE)
async def test_3_no_spelling_of_a_url_leads_inside(inside: Peer, url: str) -> None:
    text = url.format(port=inside.port)
    with open_client(Guard(), HttpPolicy(), NO_TLS) as client, pytest.raises((NetworkRefused, PeerError)):
        client.get(text)
    async with open_async_client(Guard(), HttpPolicy(), NO_TLS) as client:
        with pytest.raises((NetworkRefused, PeerError)):
            await client.get(text)
    assert inside.connections == 0


@pytest.mark.parametrize("url", INSIDE)
def test_3_no_spelling_of_an_rtmp_url_leads_inside(url: str) -> None:
    text = url.format(port=1935).replace("http:", "rtmp:")
    with pytest.raises((NetworkRefused, PeerError)):
        reach(Guard(), text)


def reach(guard: Guard, text: str) -> list[Address]:
    url = guard.check_url(text, RTMP)
    return guard.resolve(url.host, url.port)


def test_3_a_request_cannot_go_around_the_guard_by_the_clients_other_ways(inside: Peer) -> None:
    url = f"http://127.0.0.1:{inside.port}/"
    with open_client(Guard(), HttpPolicy(), NO_TLS) as client:
        with pytest.raises(NetworkRefused):
            client.request("POST", url, content=b"x")
        with pytest.raises(NetworkRefused):
            client.send(httpx2.Request("GET", url))  # made past the client
        with pytest.raises(NetworkRefused):
            client.send(httpx2.Request("GET", f"http://localhost:{inside.port}/"))
    assert inside.connections == 0


class Rebinding:
    """A name server whose every second answer is an address of ours."""

    def __init__(self, first: str, then: str) -> None:
        self.answers = [first, then]
        self.asked = 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return [self.answers[(self.asked - 1) % 2]]


async def test_4_a_name_that_changes_its_mind_is_asked_once_and_pinned(inside: Peer) -> None:
    with serving(says(b"outside"), address="127.0.0.2") as outside:
        # 127.0.0.2 stands for the world outside, 127.0.0.1 for the one inside.
        names = Rebinding("127.0.0.2", "127.0.0.1")
        with open_client(Guard(("127.0.0.2",), names), HttpPolicy(), NO_TLS) as client:
            assert client.get(f"http://a.example:{outside.port}/").content == b"outside"
        assert (names.asked, outside.connections) == (1, 1)
        async with open_async_client(Guard(("127.0.0.2",), names), HttpPolicy(), NO_TLS) as client:
            # Its second answer comes to whoever asks anew, and is refused there.
            with pytest.raises(NetworkRefused):
                await client.get(f"http://a.example:{inside.port}/")
            assert (await client.get(f"http://a.example:{outside.port}/")).content == b"outside"
    assert inside.connections == 0


def always(answers: list[str]) -> Resolver:
    return lambda host, port: answers


def test_4_an_answer_inside_among_others_is_not_overlooked(inside: Peer) -> None:
    for answers in (["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "::ffff:127.0.0.1"]):
        guard = Guard(("127.0.0.2",), always(answers))
        with open_client(guard, HttpPolicy(), NO_TLS) as client, pytest.raises(NetworkRefused):
            client.get(f"http://a.example:{inside.port}/")
    assert inside.connections == 0


def test_4_a_check_of_a_url_is_not_what_connects() -> None:
    names = Rebinding("127.0.0.2", "127.0.0.1")
    guard = Guard(("127.0.0.2",), names)
    guard.check_url("http://a.example/", HTTP)
    assert names.asked == 0
