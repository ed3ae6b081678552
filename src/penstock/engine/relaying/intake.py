"""One connection's media as packets on the relay's line of time.

Frames before the first key frame are left out: to the target they would be damaged pictures, at a moment when
nothing was wrong with it.
"""

from __future__ import annotations

from penstock.engine.timeline import Timeline
from penstock.errors import AmfError
from penstock.model import Kind, MediaPacket
from penstock.protocols import amf0
from penstock.protocols.flv import HEAD, TAIL, frame_tag
from penstock.protocols.flvbody import audio_body, video_body
from penstock.protocols.rtmp.chunk import Message

_SET_DATA_FRAME = amf0.encode("@setDataFrame")


class Intake:
    """Takes one session's messages, from a connection to its end."""

    def __init__(self, start_ms: int) -> None:
        """The session's first frame comes to stand at `start_ms`."""
        self._timeline = Timeline(start_ms)
        self._has_key = False

    def packet(self, message: Message) -> MediaPacket | None:
        """Return a message as a packet, made in the message's own buffer; None for what is not passed on."""
        match message.type_id:
            case Kind.VIDEO:
                return self._video(message)
            case Kind.AUDIO:
                return self._audio(message)
            case _:
                return self._data(message.buffer)

    def _video(self, message: Message) -> MediaPacket | None:
        body = video_body(message.payload)
        if body is None or body.is_multitrack:
            return None
        dts_ms = self._timeline.now_ms
        if body.is_frame:
            self._has_key = self._has_key or body.is_key
            if not self._has_key:
                return None
            dts_ms = self._timeline.place(message.timestamp)
        frame_tag(message.buffer, Kind.VIDEO, dts_ms)
        return MediaPacket(Kind.VIDEO, dts_ms, body.is_key, body.is_header, message.buffer)

    def _audio(self, message: Message) -> MediaPacket | None:
        body = audio_body(message.payload)
        if body is None or body.is_multitrack:
            return None
        dts_ms = self._timeline.place(message.timestamp) if body.is_frame else self._timeline.now_ms
        frame_tag(message.buffer, Kind.AUDIO, dts_ms)
        return MediaPacket(Kind.AUDIO, dts_ms, False, body.is_header, message.buffer)

    def _data(self, buffer: bytearray) -> MediaPacket | None:
        if buffer.startswith(_SET_DATA_FRAME, HEAD):
            del buffer[HEAD : HEAD + len(_SET_DATA_FRAME)]
        try:
            values = amf0.decode(memoryview(buffer)[HEAD:-TAIL])
        except AmfError:
            return None
        if not values:
            return None
        is_metadata = values[:1] == ["onMetaData"]
        dts_ms = 0 if is_metadata else self._timeline.now_ms
        frame_tag(buffer, Kind.DATA, dts_ms)
        return MediaPacket(Kind.DATA, dts_ms, False, is_metadata, buffer)
