"""What a server says, byte by byte."""

from __future__ import annotations

import pytest

from penstock.protocols import amf0
from penstock.protocols.rtmp import messages
from tests.protocols.rtmp.tools import from_hex

# (case, message, bytes)
CONTROL = [
    ("chunk size", messages.control(messages.SET_CHUNK_SIZE, 65536), "02 000000 000004 01 00000000 00010000"),
    ("acknowledgement", messages.control(messages.ACKNOWLEDGEMENT, 2**32 - 1), "02 000000 000004 03 00000000 ffffffff"),
    ("window", messages.control(messages.WINDOW_SIZE, 2_500_000), "02 000000 000004 05 00000000 002625a0"),
    ("bandwidth, dynamic", messages.set_peer_bandwidth(2_500_000), "02 000000 000005 06 00000000 002625a0 02"),
    (
        "stream begins",
        messages.user_control(messages.STREAM_BEGIN, bytes((0, 0, 0, 1))),
        "02 000000 000006 04 00000000 0000 00000001",
    ),
    (
        "answer to a ping",
        messages.user_control(messages.PING_RESPONSE, b"\x01\x02\x03\x04"),
        "02 000000 000006 04 00000000 0007 01020304",
    ),
]


@pytest.mark.parametrize(("_case", "message", "wire"), CONTROL, ids=[row[0] for row in CONTROL])
def test_control_message_is_its_bytes(_case: str, message: bytes, wire: str) -> None:
    assert message == from_hex(wire)


def test_command_goes_on_the_chunk_stream_of_commands() -> None:
    assert messages.command("_result", 2.0, None, 1.0, chunk_size=128) == from_hex(
        "03 000000 00001d 14 00000000 02 0007 5f726573756c74 00 4000000000000000 05 00 3ff0000000000000"
    )


def test_command_is_cut_into_chunks() -> None:
    body = amf0.encode("_result", 1.0, "x" * 20)
    assert messages.command("_result", 1.0, "x" * 20, stream_id=1, chunk_size=30) == from_hex(
        f"03 000000 {len(body):06x} 14 01000000 {body[:30].hex()} c3 {body[30:].hex()}"
    )


def test_status_says_how_and_what_and_why() -> None:
    said = messages.status("error", "NetStream.Publish.BadName", "in use", stream_id=1, chunk_size=4096)
    info: dict[str, amf0.Value] = {"level": "error", "code": "NetStream.Publish.BadName", "description": "in use"}
    assert said[8:12] == from_hex("01000000")
    assert amf0.decode(said[12:]) == ["onStatus", 0.0, None, info]
