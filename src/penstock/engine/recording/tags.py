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
        self._times: list[int] = []  # of the frames among the packets

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
        codec = _codec_of(packet)
        if not codec:
            self._add(packet)  # something beside the frames, which has no time of its own
            return
        if self._pace.is_due(packet):
            self._cut()
        self._add(packet)
        self._pace.count(packet)
        self._codecs[packet.kind] = self._codecs[packet.kind] or codec
        self._times.append(packet.dts_ms)

    def pause(self) -> None:
        self._cut()
        self._headers.clear()
        self._codecs = {Kind.VIDEO: "", Kind.AUDIO: ""}
        self._has_key = False

    def _add(self, packet: MediaPacket) -> None:
        if self._pace.is_large:
            self._cut()
        if not self._packets:
            self._before = tuple(header for header in self._headers.values() if header is not packet)
        self._packets.append(packet)
        self._pace.weigh(packet)

    def _cut(self) -> None:
        packets, self._packets = self._packets, []
        times, self._times = self._times, []
        is_start = self._pace.begins_with_key or not self._codecs[Kind.VIDEO]
        self._pace.restart()
        if not times:
            return  # setup alone: whoever comes next has it in its headers
        headers = tuple(sorted(self._before, key=lambda header: -header.kind))
        video, audio = self._codecs[Kind.VIDEO], self._codecs[Kind.AUDIO]
        self._put(TagRun(headers, packets, min(times), max(times), is_start, video, audio))


def _codec_of(packet: MediaPacket) -> str:
    """The codec of a frame; empty for anything else."""
    if packet.kind == Kind.DATA:
        return ""
    body = (video_body if packet.kind == Kind.VIDEO else audio_body)(packet.payload)
    return body.codec if body is not None and body.is_frame else ""
