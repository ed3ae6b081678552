"""What is fuzzed: each target takes any bytes, and raises only when something is wrong with what they strike.

What a parser may raise at bytes that are not its own is caught here; anything else is a finding. So is an answer that
does not hold what its reader promises: the same in any split, and the same after a way there and back.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import cache
from typing import Final, cast

from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.kingsoft import signing
from penstock.engine.parts import PartSegmenter
from penstock.engine.publication import Publication
from penstock.engine.recording.salvage import mend_flv, mend_mp4
from penstock.engine.segments import Segmenter, SegmentPolicy
from penstock.engine.stream import Stream
from penstock.errors import AmfError, FlvError, HlsError, MalformedRequest, RtmpError
from penstock.model import Kind, MediaPacket
from penstock.protocols import amf0, flv, hls, hlsread
from penstock.protocols.flvbody import audio_body, video_body
from penstock.protocols.rtmp.chunk import SET_CHUNK_SIZE, ChunkReader, Message, encode_message
from tests.api.kingsoft.front import CLIENT, HOST, MINE, THEIRS, Front, opened_front, read
from tests.clock import START, ManualClock
from tests.engine.kit import CLIENT as ENCODER
from tests.engine.kit import FakePublisher, make_lease, make_stream, send
from tests.protocols import boxes

Target = Callable[[bytes], None]

MOST_BYTES: Final = 256 * 1024


def pieces(data: bytes) -> list[bytes]:
    """Bytes cut at places that they name themselves, so that a finding is one input."""
    at, cuts = 0, []
    for size in data[:16]:
        cuts.append(data[at : at + size])
        at += size
    return [*cuts, data[at:]]


# RTMP's chunks


def read_chunks(data: list[bytes]) -> tuple[list[tuple[int, int, int, bytes]], bool]:
    """The messages that came, and whether the bytes were refused in the end."""
    reader, found = ChunkReader(max_message_size=MOST_BYTES), list[Message]()
    try:
        for piece in data:
            found += reader.receive(piece)
            held = sum(len(stream.buffer or b"") for stream in reader._streams.values())
            assert held <= 2 * MOST_BYTES + 64 * 15, "messages under way take more room than is allowed"
            assert len(reader._head) < 32, "a header is longer than any"
    except RtmpError:
        return [], True
    return [(each.type_id, each.timestamp, each.stream_id, bytes(each.payload)) for each in found], False


def chunks(data: bytes) -> None:
    whole = read_chunks([data])
    assert read_chunks(pieces(data)) == whole, "another split reads otherwise"
    messages, _ = whole
    plain = [message for message in messages if message[0] > SET_CHUNK_SIZE + 1]
    again = b"".join(
        encode_message(3, kind, time, payload, stream_id=stream_id) for kind, time, stream_id, payload in plain
    )
    assert read_chunks([again]) == (plain, False), "what was written does not read back"


# AMF0


def amf(data: bytes) -> None:
    for wrapped in (False, True):
        try:
            amf0.decode_command(data, amf3_wrapped=wrapped)
        except AmfError:
            continue
    try:
        values = amf0.decode(data)
    except AmfError:
        return
    try:
        written = amf0.encode(*values)
    except AmfError as error:
        # References repeat what they name, and so a value may be deeper when it is written out.
        if "nested" in str(error):
            return
        raise
    # NaN is not itself, and so it is their texts that are compared.
    assert repr(amf0.decode(written, max_values=1 << 20)) == repr(values), "what was written does not read back"


# FLV: bodies as publishers send them, and files


class _Collector:
    """Stands for a stream: keeps the packets."""

    def __init__(self) -> None:
        self.packets: list[MediaPacket] = []

    def add(self, packet: MediaPacket) -> None:
        self.packets.append(packet)


def messages_of(data: bytes) -> Iterator[tuple[Kind, int, bytes]]:
    """A publish: kind, two bytes of length, four of timestamp, and a body, each."""
    at = 0
    while at + 7 <= len(data):
        kind = (Kind.AUDIO, Kind.VIDEO, Kind.DATA)[data[at] % 3]
        size, timestamp = int.from_bytes(data[at + 1 : at + 3], "big"), int.from_bytes(data[at + 3 : at + 7], "big")
        yield kind, timestamp, data[at + 7 : at + 7 + size]
        at += 7 + size


def bodies(data: bytes) -> None:
    stream = _Collector()
    publication = Publication(
        make_lease(1), cast("Stream", stream), FakePublisher(), ENCODER, "", began_at=START, now_s=0.0, start_ms=0
    )
    for number, (kind, timestamp, body) in enumerate(messages_of(data), 1):
        assert video_body(body) == video_body(memoryview(body)) == video_body(bytearray(body))
        assert audio_body(body) == audio_body(memoryview(body)) == audio_body(bytearray(body))
        publication.receive(kind, timestamp, bytearray(flv.HEAD) + body + bytearray(flv.TAIL), float(number))
        publication.facts.sample(float(number))
    _check_facts(publication)
    file = b"".join((flv.file_header(audio=True, video=True), *(bytes(packet.tag) for packet in stream.packets)))
    reader = flv.TagReader()
    tags = reader.receive(file)
    reader.receive_eof()
    assert [(tag.kind, tag.payload) for tag in tags] == [
        (packet.kind, bytes(packet.payload)) for packet in stream.packets
    ], "a player would read other tags than were made"


def _check_facts(publication: Publication) -> None:
    video, audio = publication.facts.video(), publication.facts.audio()
    if video is not None:
        assert video.codec.isprintable()
        assert video.profile.isprintable()
        assert (video.width or 0) >= 0
        assert (video.height or 0) >= 0
    if audio is not None:
        assert audio.codec.isprintable()
        assert (audio.sample_rate or 0) >= 0
        assert (audio.channels or 0) >= 0


def segments(data: bytes) -> None:
    """The same messages packed for HLS, and read back by a reader that knows nothing of the writer."""
    clock = ManualClock()
    stream, segmenter = make_stream(clock), Segmenter(SegmentPolicy(), clock)
    in_parts = PartSegmenter(SegmentPolicy(part_s=0.3), clock)
    stream.follow(segmenter)
    stream.follow(in_parts)
    publication = Publication(
        make_lease(1), stream, FakePublisher(), ENCODER, "", began_at=START, now_s=clock.monotonic(), start_ms=0
    )
    for kind, timestamp, body in messages_of(data):
        send(publication, kind, timestamp, body, clock.monotonic())
    for packed in (segmenter, in_parts):
        packed.end()
        _check_segments(packed)


def _check_segments(segmenter: Segmenter) -> None:
    if not segmenter.is_ready:
        return
    assert hls.multivariant_playlist("x", segmenter.tracks, peak_bps=segmenter.peak_bps).isascii()
    playlist = segmenter.playlist.decode()
    for name in re.findall(r"^(\d+)\.m4s$", playlist, re.MULTILINE):
        segment = segmenter.segment(int(name))
        assert segment is not None
        assert boxes.read_fragments(segment)
    for name in re.findall(r"init-(\d+)\.mp4", playlist):
        init = segmenter.init(int(name))
        assert init is not None
        assert boxes.read(init)


def read_file(data: list[bytes]) -> tuple[list[flv.Tag], bool]:
    reader, tags = flv.TagReader(MOST_BYTES), list[flv.Tag]()
    try:
        for piece in data:
            tags += reader.receive(piece)
        reader.receive_eof()
    except FlvError:
        return [], True
    return tags, False


def files(data: bytes) -> None:
    assert read_file(pieces(data)) == read_file([data]), "another split reads otherwise"


# Recordings that a killed process left behind


def recordings(data: bytes) -> None:
    """A file of any bytes is mended, or is none of ours; and once mended it stays as it is."""
    mend, suffix = ((mend_mp4, ".mp4"), (mend_flv, ".flv"))[data[:1] == b"F"]
    with tempfile.TemporaryFile(suffix=suffix) as file:
        file.write(data)
        file.flush()
        facts = mend(file.fileno())
        if facts is None:
            return
        assert facts.size_bytes == os.fstat(file.fileno()).st_size <= len(data)
        assert facts.duration_ms >= 0
        assert mend(file.fileno()) == facts, "what was mended is not whole"


# The gateway


class _Gateway:
    """KLS's gateway over a control plane in memory, which all inputs share."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()
        self.front: Front = self._runner.run(self._open.enter_async_context(opened_front()))

    def status(self, request: HttpRequest) -> int:
        """What a request comes to; an answer that is in no form of ours fails."""
        response = self._runner.run(self.front.gateway.answer(request, CLIENT))
        if response.headers.get("Content-Type") != "application/json":
            return read(response).status
        # It was no cloud's request.
        assert set(json.loads(response.body)) == {"RequestId", "Error"}
        assert response.status in (400, 404)
        return response.status

    def close(self) -> None:
        self._runner.run(self._open.aclose())
        self._runner.close()


