"""Packets cut into runs of FLV tags: as they are, at whatever time the file gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from penstock.engine.recording.cutting import Pace
from penstock.model import Kind, MediaPacket
from penstock.protocols.flvbody import audio_body, video_body


class TagRun(Struct, frozen=True, eq=False):
    """A piece of FLV: packets in their order, and the setup that was in force before them."""

    headers: tuple[MediaPacket, ...]  # metadata first, as encoders send it
    packets: Sequence[MediaPacket]
    start_ms: int
    end_ms: int
    is_start: bool
    video: str = ""
    audio: str = ""


class Tagger:
    """Cuts packets into runs of tags, each at most `longest_ms` long."""

    def __init__(self, longest_ms: int, put: Callable[[TagRun], None]) -> None:
        self.left_out: set[str] = set()  # nothing: FLV holds whatever came
        self._put = put
        self._pace = Pace(longest_ms)
        self._packets: list[MediaPacket] = []
        self._headers: dict[Kind, MediaPacket] = {}
        self._before: tuple[MediaPacket, ...] = ()  # in force when the piece under way began
        self._codecs = {Kind.VIDEO: "", Kind.AUDIO: ""}
        self._has_key = False
        self._last_ms = -1

    def take(self, packet: MediaPacket) -> None:
        if packet.is_header:
            self._headers[packet.kind] = packet
            self._add(packet)
            return
        if packet.kind == Kind.VIDEO:
            # Pictures before the first key frame cannot be decoded.
            self._has_key |= packet.is_key
            if not self._has_key:
                return
        if self._pace.is_due(packet):
            self._cut()
        self._add(packet)
        if packet.kind != Kind.DATA:
            self._pace.count(packet)
            self._note_codec(packet)

    def pause(self) -> None:
        self._cut()
        self._headers.clear()
        self._codecs = {Kind.VIDEO: "", Kind.AUDIO: ""}
        self._has_key = False

    def _add(self, packet: MediaPacket) -> None:
        if not self._packets:
            self._before = tuple(header for header in self._headers.values() if header is not packet)
        self._packets.append(packet)

    def _note_codec(self, packet: MediaPacket) -> None:
        body = (video_body if packet.kind == Kind.VIDEO else audio_body)(packet.payload)
        if body is not None:
            self._codecs[packet.kind] = body.codec

    def _cut(self) -> None:
        packets, self._packets = self._packets, []
        times = [packet.dts_ms for packet in packets if packet.kind != Kind.DATA and not packet.is_header]
        is_start = self._pace.begins_with_key or not self._codecs[Kind.VIDEO]
        self._pace.restart()
        if not times:
            return  # setup alone: whoever comes next has it in its headers
        headers = tuple(sorted(self._before, key=lambda header: -header.kind))
        video, audio = self._codecs[Kind.VIDEO], self._codecs[Kind.AUDIO]
        self._put(TagRun(headers, packets, min(times), max(times), is_start, video, audio))
