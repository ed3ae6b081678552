from __future__ import annotations

import pytest

from penstock.engine.formats import FLV, RTMP
from penstock.model import Kind, MediaPacket
from penstock.protocols.rtmp.chunk import ChunkReader
from penstock.protocols.rtmp.session import CHUNK_SIZE, MEDIA_STREAM_ID
from tests.engine.kit import audio, audio_header, inter, key, metadata, packet, read_flv, video_header

PACKETS = [
    pytest.param(metadata(), id="metadata"),
    pytest.param(video_header(40), id="video setup"),
    pytest.param(audio_header(40), id="audio setup"),
    pytest.param(key(80), id="key frame"),
    pytest.param(audio(0xFFFFFE), id="last plain timestamp"),
    pytest.param(audio(0xFFFFFF), id="first extended timestamp"),
    pytest.param(inter(0xFFFFFFFF), id="last of 32 bits"),
    pytest.param(inter(0x1_0000_0028), id="beyond 32 bits"),
    pytest.param(key(80, bytes(CHUNK_SIZE - 5)), id="exactly a chunk"),
    pytest.param(key(80, bytes(CHUNK_SIZE - 4)), id="a byte over a chunk"),
    pytest.param(key(0xFFFFFF, bytes(range(256)) * 1000), id="several chunks with extended timestamps"),
    pytest.param(packet(Kind.AUDIO, 5, b"\xaf\x01"), id="almost empty"),
]


def rtmp_reader() -> ChunkReader:
    """The player's side, once it was told the chunk size."""
    reader = ChunkReader(max_message_size=1_000_000)
    reader.chunk_size = CHUNK_SIZE
    return reader


@pytest.mark.parametrize("item", PACKETS)
def test_rtmp_reads_back_as_the_same_message(item: MediaPacket) -> None:
    (message,) = rtmp_reader().receive(RTMP.encode(item))
    assert message.type_id == item.kind
    assert message.timestamp == item.dts_ms % 2**32
    assert message.stream_id == MEDIA_STREAM_ID
    assert message.payload == item.payload


def test_rtmp_means_the_same_whatever_was_sent_before() -> None:
    items: list[MediaPacket] = [case.values[0] for case in PACKETS]  # type: ignore[misc]
    reader, backwards = rtmp_reader(), items[::-1]
    messages = reader.receive(b"".join(map(RTMP.encode, items + backwards)))
    assert [bytes(message.payload) for message in messages] == [bytes(item.payload) for item in items + backwards]
    assert [message.timestamp for message in messages] == [item.dts_ms % 2**32 for item in items + backwards]


def test_rtmp_has_no_preamble_and_a_chunk_stream_of_its_own_for_each_kind() -> None:
    assert RTMP.preamble(audio=True, video=True) == b""
    csids = {RTMP.encode(item)[0] & 0x3F for item in (metadata(), key(0), audio(0))}
    assert len(csids) == 3
    assert min(csids) > 3  # 2 and 3 carry control messages and commands


@pytest.mark.parametrize("item", PACKETS)
def test_flv_is_the_packets_own_tag(item: MediaPacket) -> None:
    assert FLV.encode(item) is item.tag
    (tag,) = read_flv(FLV.preamble(audio=True, video=True) + item.tag)
    assert (tag.kind, tag.dts_ms, tag.payload) == (item.kind, item.dts_ms % 2**32, bytes(item.payload))