@cache
def _gateway() -> _Gateway:
    return _Gateway()


def close() -> None:
    """Let go of what the targets share; it is made anew when it is wanted again."""
    if _gateway.cache_info().currsize:
        _gateway().close()
        _gateway.cache_clear()


def request_of(data: bytes) -> tuple[HttpRequest, bool] | None:
    """A flag that says who signs, a method and a target, header lines and a body; and whether it is signed."""
    flag, (head, _, body) = data[0] % 3, data[1:].partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    method, _, target = first.partition(" ")
    # What our reader of HTTP lets through, and no more.
    if not method.isalpha() or not target.isascii() or not target.isprintable() or " " in target or not target:
        return None
    pairs = [(name, value.strip(" ")) for name, _, value in (line.partition(":") for line in lines)]
    if not all(name.isascii() and name.replace("-", "").isalnum() for name, _ in pairs):
        return None
    request = HttpRequest(method=method, target=target, headers=Headers([("Host", HOST), *pairs]), body=body)
    if flag == 0:
        return request, False
    try:
        return signing.sign(request, (MINE, THEIRS)[flag - 1], START), True
    except MalformedRequest:  # longer than what can be signed, so it comes as it is
        return request, False


def gateway(data: bytes) -> None:
    made = request_of(data) if data else None
    if made is None:
        return
    front = _gateway().front
    front.acted.clear()
    front.explained.clear()
    status = _gateway().status(made[0])
    assert status < 500, "a fault of ours"
    if not made[1]:
        assert status != 200, "nobody signed, and it was answered"
        assert front.acted == [], "nobody signed, and it was done"


# Playlists of others


def playlists(data: bytes) -> None:
    try:
        found = hlsread.parse(data)
    except HlsError:
        return
    if isinstance(found, hlsread.MultivariantPlaylist):
        assert 0 < len(found.variants) <= hlsread.MAX_VARIANTS
        assert found.best() in found.variants
        return
    assert len(found.segments) <= hlsread.MAX_SEGMENTS
    for segment in found.segments:
        assert segment.uri
        assert 0 <= segment.duration_s <= hlsread.MAX_DURATION_S
        assert segment.part is None or (segment.part.offset >= 0 and segment.part.length > 0)


TARGETS: Final[dict[str, Target]] = {
    "amf0": amf,
    "bodies": bodies,
    "chunks": chunks,
    "files": files,
    "gateway": gateway,
    "playlists": playlists,
    "recordings": recordings,
    "segments": segments,
}
