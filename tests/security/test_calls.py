"""7, 30, 33. Calls to servers that relays name: however one ends, nothing of it is left, and its time is bounded."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from penstock.model import SystemClock
from penstock.net.guard import Guard
from penstock.net.tls import client_context
from penstock.servers.callers import Callers
from penstock.servers.calling import CallPolicy, Exchange
from tests.servers.house import until
from tests.servers.relaykit import Ears, Script

POLICY = CallPolicy(connect_timeout_s=0.5, setup_timeout_s=0.5, max_message_bytes=100_000)
FLV_ANSWER = b"HTTP/1.1 200 OK\r\n\r\n"


def left() -> tuple[int, int, int]:
    """Open descriptors, tasks, and timers of ours that are due yet."""
    loop = asyncio.get_running_loop()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    ours = [timer for timer in timers if timer._callback.__module__.startswith("penstock")]
    return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()), len(ours)


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    made = Exchange(Guard(("127.0.0.0/8",)), POLICY, SystemClock(), client_context)
    assert made.context.verify_mode is ssl.CERT_REQUIRED
    assert made.context.check_hostname
    yield made
    made.close()


HOW_IT_ENDS = {
    "says nothing": (b"", False),
    "hangs up": (b"", True),
    "is no RTMP and no HTTP": (b"\xff" * 5000, False),
    "is RTMP that stops": (b"\x03" + bytes(3072), False),
    "refuses": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", True),
    "sends in a ring": (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", True),
    "sends inside": (b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n", True),
    "sends nowhere": (b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n", True),
    "is FLV that breaks off": (FLV_ANSWER + b"FLV\x01\x05", True),
    "is no FLV": (FLV_ANSWER + b"x" * 5000, False),
    "has a tag that is too long": (FLV_ANSWER + b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x09\xff\xff\xff" + bytes(7), False),
    "informs without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, False),
}


@pytest.mark.parametrize("how", HOW_IT_ENDS)
@pytest.mark.parametrize("call", ["rtmp pull", "rtmp push", "rtmps push", "http pull", "https pull"])
async def test_30_nothing_of_a_call_is_left_however_it_ends(exchange: Exchange, call: str, how: str) -> None:
    callers = Callers(exchange)
    scheme, verb = call.split()
    does: Callable[[str, Ears], object] = callers.push if verb == "push" else callers.pull
    said, closes = HOW_IT_ENDS[how]
    async with Script(said, closes=closes) as server:
        before = left()
        ears = Ears()
        does(f"{scheme}://127.0.0.1:{server.port}/live/cam", ears)
        # In time, however little is said.
        await until(lambda: bool(ears.why))
        assert len(ears.why) == 1
        assert "fault" not in ears.why[0]
        assert not exchange.calls
        await until(lambda: left() == before)


@pytest.mark.parametrize("url", ["rtmp://127.0.0.1:1/live/cam", "rtmp://a.invalid/live/cam", "rtmp://10.0.0.1/a/b"])
async def test_30_nothing_is_left_of_a_call_that_nobody_took(exchange: Exchange, url: str) -> None:
    callers = Callers(exchange)
    callers.push(url, Ears()).close()  # before it began
    before = left()
    for ends in (True, False):
        ears = Ears()
        made = callers.push(url, ears)
        if ends:
            made.finish()
        await until(lambda: ends or bool(ears.why))  # noqa: B023
    await until(lambda: not exchange.calls and left()[0] == before[0])


async def test_30_without_descriptors_a_call_fails_and_is_told(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import socket

    def none_left(*_: object) -> socket.socket:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr("penstock.servers.dialing.socket.socket", none_left)
    ears = Ears()
    Callers(exchange).push("rtmp://127.0.0.1:1/live/cam", ears)
    await until(lambda: bool(ears.why))
    monkeypatch.undo()
    assert os.strerror(24) in ears.why[0]
    assert not caplog.records


async def test_30_a_door_of_ours_that_ends_leaves_nothing(tmp_path: Path, exchange: Exchange) -> None:
    before = left()
    async with Script(b"", closes=False) as server:
        ears = [Ears() for _ in range(20)]
        for each in ears:
            Callers(exchange).push(f"rtmp://127.0.0.1:{server.port}/live/cam", each)
        await until(lambda: server.connections == 20)
        exchange.close()
        assert all(each.why == [] for each in ears)
    await until(lambda: left() == before)
