"""FLV: framing of tags and their reading, in any split."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import FlvError
from penstock.protocols import flv
from penstock.protocols.flv import Tag, TagReader

# (case, kind, time, payload, bytes)
TAGS = [
    ("empty script", 18, 0, "", "12000000 000000 00 000000 0000000b"),
    ("audio", 8, 23, "af01aabb", "08000004 000017 00 000000 af01aabb 0000000f"),
    ("last time of three bytes", 9, 0xFFFFFF, "17", "09000001 ffffff 00 000000 17 0000000c"),
    ("first time with the extension", 9, 0x1000000, "17", "09000001 000000 01 000000 17 0000000c"),
    ("signed time would be negative", 9, 0x89ABCDEF, "27", "09000001 abcdef 89 000000 27 0000000c"),
]
HEADER = "464c5601 05 00000009 00000000"


def from_hex(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


STREAM = from_hex(HEADER + "".join(row[4] for row in TAGS))
MESSAGES = [Tag(kind, dts_ms, from_hex(payload)) for _, kind, dts_ms, payload, _ in TAGS]


def read_pieces(pieces: list[bytes]) -> list[Tag]:
    reader = TagReader()
    tags = [tag for piece in pieces for tag in reader.receive(piece)]
    reader.receive_eof()
    return tags


@pytest.mark.parametrize(
    ("audio", "video", "flags"), [(True, True, 5), (True, False, 4), (False, True, 1), (False, False, 0)]
)
def test_file_header_says_what_it_brings(audio: bool, video: bool, flags: int) -> None:
    header = flv.file_header(audio=audio, video=video)
    assert header == b"FLV\x01" + bytes([flags, 0, 0, 0, 9, 0, 0, 0, 0])


@pytest.mark.parametrize(("_case", "kind", "dts_ms", "payload", "wire"), TAGS, ids=[row[0] for row in TAGS])
def test_tag_is_framed_to_its_bytes(_case: str, kind: int, dts_ms: int, payload: str, wire: str) -> None:
    assert flv.tag(kind, dts_ms, from_hex(payload)) == from_hex(wire)


def test_framing_leaves_the_payload_where_it_lies() -> None:
    buffer = bytearray(b"\xff" * flv.HEAD + b"payload" + b"\xff" * flv.TAIL)
    flv.frame_tag(buffer, flv.VIDEO, 40)
    assert bytes(buffer) == flv.tag(flv.VIDEO, 40, b"payload")


@pytest.mark.parametrize(("dts_ms", "kept"), [(2**32, 0), (2**32 + 5, 5), (2**40 + 7, 7), (-1, 2**32 - 1)])
def test_time_wraps_at_32_bits(dts_ms: int, kept: int) -> None:
    assert flv.tag(8, dts_ms, b"x") == flv.tag(8, kept, b"x")


def test_payload_of_24_bits_is_the_most() -> None:
    with pytest.raises(FlvError, match="16777216 bytes; an FLV tag holds 16777215"):
        flv.frame_tag(bytearray(flv.HEAD + 0x1000000 + flv.TAIL), flv.VIDEO, 0)


def test_whole_stream_reads_to_its_tags() -> None:
    assert read_pieces([STREAM]) == MESSAGES


def test_stream_reads_byte_by_byte() -> None:
    assert read_pieces([STREAM[i : i + 1] for i in range(len(STREAM))]) == MESSAGES


@pytest.mark.parametrize("seed", range(20))
def test_stream_reads_in_random_splits(seed: int) -> None:
    cuts = sorted(random.Random(seed).sample(range(len(STREAM)), 8))
    pieces = [STREAM[a:b] for a, b in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert read_pieces(pieces) == MESSAGES


def test_tag_comes_before_its_closing_size() -> None:
    reader = TagReader()
    raw = from_hex(HEADER) + flv.tag(8, 0, b"sound")
    assert reader.receive(raw[:-4]) == [Tag(8, 0, b"sound")]
    assert reader.receive(raw[-4:]) == []


def test_views_and_bytearrays_are_taken() -> None:
    reader = TagReader()
    assert reader.receive(memoryview(STREAM)[:20]) == []
    assert reader.receive(bytearray(STREAM[20:])) == MESSAGES


def test_longer_file_header_is_skipped() -> None:
    raw = from_hex("464c5601 05 0000000c aabbcc 00000000") + flv.tag(9, 1, b"v")
    assert read_pieces([raw[:10], raw[10:]]) == [Tag(9, 1, b"v")]


def test_wrong_previous_tag_size_is_let_pass() -> None:
    raw = from_hex(HEADER) + flv.tag(8, 0, b"a")[:-4] + b"\0\0\0\0" + flv.tag(8, 1, b"b")
    assert read_pieces([raw]) == [Tag(8, 0, b"a"), Tag(8, 1, b"b")]


def test_unknown_tag_types_are_skipped() -> None:
    raw = from_hex(HEADER) + flv.tag(15, 0, b"what") + flv.tag(8, 1, b"b")
    assert read_pieces([raw]) == [Tag(8, 1, b"b")]


# (case, bytes, what the error says)
REFUSED = [
    ("a web page", b"<html>", "opens with b'<htm'; wanted b'FLV"),
    ("wrong at its second byte", b"FX", "opens with b'FX'"),
    ("version 2", b"FLV\x02", "opens with"),
    ("data offset too small", from_hex("464c5601 05 00000008"), "DataOffset is 8; wanted 9 to 1024"),
    ("data offset too large", from_hex("464c5601 05 ffffffff"), "DataOffset is 4294967295"),
    ("encrypted", from_hex(HEADER + "29000001 000000 00 000000 17 0000000c"), "type 9 is encrypted"),
    ("framing lost", from_hex(HEADER + "49000001 000000 00 000000 17 0000000c"), "opens with 0x49"),
]


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(("_case", "raw", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_reader_refuses_in_any_split(_case: str, raw: bytes, says: str, step: int) -> None:
    reader = TagReader()

    def feed() -> None:
        for at in range(0, len(raw), step):
            reader.receive(raw[at : at + step])

    with pytest.raises(FlvError, match=says if step > 1 else None):
        feed()
    with pytest.raises(FlvError):  # and stays so
        reader.receive(STREAM)
    with pytest.raises(FlvError):
        reader.receive_eof()


def test_tag_over_the_bound_is_refused_before_it_is_held() -> None:
    reader = TagReader(max_tag_size=100)
    assert len(reader.receive(from_hex(HEADER) + flv.tag(9, 0, bytes(100)))) == 1
    with pytest.raises(FlvError, match="holds 101 bytes; wanted 100"):
        reader.receive(flv.tag(9, 0, bytes(101))[:11])


@pytest.mark.parametrize(
    ("size", "says"), [(0, "after 0 bytes"), (3, "after 3 bytes"), (13 + 12, "12 bytes into a tag")]
)
def test_end_inside_something_is_an_error(size: int, says: str) -> None:
    reader = TagReader()
    reader.receive((from_hex(HEADER) + flv.tag(9, 0, b"video"))[:size])
    with pytest.raises(FlvError, match=says):
        reader.receive_eof()


@pytest.mark.parametrize("size", [9, 12, 13])
def test_stream_of_no_tags_is_whole(size: int) -> None:
    assert read_pieces([from_hex(HEADER)[:size]]) == []


@settings(max_examples=200)
@given(st.booleans(), st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_read_or_raise_flv_error(has_header: bool, pieces: list[bytes]) -> None:
    reader = TagReader(max_tag_size=1000)
    try:
        reader.receive(from_hex(HEADER) if has_header else b"")
        for piece in pieces:
            reader.receive(piece)
        reader.receive_eof()
    except FlvError:
        pass


@settings(max_examples=100)
@given(
    st.lists(
        st.builds(Tag, st.sampled_from([8, 9, 18]), st.integers(0, 2**32 - 1), st.binary(max_size=40)), max_size=5
    ),
    st.integers(1, 50),
)
def test_whatever_is_framed_reads_back(tags: list[Tag], step: int) -> None:
    raw = flv.file_header(audio=True, video=True)
    raw += b"".join(flv.tag(tag.kind, tag.dts_ms, tag.payload) for tag in tags)
    assert read_pieces([raw[at : at + step] for at in range(0, len(raw), step)]) == tags


def test_a_tag_at_another_time_is_the_same_but_for_that() -> None:
    whole = flv.tag(flv.VIDEO, 5, b"payload")
    moved = flv.retimed(whole, 0x1_89ABCDEF)
    (tag,) = TagReader().receive(flv.file_header(audio=True, video=True) + moved)
    assert (tag.kind, tag.dts_ms, tag.payload) == (flv.VIDEO, 0x89ABCDEF, b"payload")
    assert flv.retimed(moved, 5) == whole
