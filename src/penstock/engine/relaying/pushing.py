"""What leaves for a target: its bytes, and how far it got."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from penstock.engine.formats import Bytes
from penstock.engine.outlet import Outlet
from penstock.engine.stream import Stream
from penstock.model import Kind, MediaPacket
from penstock.protocols import amf0
from penstock.protocols.rtmp.chunk import encode_message
from penstock.protocols.rtmp.session import CHUNK_SIZE

_SET_DATA_FRAME: Final = amf0.encode("@setDataFrame")
_CSIDS: Final = {Kind.AUDIO: 4, Kind.DATA: 5, Kind.VIDEO: 6}


class PushFormat:
    """RTMP as a publisher sends it: on the stream that the server gave, metadata as data to be kept."""

    name = "push"

    def __init__(self, stream_id: int) -> None:
        self._stream_id = stream_id

    def preamble(self, *, audio: bool, video: bool) -> bytes:
        return b""

    def encode(self, packet: MediaPacket) -> Bytes:
        payload: Bytes | memoryview = packet.payload
        if packet.kind == Kind.DATA and packet.is_header:
            payload = _SET_DATA_FRAME + payload
        return encode_message(
            _CSIDS[packet.kind],
            packet.kind,
            packet.dts_ms,
            payload,
            stream_id=self._stream_id,
            chunk_size=CHUNK_SIZE,
        )


class Progress:
    """Follows a stream to tell which of its packets a target's socket took (engine.stream.Reader)."""

    def __init__(self, stream: Stream, outlet: Outlet) -> None:
        self.position_ms: int | None = None  # of the last packet that was taken; None before the first
        self._stream = stream
        self._outlet = outlet
        # For each batch on its way: the outlet's bytes at its end, and its last packet's time.
        self._marks: deque[tuple[int, int]] = deque()
        self._offered = 0

    def take(self, packets: Sequence[MediaPacket]) -> None:
        """A batch was offered to the outlet, which took, queued or left it out."""
        outlet = self._outlet
        offered = outlet.sent_bytes + outlet.queued_bytes
        while self._marks and self._marks[-1][0] > offered:
            self._marks.pop()  # given up: the outlet skipped ahead
        if packets and self._is_playing and not outlet.skipped_at and offered != self._offered:
            self._marks.append((offered, packets[-1].dts_ms))
        self._offered = offered

    def failed(self) -> None:
        """How far the target gets is not known any more; that media gets there is no business of this."""
        self._marks.clear()

    def look(self) -> bool:
        """Look again; true if packets were taken since the last time."""
        marks, sent, before = self._marks, self._outlet.sent_bytes, len(self._marks)
        while marks and marks[0][0] <= sent:
            self.position_ms = marks.popleft()[1]
        return len(marks) != before

    @property
    def _is_playing(self) -> bool:
        return any(self._outlet in feed.players for feed in self._stream.feeds.values())
