"""A recording as one file of FLV."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from penstock.engine.recording.cutting import Piece
from penstock.engine.recording.layout import Progress
from penstock.engine.recording.ops import Append, Op, Patch, size_of
from penstock.engine.recording.tags import TagRun
from penstock.errors import AmfError
from penstock.model import Kind, MediaPacket
from penstock.protocols import amf0, flv

# A tag's time has 32 bits, and readers take the highest one for a sign.
MAX_LENGTH_MS: Final = (1 << 31) - 1
FLAGS_AT: Final = 4
# What an encoder says of itself may be so much.
MAX_FACTS: Final = 64
MAX_METADATA: Final = 16 * 1024


class FlvFile:
    """Header, one tag of metadata of our own, and the tags as they came, counted from 0."""

    is_folder = False

    def __init__(self, piece: Piece, _began_at: datetime) -> None:
        assert isinstance(piece, TagRun)
        self.size_bytes = 0
        self._base_ms = piece.start_ms
        self._has = {Kind.VIDEO: False, Kind.AUDIO: False}
        self._duration_at = self._filesize_at = 0

    def can_hold(self, piece: Piece) -> bool:
        return piece.end_ms - self._base_ms <= MAX_LENGTH_MS

    def add(self, piece: Piece, *, follows: bool) -> Sequence[Op]:
        assert isinstance(piece, TagRun)
        self._has[Kind.VIDEO] |= bool(piece.video)
        self._has[Kind.AUDIO] |= bool(piece.audio)
        parts: list[bytes] = []
        is_first = not self.size_bytes
        if is_first:
            parts += (self._header(), self._metadata(piece))
        packets: list[MediaPacket] = [] if follows and not is_first else list(piece.headers)
        packets += piece.packets
        # Where a header stands between frames, its own time says nothing that the file needs.
        parts += [self._tag(packet, piece.start_ms) for packet in packets if not _is_metadata(packet)]
        ops = [Append(b"".join(parts))]
        self.size_bytes += size_of(ops)
        return ops

    def note_length(self, duration_ms: int) -> Sequence[Op]:
        return [
            Patch(FLAGS_AT, self._header()[FLAGS_AT : FLAGS_AT + 1]),
            Patch(self._duration_at, struct.pack(">d", duration_ms / 1000)),
            Patch(self._filesize_at, struct.pack(">d", self.size_bytes)),
        ]

    def finish(self, progress: Progress, *, is_whole: bool) -> Sequence[Op]:
        self.size_bytes = progress.size_bytes
        return self.note_length(progress.duration_ms)

    def _header(self) -> bytes:
        return flv.file_header(audio=self._has[Kind.AUDIO], video=self._has[Kind.VIDEO])

    def _tag(self, packet: MediaPacket, start_ms: int) -> bytes:
        at_ms = max(packet.dts_ms, start_ms) if packet.kind == Kind.DATA or packet.is_header else packet.dts_ms
        return flv.retimed(packet.tag, max(0, at_ms - self._base_ms))

    def _metadata(self, piece: TagRun) -> bytes:
        """The encoder's own words, with room for what is known at the end."""
        found = [packet for packet in (*piece.headers, *piece.packets) if _is_metadata(packet)]
        facts: dict[str, amf0.Value] = {"duration": 0.0, "filesize": 0.0}
        if found:
            facts = facts | {name: fact for name, fact in _facts(found[-1]).items() if name not in facts}
        body = amf0.encode("onMetaData", amf0.EcmaArray(facts))
        begin = len(self._header()) + flv.HEAD
        # A number is its name, a marker and eight bytes.
        self._duration_at = begin + body.index(b"duration") + len("duration") + 1
        self._filesize_at = begin + body.index(b"filesize") + len("filesize") + 1
        return flv.tag(Kind.DATA, 0, body)


def _is_metadata(packet: MediaPacket) -> bool:
    return packet.kind == Kind.DATA and packet.is_header


def _facts(packet: MediaPacket) -> dict[str, amf0.Value]:
    """What an encoder's onMetaData says, in plain words and numbers, as far as that has a bound."""
    if len(packet.payload) > MAX_METADATA:
        return {}
    try:
        values = amf0.decode(packet.payload)
    except AmfError:
        return {}
    if len(values) < 2 or not isinstance(values[1], dict):
        return {}
    plain = [(name, fact) for name, fact in values[1].items() if isinstance(fact, (str, bool, float, int))]
    return dict(plain[:MAX_FACTS])
