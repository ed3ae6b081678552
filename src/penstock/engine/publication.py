"""One admitted publish: its messages become the stream's packets, until it ends."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from penstock.engine.facts import Facts
from penstock.engine.stream import Stream
from penstock.engine.timeline import Timeline
from penstock.errors import AmfError
from penstock.link.messages import Client, EndReason, Lease
from penstock.model import Kind, MediaPacket
from penstock.protocols import amf0
from penstock.protocols.flv import HEAD, TAIL, frame_tag
from penstock.protocols.flvbody import AudioBody, VideoBody, audio_body, video_body

# Metadata that a publisher sets for the stream comes wrapped in a call of this name, which is for the server.
_SET_DATA_FRAME = amf0.encode("@setDataFrame")


class Publisher(Protocol):
    """The connection that publishes."""

    def cut(self, reason: EndReason, detail: str) -> None:
        """Close the socket now. The publication is over already."""

    def look(self) -> None:
        """Nothing came for a while: see whether the connection is still there."""


class Publication:
    """A lease, the connection behind it, and the stream that it feeds."""

    def __init__(
        self,
        lease: Lease,
        stream: Stream,
        publisher: Publisher,
        client: Client,
        domain: str,
        *,
        began_at: datetime,
        now_s: float,
        start_ms: int,
    ) -> None:
        """`now_s` is the monotonic clock; `start_ms` where the first frame goes on the stream's line."""
        self.lease = lease
        self.stream = stream
        self.publisher = publisher
        self.client = client
        self.domain = domain
        self.began_at = began_at
        self.began_s = now_s
        self.media_at_s = now_s  # when media last came
        self.facts = Facts(now_s)
        self._timeline = Timeline(start_ms)
        self._video_body: VideoBody | None = None
        self._audio_body: AudioBody | None = None

    def receive(self, kind: int, timestamp: int, buffer: bytearray, now_s: float) -> None:
        """Take one message's payload, at ``buffer[HEAD:-TAIL]``; `buffer` is the stream's from now on.

        A body that is empty or cut short holds nothing and is left out, and so are Enhanced RTMP's
        further tracks: players know one of each kind, and that one is sent outside of them.
        """
        self.facts.bytes_in += len(buffer) - HEAD - TAIL
        if kind == Kind.VIDEO:
            packet = self._video(timestamp, buffer)
        elif kind == Kind.AUDIO:
            packet = self._audio(timestamp, buffer)
        else:
            packet = self._data(buffer)
        if packet is not None:
            if kind != Kind.DATA:
                self.media_at_s = now_s
            self.stream.add(packet)

    def _video(self, timestamp: int, buffer: bytearray) -> MediaPacket | None:
        payload = memoryview(buffer)[HEAD:-TAIL]
        body = video_body(payload)
        if body is None or body.is_multitrack:
            return None
        facts = self.facts
        facts.video_bytes += len(payload)
        if body.is_header or body is not self._video_body:
            self._video_body = body
            facts.see_video(body, payload)
        dts_ms = self._timeline.now_ms
        if body.is_frame:
            dts_ms = self._timeline.place(timestamp)
            facts.video_frames += 1
            if body.is_key:
                facts.see_key(dts_ms)
        frame_tag(buffer, Kind.VIDEO, dts_ms)
        return MediaPacket(Kind.VIDEO, dts_ms, body.is_key, body.is_header, buffer)

    def _audio(self, timestamp: int, buffer: bytearray) -> MediaPacket | None:
        payload = memoryview(buffer)[HEAD:-TAIL]
        body = audio_body(payload)
        if body is None or body.is_multitrack:
            return None
        self.facts.audio_bytes += len(payload)
        if body.is_header or body is not self._audio_body:
            self._audio_body = body
            self.facts.see_audio(body, payload)
        dts_ms = self._timeline.place(timestamp) if body.is_frame else self._timeline.now_ms
        frame_tag(buffer, Kind.AUDIO, dts_ms)
        return MediaPacket(Kind.AUDIO, dts_ms, False, body.is_header, buffer)

    def _data(self, buffer: bytearray) -> MediaPacket | None:
        if buffer.startswith(_SET_DATA_FRAME, HEAD):
            del buffer[HEAD : HEAD + len(_SET_DATA_FRAME)]
        try:
            values = amf0.decode(memoryview(buffer)[HEAD:-TAIL])
        except AmfError:
            # Metadata is a courtesy; what does not decode is no player's business either.
            return None
        if not values:
            return None
        is_metadata = values[:1] == ["onMetaData"]
        if is_metadata and len(values) > 1 and isinstance(values[1], dict):
            self.facts.see_metadata(values[1])
        # Metadata has no time of its own; with any but 0, ffmpeg takes it for a track of subtitles.
        dts_ms = 0 if is_metadata else self._timeline.now_ms
        frame_tag(buffer, Kind.DATA, dts_ms)
        return MediaPacket(Kind.DATA, dts_ms, False, is_metadata, buffer)
