"""What the engine's tests share: media bodies, packets, sockets that take what they are told, players."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.engine.outlet import Buffer, Outlet
from penstock.engine.publication import Publication
from penstock.engine.stream import FlushPolicy, Stream
from penstock.link.messages import Client, EndReason, Lease
from penstock.model import Kind, MediaPacket, StreamId
from penstock.protocols import amf0, flv
from penstock.protocols.flv import HEAD, TAIL, Tag, TagReader
from tests.clock import ManualClock
from tests.protocols.codecs.tools import captures

DEMO = StreamId("demo", "live", "cam")
CLIENT = Client("192.0.2.7", 50000)

# Real setup records: x264's of 640x360 at 30 pictures a second, and AAC LC.
AVC_RECORD = bytes.fromhex(captures("avc")["avc_main"]["hex"])
AAC_RECORD = bytes.fromhex("1190")  # LC, 48 kHz, two channels

AVC_HEADER = bytes.fromhex("1700000000") + AVC_RECORD
AAC_HEADER = bytes.fromhex("af00") + AAC_RECORD


def key_body(data: bytes = b"key") -> bytes:
    """An H.264 key frame as it stands in a video message."""
    return bytes.fromhex("1701000000") + data


def inter_body(data: bytes = b"inter") -> bytes:
    return bytes.fromhex("2701000000") + data


def audio_body(data: bytes = b"sound") -> bytes:
    return bytes.fromhex("af01") + data


def metadata_body(*, wrapped: bool = True, **fields: amf0.Value) -> bytes:
    """onMetaData, as an encoder sends it (`wrapped`) or as players get it."""
    values = ["@setDataFrame"] if wrapped else []
    return amf0.encode(*values, "onMetaData", amf0.EcmaArray(fields))


def message_buffer(payload: bytes) -> bytearray:
    """`payload` with the room around it that ChunkReader leaves."""
    return bytearray(HEAD) + payload + bytes(TAIL)


# Packets, ready for a stream


def packet(kind: Kind, dts_ms: int, payload: bytes, *, is_key: bool = False, is_header: bool = False) -> MediaPacket:
    return MediaPacket(kind, dts_ms, is_key, is_header, flv.tag(kind, dts_ms, payload))


def key(dts_ms: int, data: bytes = b"key") -> MediaPacket:
    return packet(Kind.VIDEO, dts_ms, key_body(data), is_key=True)


def inter(dts_ms: int, data: bytes = b"inter") -> MediaPacket:
    return packet(Kind.VIDEO, dts_ms, inter_body(data))


def audio(dts_ms: int, data: bytes = b"sound") -> MediaPacket:
    return packet(Kind.AUDIO, dts_ms, audio_body(data))


def video_header(dts_ms: int = 0, record: bytes = AVC_RECORD) -> MediaPacket:
    return packet(Kind.VIDEO, dts_ms, bytes.fromhex("1700000000") + record, is_header=True)


def audio_header(dts_ms: int = 0, record: bytes = AAC_RECORD) -> MediaPacket:
    return packet(Kind.AUDIO, dts_ms, bytes.fromhex("af00") + record, is_header=True)


def metadata(title: str = "one") -> MediaPacket:
    return packet(Kind.DATA, 0, metadata_body(wrapped=False, title=title), is_header=True)


# A player's far end


class FakeSocket:
    """Takes what `room` allows of each send; keeps every byte it took."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room  # bytes that it will still take; None: all of them
        self.taken = bytearray()
        self.sends: list[bytes] = []  # what each send took
        self.error: OSError | None = None
        self.clock: ManualClock | None = None
        self.costs_s = 0.0  # how long a send takes on `clock`

    def send(self, buffer: Buffer) -> int:
        if self.clock is not None:
            self.clock.spend(self.costs_s)
        if self.error is not None:
            raise self.error
        size = len(buffer) if self.room is None else min(self.room, len(buffer))
        if not size and len(buffer):
            raise BlockingIOError
        if self.room is not None:
            self.room -= size
        self.taken += bytes(buffer[:size])
        self.sends.append(bytes(buffer[:size]))
        return size


class FakeOwner:
    """A connection as an outlet and a hub see it; `outlet` is its way out."""

    def __init__(self, room: int | None = None, limit_bytes: int = 1_000_000) -> None:
        self.socket = FakeSocket(room)
        self.outlet = Outlet(self.socket.send, self, limit_bytes)
        self.wants_write = False
        self.losses: list[str] = []
        self.ends: list[tuple[str, bool]] = []

    def want_write(self, wanted: bool) -> None:
        self.wants_write = wanted

    def lost(self, why: str) -> None:
        self.losses.append(why)

    def end(self, why: str, *, at_once: bool) -> None:
        self.ends.append((why, at_once))

    def make_room(self, size: int | None, now: float = 1.0) -> None:
        """The peer reads: its socket has room for `size` more bytes, and says so if somebody asked."""
        self.socket.room = size
        if self.wants_write:
            self.outlet.on_writable(now)

    def tags(self) -> list[Tag]:
        """The FLV tags in what the socket took; it must be FLV and end where a tag ends."""
        return read_flv(self.socket.taken)


def read_flv(data: bytes | bytearray) -> list[Tag]:
    reader = TagReader()
    tags = reader.receive(data)
    reader.receive_eof()
    return tags


def bodies(tags: Iterable[Tag]) -> list[bytes]:
    return [tag.payload for tag in tags]


def is_key_tag(tag: Tag) -> bool:
    return tag.kind == Kind.VIDEO and tag.payload[:2] == b"\x17\x01"


def is_setup_tag(tag: Tag) -> bool:
    return tag.kind == Kind.DATA or tag.payload[:2] in (b"\x17\x00", b"\xaf\x00")


# A stream, and sessions on it

LOW = FlushPolicy(every_s=0.0, audio_s=0.06, gop_cache_bytes=1_000_000)


def make_stream(clock: ManualClock, policy: FlushPolicy = LOW) -> Stream:
    return Stream(DEMO, policy, clock, clock.later)


def put(stream: Stream, *packets: MediaPacket) -> None:
    """Add packets as one receive does: all that are at hand, then settle."""
    for item in packets:
        stream.add(item)
    stream.settle()


class FakePublisher:
    def __init__(self) -> None:
        self.cuts: list[tuple[EndReason, str]] = []
        self.looks = 0

    def cut(self, reason: EndReason, detail: str) -> None:
        self.cuts.append((reason, detail))

    def look(self) -> None:
        self.looks += 1


def make_lease(epoch: int, stream: StreamId = DEMO) -> Lease:
    return Lease(stream, f"session-{epoch}", epoch)


def send(publication: Publication, kind: Kind, timestamp: int, payload: bytes, now_s: float) -> None:
    """One message of the publisher, alone in its receive."""
    publication.receive(kind, timestamp, message_buffer(payload), now_s)
    publication.stream.settle()
