"""Words that all rooms share: what a stream is called, what a packet is, what time it is."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from enum import IntEnum
from typing import Protocol

from msgspec import Struct

NAME_RULE = re.compile(r"[A-Za-z0-9_.-]{1,255}", re.ASCII)


def is_name(text: str) -> bool:
    """True for a word that may name a vhost, an app or a stream.

    The alphabet has no separator, and ``.`` and ``..`` are out, so that a name stays one
    component wherever it is put: in a path, a URL, a log line or a query.
    """
    return NAME_RULE.fullmatch(text) is not None and text not in (".", "..")


class StreamId(Struct, frozen=True, order=True):
    """Where a stream lives. All three parts are names in the sense of `is_name`."""

    vhost: str
    app: str
    stream: str

    def __str__(self) -> str:
        return f"{self.vhost}/{self.app}/{self.stream}"


class Kind(IntEnum):
    """What a packet carries. The values are FLV's tag types and RTMP's message types alike."""

    AUDIO = 8
    VIDEO = 9
    DATA = 18


class MediaPacket(Struct, frozen=True, gc=False):
    """One frame, sequence header or metadata message, as it leaves.

    `tag` is the whole FLV tag: 11 bytes of header, the payload exactly as the publisher sent
    it, 4 bytes of previous tag size. It is built once, never changed, and shared by everyone.
    """

    kind: Kind
    dts_ms: int  # the stream's own rising line, 64 bits; not the publisher's clock
    is_key: bool  # a video frame that decoding can start from
    is_header: bool  # sequence header or metadata: setup, not a frame
    tag: bytes | bytearray

    @property
    def payload(self) -> memoryview:
        """The bytes between the tag's header and its trailing size: an RTMP message's body."""
        return memoryview(self.tag)[11:-4]


class Clock(Protocol):
    """Where time comes from; a test hands in one that it can turn."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
