"""Low-latency HLS: a segment is told of in parts, each as soon as it is made.

A part is one fragment, and a segment is its parts, one behind the other: both are made once, and what is
kept of a whole segment is its bytes and where its parts end. Parts are cut before a picture; where there
are none, before a sound. They are as long as the draft wants them, between 85 and 100 in a hundred of the
target, wherever frames come often enough for that.

Source: RFC 8216bis-15, sections 4.4.3.7, 4.4.3.8, 4.4.4.9, 4.4.5.3, 6.2.2 and 6.2.5.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs

from penstock.engine.outlet import Buffer
from penstock.engine.segments import SLACK_MS, Segment, Segmenter, SegmentPolicy, Shelf
from penstock.model import Clock, Kind, MediaPacket
from penstock.protocols import hls
from penstock.protocols.fmp4 import Run, Track, media_segment
from penstock.protocols.hls import LowLatency, PartPiece, Piece, part_name

# The shortest part of those that may not be shorter, to the target.
SHORTEST: Final = 0.85
# Whole segments whose parts are told, besides the one under way: a player further behind takes whole ones.
SEGMENTS_IN_PARTS: Final = 2
# Parts can be had for three target durations after they left the playlist, and a segment is half of one.
FEWEST_KEPT: Final = SEGMENTS_IN_PARTS + 6


class Reload(Struct, frozen=True):
    """What a playlist must have before a player wants it."""

    number: int
    part: int | None  # None: the whole segment


class _UnderWay(Struct):
    """The segment that is told of in parts, and is not whole."""

    piece: Piece
    tracks: tuple[Track, ...]
    parts: list[PartPiece]
    data: list[bytes]


class PartSegmenter(Segmenter):
    """A segmenter whose playlist tells of parts."""

    is_low_latency = True

    def __init__(self, policy: SegmentPolicy, clock: Clock, at_least: int = 0, shelf: Shelf | None = None) -> None:
        super().__init__(policy, clock, at_least, shelf)
        self._part_ms = round(policy.part_s * 1000)
        self._part_start_ms: int | None = None
        self._under_way: _UnderWay | None = None
        self._fragment = self._next
        self._is_news = False

    # What players ask for

    @property
    def number_after(self) -> int:
        return self._next + (self._under_way is not None)

    def part(self, number: int, index: int) -> Buffer | None:
        under_way = self._under_way
        if under_way is not None and number == self._next:
            return under_way.data[index] if index < len(under_way.data) else None
        kept = self._segments.get(number)
        if kept is None or index >= len(kept.part_ends):
            return None
        start = kept.part_ends[index - 1] if index else 0
        return memoryview(kept.data)[start : kept.part_ends[index]]

    def is_hinted(self, number: int, index: int) -> bool:
        """True for the part that comes next."""
        return not self.is_ended and (number, index) == (self._next, self._parts_under_way)

    def has(self, wanted: Reload) -> bool:
        """True when the playlist has that, or something later; at the end of a stream always."""
        if self.is_ended:
            return True
        number, part = wanted.number, wanted.part
        if part is None:
            return number < self._next
        kept = self._segments.get(number)
        if kept is not None and part >= len(kept.part_ends):
            # Behind a segment's last part comes the next one's first.
            number, part = number + 1, 0
        return number < self._next or (number == self._next and part < self._parts_under_way)

    def is_beyond(self, wanted: Reload) -> bool:
        """True for what no player can know of yet."""
        ahead = wanted.number - self._next  # of the segment under way, which is one ahead of the last whole one
        if self.is_ended or ahead < 0:
            return False
        if ahead > 1 or wanted.part is None:
            return ahead > 1
        last = self._parts_under_way - 1 if ahead == 0 else 0
        return wanted.part - last > self._advance_limit

    @property
    def _parts_under_way(self) -> int:
        return len(self._under_way.parts) if self._under_way else 0

    @property
    def _advance_limit(self) -> int:
        target_s = self._policy.part_s
        return math.ceil(3 / target_s) if target_s < 1 else 3

    def _write_playlist(self) -> str:
        listed = self._listed()
        in_parts = len(listed) - SEGMENTS_IN_PARTS
        pieces = [
            segment.piece if at >= in_parts else structs.replace(segment.piece, parts=())
            for at, segment in enumerate(listed)
        ]
        under_way = self._under_way
        return hls.media_playlist(
            pieces,
            target_duration=self.target_duration_s,
            discontinuity_sequence=listed[0].discontinuity,
            is_ended=self.is_ended,
            low_latency=LowLatency(
                self._policy.part_s,
                structs.replace(under_way.piece, parts=tuple(under_way.parts)) if under_way else None,
                "" if self.is_ended else part_name(self._next, self._parts_under_way),
            ),
        )

    # What the stream tells

    def take(self, packets: Sequence[MediaPacket]) -> None:
        super().take(packets)
        self._tell()

    def pause(self) -> None:
        super().pause()
        self._tell()

    def end(self) -> None:
        super().end()
        self._is_news = True
        self._tell()

    def failed(self) -> None:
        self._under_way = None
        super().failed()
        self._is_news = True
        self._tell()

    def _tell(self) -> None:
        if self._is_news:
            self._is_news = False
            if self.on_news is not None:
                self.on_news(self)

    # Cutting

    def _count(self, packet: MediaPacket) -> None:
        super()._count(packet)
        if self._part_start_ms is None:
            self._part_start_ms = packet.dts_ms

    def _cut_before(self, packet: MediaPacket) -> None:
        super()._cut_before(packet)
        start_ms = self._part_start_ms
        if start_ms is not None and self._start_ms is not None and self._is_part_due(packet, packet.dts_ms - start_ms):
            self._cut_part(packet.dts_ms, self._start_ms + self._policy.longest_ms + SLACK_MS)

    def _is_part_due(self, packet: MediaPacket, length_ms: int) -> bool:
        if packet.kind == Kind.AUDIO and (Kind.VIDEO in self._tracks or self._video.samples):
            return False
        return length_ms >= SHORTEST * self._part_ms or length_ms + self._step_ms(packet) > self._part_ms

    def _step_ms(self, packet: MediaPacket) -> int:
        """How long the packet will be, as far as one can tell by the one before it."""
        return self._video.step_ms if packet.kind == Kind.VIDEO else 0

    def _finish(self, until_ms: int | None, latest_ms: int, start_ms: int) -> None:
        self._cut_part(until_ms, latest_ms)
        self._close()

    def _cut_part(self, until_ms: int | None, latest_ms: int) -> None:
        """End the part under way; the next one begins at `until_ms`, if that is known."""
        start_ms = self._part_start_ms
        assert start_ms is not None
        self._part_start_ms = None
        runs, duration_s = self._take_off(until_ms, latest_ms)
        if until_ms is not None:
            # By the stream's own line, on which parts lie end to end.
            duration_s = max(1, until_ms - start_ms) / 1000
        tracks = self._tracks_in_use()
        if self._under_way is not None and self._under_way.tracks != tracks:
            # A track came, or another setup: that is another segment.
            self._close()
            self._start_ms = start_ms
        if self._under_way is None:
            self._under_way = _UnderWay(self._next_piece(0.0, start_ms), tracks, [], [])
        self._under_way.parts.append(PartPiece(duration_s, _is_independent(runs)))
        self._under_way.data.append(media_segment(self._fragment, runs))
        self._fragment += 1
        self._playlist = None
        self._is_news = True

    def _close(self) -> None:
        """The parts that there are make a segment."""
        under_way, self._under_way = self._under_way, None
        assert under_way is not None
        ends, at = [], 0
        for data in under_way.data:
            at += len(data)
            ends.append(at)
        parts = tuple(under_way.parts)
        piece = structs.replace(under_way.piece, duration_s=sum(part.duration_s for part in parts), parts=parts)
        self._add(Segment(piece, b"".join(under_way.data), self._discontinuity, tuple(ends)))

    def _kept_at_most(self) -> int:
        return max(super()._kept_at_most(), FEWEST_KEPT)

    def _needed_inits(self) -> set[int]:
        needed = super()._needed_inits()
        return needed | {self._under_way.piece.init} if self._under_way else needed


def _is_independent(runs: Sequence[Run]) -> bool:
    """True for what begins with a key frame; sound alone begins anywhere."""
    return runs[0].samples[0].is_key if runs[0].is_video else True
