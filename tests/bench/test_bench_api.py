"""The calls that `bench api` makes pass the server that it measures."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

from bench.api import CALLS, write_calls
from bench.servers import APP, CREDENTIALS, PUSH_DOMAIN, WITH_API
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.kingsoft import streams, wire

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read_calls(path: Path) -> list[HttpRequest]:
    data, calls = path.read_bytes(), []
    while data:
        (size,) = struct.unpack_from(">I", data)
        first, *lines = data[4 : 4 + size].decode().removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = Headers([(name, value) for name, _, value in (line.partition(": ") for line in lines)])
        calls.append(HttpRequest(method=method, target=target, headers=headers))
        data = data[4 + size :]
    return calls


def test_each_call_is_signed_asks_for_a_stream_of_its_own_and_is_unlike_the_others(tmp_path: Path) -> None:
    write_calls(tmp_path / "calls", 20000, NOW)
    calls = read_calls(tmp_path / "calls")
    asked = []
    for call in calls:
        wire.verify(call, wire.read_claim(call, NOW), CREDENTIALS)
        asked.append(wire.decode_request(call).operation)
    assert asked == [
        streams.CheckBlacklist(unique_name=WITH_API.vhost, app=APP, pubdomain=PUSH_DOMAIN, stream=f"s{number}")
        for number in range(CALLS)
    ]
    assert len({call.headers.get("Authorization") for call in calls}) == CALLS
