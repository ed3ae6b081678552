"""The wire formats in which a stream leaves live, and what each needs before its first packet."""

from __future__ import annotations

from typing import Final, Protocol

from penstock.model import Kind, MediaPacket
from penstock.protocols import flv
from penstock.protocols.rtmp.chunk import encode_message
from penstock.protocols.rtmp.session import CHUNK_SIZE, MEDIA_STREAM_ID

Bytes = bytes | bytearray


class Format(Protocol):
    """How packets become the bytes that all players of one format share."""

    name: str

    def preamble(self, *, audio: bool, video: bool) -> bytes:
        """What stands ahead of a player's first packet."""

    def encode(self, packet: MediaPacket) -> Bytes: ...


class FlvFormat:
    """HTTP-FLV: a file header, then each packet's own tag."""

    name = "flv"

    def preamble(self, *, audio: bool, video: bool) -> bytes:
        return flv.file_header(audio=audio, video=video)

    def encode(self, packet: MediaPacket) -> Bytes:
        return packet.tag


class RtmpFormat:
    """RTMP: whole messages with absolute timestamps, in the chunk size that the session announced."""

    name = "rtmp"

    # One chunk stream a kind, as encoders do; 2 and 3 carry control messages and commands.
    _CSIDS: Final = {Kind.AUDIO: 4, Kind.DATA: 5, Kind.VIDEO: 6}

    def preamble(self, *, audio: bool, video: bool) -> bytes:
        return b""

    def encode(self, packet: MediaPacket) -> Bytes:
        return encode_message(
            self._CSIDS[packet.kind],
            packet.kind,
            packet.dts_ms,
            packet.payload,
            stream_id=MEDIA_STREAM_ID,
            chunk_size=CHUNK_SIZE,
        )


FLV: Final = FlvFormat()
RTMP: Final = RtmpFormat()
