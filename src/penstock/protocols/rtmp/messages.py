"""The messages of RTMP that are not media: their numbers, and builders for what both sides say.

Source: Adobe RTMP 1.0, section 5.4 (protocol control), 6.2 and 7.1 (user control, commands).
"""

from __future__ import annotations

from typing import Final

from penstock.protocols import amf0
from penstock.protocols.rtmp.chunk import encode_message

SET_CHUNK_SIZE: Final = 1
ABORT: Final = 2
ACKNOWLEDGEMENT: Final = 3
USER_CONTROL: Final = 4
WINDOW_SIZE: Final = 5
SET_PEER_BANDWIDTH: Final = 6
AUDIO: Final = 8
VIDEO: Final = 9
DATA_AMF3: Final = 15
COMMAND_AMF3: Final = 17
DATA: Final = 18
COMMAND: Final = 20
AGGREGATE: Final = 22

STREAM_BEGIN: Final = 0
STREAM_EOF: Final = 1
SET_BUFFER_LENGTH: Final = 3
PING_REQUEST: Final = 6
PING_RESPONSE: Final = 7

_DYNAMIC: Final = 2  # Set Peer Bandwidth's limit type that leaves the peer free
_CONTROL_CSID: Final = 2
_COMMAND_CSID: Final = 3


def control(type_id: int, value: int, *more: int) -> bytes:
    """A protocol control message: a 32-bit value, and for Set Peer Bandwidth one further byte."""
    return encode_message(_CONTROL_CSID, type_id, 0, value.to_bytes(4, "big") + bytes(more))


def set_peer_bandwidth(size: int) -> bytes:
    return control(SET_PEER_BANDWIDTH, size, _DYNAMIC)


def user_control(event: int, payload: bytes) -> bytes:
    """A user control message: a 16-bit event and its data."""
    return encode_message(_CONTROL_CSID, USER_CONTROL, 0, event.to_bytes(2, "big") + payload)


def command(*values: amf0.Value, stream_id: int = 0, chunk_size: int) -> bytes:
    return encode_message(_COMMAND_CSID, COMMAND, 0, amf0.encode(*values), stream_id=stream_id, chunk_size=chunk_size)


def status(level: str, code: str, description: str, *, stream_id: int, chunk_size: int) -> bytes:
    """An onStatus command: how a server answers publish and play, and tells of their end."""
    info: dict[str, amf0.Value] = {"level": level, "code": code, "description": description}
    return command("onStatus", 0.0, None, info, stream_id=stream_id, chunk_size=chunk_size)
