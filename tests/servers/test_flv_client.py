"""FLV from other servers: our own door is the peer, and scripts that answer as they were told."""

from __future__ import annotations

import pytest

from penstock.model import Kind
from penstock.net.guard import Guard
from penstock.protocols import flv
from penstock.servers.calling import CallPolicy
from tests.engine.kit import AVC_HEADER, inter_body, key_body
from tests.servers.house import House, until
from tests.servers.relaykit import Ears, Script, callers

FLV = b"".join(
    (
        flv.file_header(audio=True, video=True),
        flv.tag(Kind.VIDEO, 0, AVC_HEADER),
        flv.tag(Kind.VIDEO, 40, key_body(bytes(100_000))),
    )
)


def answer(*lines: str, body: bytes = FLV, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode() + body


def chunked(body: bytes) -> bytes:
    parts = [body[at : at + 7000] for at in range(0, len(body), 7000)]
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts) + b"0\r\n\r\n"


async def test_it_plays_our_own_door(house: House) -> None:
    publisher = await house.on_air()
    ears = Ears()
    call = callers().pull(f"http://127.0.0.1:{house.http.port}/live/cam.flv?vhost=demo", ears)
    await until(lambda: len(ears.messages) == 3)
    await publisher.send_media(Kind.VIDEO, 40, inter_body(bytes(300_000)))
    await until(lambda: len(ears.messages) == 4)
    assert (bytes(ears.messages[3].payload), ears.messages[3].timestamp) == (inter_body(bytes(300_000)), 40)
    call.close()
    await until(lambda: not house.players())
    assert ears.why == []


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((), FLV),
        (("Transfer-Encoding: chunked",), chunked(FLV)),
        ((f"Content-Length: {len(FLV)}",), FLV),
    ],
)
async def test_any_framing_of_a_body_is_read(lines: tuple[str, ...], body: bytes) -> None:
    async with Script(answer(*lines, body=body)) as server:
        ears = Ears()
        callers().pull(f"http://127.0.0.1:{server.port}/a%20b/\u89c6.flv?k=\u00fc", ears)
        await until(lambda: bool(ears.why))
    assert [(message.type_id, message.timestamp, len(message.payload)) for message in ears.messages] == [
        (Kind.VIDEO, 0, len(AVC_HEADER)),
        (Kind.VIDEO, 40, 100_005),
    ]
    head = server.heard[0].decode("ascii")
    assert head.startswith("GET /a%20b/%E8%A7%86.flv?k=%C3%BC HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in head
    assert ears.why[0] in ("its answer ended", "it closed the connection")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(status="404 Not Found", body=b""), "it answers 404 Not Found"),
        (answer(status="503 \x1b[31mNo", body=b""), "it answers 503"),
        (answer("Content-Encoding: gzip"), "compressed"),
        (b"\x03" + bytes(3072), "not HTTP"),
        (answer(body=b"<html>"), "opens with b'<htm'"),
        (answer(status="302 Found", body=b""), "it answers 302 Found"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400_000, "not HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(body=b"x" * 20), "opens with"),
    ],
)
async def test_an_answer_without_flv_is_told(said: bytes, why: str) -> None:
    async with Script(said) as server:
        ears = Ears()
        callers().pull(f"http://127.0.0.1:{server.port}/live/cam.flv", ears)
        await until(lambda: bool(ears.why))
    assert why in ears.why[0]
    assert ears.messages == []


async def test_a_redirect_is_followed() -> None:
    async with Script(answer()) as there, Script(answer("Location: /second", status="302 Found", body=b"")) as second:
        first_answer = answer(f"Location: //127.0.0.1:{there.port}/cam.flv", status="307 Temporary", body=b"")
        async with Script(first_answer) as first:
            ears = Ears()
            callers().pull(f"http://127.0.0.1:{first.port}/", ears)
            await until(lambda: len(ears.messages) == 2)
        assert b"GET /cam.flv " in there.heard[0]
        ears = Ears()
        callers().pull(f"http://127.0.0.1:{second.port}/", ears)
        await until(lambda: bool(ears.why))
        assert ears.why == ["it redirects more than 5 times"]
        assert second.connections == 6


@pytest.mark.parametrize("to", ["http://10.0.0.1/", "http://127.0.0.2:{}/", "file:///etc/passwd", "http://0x7f.2:{}/"])
async def test_a_redirect_inside_is_refused(to: str) -> None:
    async with Script(answer()) as inside:
        location = to.format(inside.port)
        async with Script(answer(f"Location: {location}", status="302 Found", body=b"")) as server:
            ears = Ears()
            callers(guard=Guard(("127.0.0.1",))).pull(f"http://127.0.0.1:{server.port}/", ears)
            await until(lambda: bool(ears.why))
        assert (inside.connections, ears.is_open) == (0, False)


@pytest.mark.parametrize("to", ["http://[::1/", "//[x]/", "http://[", "//\xff[]"])
async def test_a_redirect_to_what_is_no_url_is_the_peers_fault(to: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Script(answer(f"Location: {to}", status="302 Found", body=b"")) as server:
        ears = Ears()
        callers().pull(f"http://127.0.0.1:{server.port}/", ears)
        await until(lambda: bool(ears.why))
    assert "fault" not in ears.why[0]
    assert not caplog.records


async def test_a_tag_has_its_bound() -> None:
    async with Script(answer()) as server:
        ears = Ears()
        policy = CallPolicy(max_message_bytes=100_004)
        callers(policy).pull(f"http://127.0.0.1:{server.port}/", ears)
        await until(lambda: bool(ears.why))
    assert "a tag holds 100005 bytes" in ears.why[0]
