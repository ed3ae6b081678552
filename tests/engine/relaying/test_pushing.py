"""What leaves for a target: RTMP as a publisher sends it, and how far of it was taken."""

from __future__ import annotations

from penstock.engine.relaying.pushing import Progress, PushFormat
from penstock.engine.stream import Stream
from penstock.model import Kind
from penstock.protocols.rtmp.chunk import ChunkReader
from penstock.protocols.rtmp.session import CHUNK_SIZE
from tests.clock import ManualClock
from tests.engine.kit import (
    FakeOwner,
    audio,
    inter,
    inter_body,
    key,
    make_stream,
    metadata,
    metadata_body,
    packet,
    put,
    video_header,
)


def pushed(room: int | None = None, limit_bytes: int = 10_000) -> tuple[Stream, FakeOwner, Progress]:
    """A stream with a target that began on its first key frame."""
    stream, far = make_stream(ManualClock()), FakeOwner(room, limit_bytes)
    put(stream, video_header(), key(0))
    progress = Progress(stream, far.outlet)
    stream.attach(far.outlet, PushFormat(3))
    stream.follow(progress)
    return stream, far, progress


def test_messages_are_on_the_servers_stream_and_metadata_is_to_be_kept() -> None:
    form = PushFormat(3)
    reader = ChunkReader(1 << 24)
    reader.chunk_size = CHUNK_SIZE
    long = inter(0x1FFFFFF, bytes(200_000))
    cue = packet(Kind.DATA, 40, b"\x02\x00\x01x")
    got = reader.receive(b"".join(map(form.encode, (metadata(), long, audio(41), cue))))
    assert [(one.type_id, one.timestamp, one.stream_id) for one in got] == [
        (18, 0, 3),
        (9, 0x1FFFFFF, 3),
        (8, 41, 3),
        (18, 40, 3),
    ]
    assert bytes(got[0].payload) == metadata_body(title="one")
    assert bytes(got[1].payload) == inter_body(bytes(200_000))
    assert bytes(got[3].payload) == b"\x02\x00\x01x"
    assert form.preamble(audio=True, video=True) == b""


def test_position_is_that_of_what_the_socket_took() -> None:
    stream, far, progress = pushed()
    assert (progress.look(), progress.position_ms, progress.look()) == (True, 0, False)
    put(stream, inter(40), audio(45))
    assert (progress.look(), progress.position_ms) == (True, 45)
    far.socket.room = 3
    put(stream, inter(80))
    assert (progress.look(), progress.position_ms) == (False, 45)
    far.make_room(None)
    assert (progress.look(), progress.position_ms) == (True, 80)


def test_what_was_given_up_was_never_there() -> None:
    stream, far, progress = pushed()
    progress.look()
    far.socket.room = 0
    for number in range(1, 30):
        put(stream, inter(number * 40, bytes(1000)))
    assert far.outlet.skipped_at
    far.make_room(None)
    assert progress.look()
    assert progress.position_ms is not None
    assert progress.position_ms <= 40
    put(stream, key(2000))
    far.make_room(None)
    assert (progress.look(), progress.position_ms) == (True, 2000)


def test_who_waits_for_a_key_frame_gets_nowhere_by_other_bytes() -> None:
    stream, far = make_stream(ManualClock()), FakeOwner()
    put(stream, video_header(), inter(0))
    progress = Progress(stream, far.outlet)
    stream.attach(far.outlet, PushFormat(1))
    stream.follow(progress)
    put(stream, inter(40))
    far.outlet.write(b"an answer to a ping")
    put(stream, inter(80))
    assert (progress.look(), progress.position_ms) == (False, None)
    put(stream, key(120))
    assert (progress.look(), progress.position_ms) == (True, 120)
