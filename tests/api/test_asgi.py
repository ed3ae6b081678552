"""The gateway as an application: what it is given of a request, and how its answer leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.api.asgi import GatewayApp
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from tests.api.door import WITHIN_S, Door, get, post
from tests.api.kit import CHECK, House, as_bytes


class Desk:
    """Takes requests in the gateway's place."""

    def __init__(self) -> None:
        self.asked: list[tuple[HttpRequest, str]] = []
        self.was_asked = asyncio.Event()
        self.body = b"well"
        self.lines = [("Content-Type", "text/plain"), ("Content-Length", "4")]

    async def answer(self, request: HttpRequest, client_address: str) -> HttpResponse:
        self.asked.append((request, client_address))
        self.was_asked.set()
        return HttpResponse(status=418, headers=Headers(self.lines), body=self.body)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def door(desk: Desk) -> AsyncIterator[Door]:
    there = Door(application=GatewayApp(desk.answer))
    there.listen()
    yield there
    await there.close()


async def test_a_request_is_passed_on_as_it_came(desk: Desk, door: Door) -> None:
    await (await door.client()).ask(
        "PUT /a%2Fb?x=1+2&&y HTTP/1.1\r\nHost: A.Test:80\r\nX-A:  b c \r\nContent-Length: 3\r\n\r\n{}\x00"
    )
    ((request, address),) = desk.asked
    assert (request.method, request.target, request.body) == ("PUT", "/a%2Fb?x=1+2&&y", b"{}\x00")
    assert list(request.headers) == [("host", "A.Test:80"), ("x-a", "b c"), ("content-length", "3")]
    assert address == "127.0.0.1"


async def test_header_values_are_utf_8_where_they_can_be(desk: Desk, door: Door) -> None:
    client = await door.client()
    await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \xe6\xb5\x8b\r\nX-B: caf\xe9\r\n\r\n")
    ((request, _),) = desk.asked
    assert (request.headers.get("X-A"), request.headers.get("X-B")) == ("测", "café")


async def test_an_answer_leaves_as_it_was_made_and_is_not_to_be_kept(door: Door) -> None:
    answer = await (await door.client()).ask(get())
    assert (answer.status, answer.body) == (418, b"well")
    assert answer.headers.pop("date")
    assert answer.headers == {
        "content-type": "text/plain",
        "content-length": "4",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }


async def test_an_answer_to_head_has_no_body(door: Door) -> None:
    client = await door.client()
    await client.say("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    text = await client.rest()
    assert b"content-length: 4\r\n" in text
    assert text.endswith(b"connection: close\r\n\r\n")


async def test_a_long_answer_arrives_whole_by_a_reader_that_takes_its_time(desk: Desk, door: Door) -> None:
    body = bytes(range(256)) * 20_000
    desk.body, desk.lines = body, [("Content-Length", str(len(body)))]
    client = await door.client()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.say(get("/long") + get("/short"))
    await asyncio.wait_for(desk.was_asked.wait(), WITHIN_S)
    for _ in range(50):
        await asyncio.sleep(0)  # all that it would do next
    assert len(desk.asked) == 1, "the next one waits until this one is out"
    desk.body, desk.lines = b"ok", [("Content-Length", "2")]
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert (await client.answer()).body == body
    assert (await client.answer()).body == b"ok"


async def test_answers_follow_each_other_on_one_connection(desk: Desk, door: Door) -> None:
    client = await door.client()
    await client.say(get("/1") + post("abc") + get("/3"))
    for _ in range(3):
        assert (await client.answer()).body == b"well"
    assert [request.target for request, _ in desk.asked] == ["/1", "/", "/3"]


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
async def test_a_header_line_inside_of_another_is_a_fault_of_ours(
    desk: Desk, door: Door, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk.lines.append(("X-A", value))
    answer = await (await door.client()).ask(get())
    assert (answer.status, "set-cookie" in answer.headers) == (500, False)
    assert "holds another one" in caplog.text


async def test_a_signed_call_goes_through() -> None:
    house = House()
    there = Door(application=GatewayApp(house.gateway.answer))
    there.listen()
    answer = await (await there.client()).ask(as_bytes(house.signed(CHECK)))
    assert answer.told["Data"]["CheckResult"] == 1
    await there.close()
