"""RTMP chunks: one table of bytes and messages, any interleaving in any split, and what is refused."""

from __future__ import annotations

import contextlib
import random
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import RtmpError
from penstock.protocols.flv import HEAD, TAIL
from penstock.protocols.rtmp import chunk
from penstock.protocols.rtmp.chunk import MAX_CHUNK_STREAMS, MAX_COMMAND_SIZE, ChunkReader, encode_message
from tests.protocols.rtmp.tools import Got, ReferenceWriter, basic_header, bytewise, from_hex, pieces, seen

A, B = "aa" * 128, "bb" * 128

# (case, chunk size at the start, bytes, messages as (type, timestamp, stream id, payload))
READ: list[tuple[str, int, str, list[tuple[int, int, int, str]]]] = [
    ("full header", 128, "03 000010 000002 14 00000000 aabb", [(20, 16, 0, "aabb")]),
    ("stream id is little-endian", 128, "04 000000 000001 08 04030201 aa", [(8, 0, 0x01020304, "aa")]),
    ("any type of message", 128, "04 000000 000001 ff 00000000 aa", [(255, 0, 0, "aa")]),
    (
        "type 1 adds to the time and keeps the stream id",
        128,
        "04 000010 000001 08 01000000 aa  44 000005 000002 09 bbcc",
        [(8, 16, 1, "aa"), (9, 21, 1, "bbcc")],
    ),
    (
        "type 2 keeps length and type too",
        128,
        "04 000010 000002 08 01000000 aabb  84 000005 ccdd",
        [(8, 16, 1, "aabb"), (8, 21, 1, "ccdd")],
    ),
    (
        "type 3 after type 2 adds the same again",
        128,
        "04 000010 000001 08 01000000 aa  84 000005 bb  c4 cc  c4 dd",
        [(8, 16, 1, "aa"), (8, 21, 1, "bb"), (8, 26, 1, "cc"), (8, 31, 1, "dd")],
    ),
    (
        "type 3 after type 1 adds the same again",
        128,
        "04 000010 000001 08 01000000 aa  44 000005 000001 09 bb  c4 cc",
        [(8, 16, 1, "aa"), (9, 21, 1, "bb"), (9, 26, 1, "cc")],
    ),
    (
        "type 3 after type 0 takes its time as the delta",
        128,
        "04 000010 000001 08 01000000 aa  c4 bb  c4 cc",
        [(8, 16, 1, "aa"), (8, 32, 1, "bb"), (8, 48, 1, "cc")],
    ),
    (
        "librtmp opens a chunk stream with type 1",
        128,
        "44 000010 000001 14 aa  44 000001 000001 14 bb",
        [(20, 16, 0, "aa"), (20, 17, 0, "bb")],
    ),
    (
        "times are each chunk stream's own",
        128,
        "04 000010 000001 08 01000000 aa  05 000100 000001 09 01000000 bb  84 000001 aa  85 000001 bb",
        [(8, 16, 1, "aa"), (9, 256, 1, "bb"), (8, 17, 1, "aa"), (9, 257, 1, "bb")],
    ),
    ("empty messages", 128, "04 000010 000000 08 01000000  84 000001  c4", [(8, t, 1, "") for t in (16, 17, 18)]),
    (
        "highest chunk stream of one byte",
        128,
        "3f 000000 000001 08 01000000 aa  ff bb",
        [(8, 0, 1, "aa"), (8, 0, 1, "bb")],
    ),
    ("lowest of two", 128, "0000 000000 000001 08 01000000 aa  c000 bb", [(8, 0, 1, "aa"), (8, 0, 1, "bb")]),
    ("highest of two", 128, "00ff 000000 000001 08 01000000 aa  c0ff bb", [(8, 0, 1, "aa"), (8, 0, 1, "bb")]),
    (
        "three bytes, the second of them the low one",
        128,
        "010100 000007 000001 08 01000000 aa  010001 000064 000001 08 01000000 bb  8001 000001 cc  810001 000001 dd",
        [(8, 7, 1, "aa"), (8, 100, 1, "bb"), (8, 8, 1, "cc"), (8, 101, 1, "dd")],
    ),
    ("highest of three", 128, "01ffff 000007 000001 08 01000000 aa  c1ffff bb", [(8, 7, 1, "aa"), (8, 14, 1, "bb")]),
    (
        "two and three bytes that say the same",
        128,
        "0000 000007 000001 08 01000000 aa  810000 000001 bb",
        [(8, 7, 1, "aa"), (8, 8, 1, "bb")],
    ),
    ("a whole chunk", 128, f"04 000000 000080 08 01000000 {A}", [(8, 0, 1, A)]),
    ("one byte more", 128, f"04 000000 000081 08 01000000 {A} c4 bb", [(8, 0, 1, A + "bb")]),
    ("three chunks", 128, f"04 000000 000101 08 01000000 {A} c4 {B} c4 cc", [(8, 0, 1, A + B + "cc")]),
    ("chunks of one byte", 1, "04 000000 000003 08 01000000 aa c4 bb c4 cc", [(8, 0, 1, "aabbcc")]),
    (
        "interleaved",
        2,
        "04 000001 000005 08 01000000 a0a1 06 000002 000003 09 01000000 b0b1 c4 a2a3 c6 b2 c4 a4",
        [(9, 2, 1, "b0b1b2"), (8, 1, 1, "a0a1a2a3a4")],
    ),
    (
        "chunks get longer in the middle of another stream's message",
        2,
        "04 000000 000006 08 01000000 a0a1  02 000000 000004 01 00000000 0000 c2 0004  c4 a2a3a4a5",
        [(1, 0, 0, "00000004"), (8, 0, 1, "a0a1a2a3a4a5")],
    ),
    (
        "chunks get shorter in the middle of another stream's message",
        4,
        "04 000000 000008 08 01000000 a0a1a2a3  02 000000 000004 01 00000000 00000002  c4 a4a5 c4 a6a7",
        [(1, 0, 0, "00000002"), (8, 0, 1, "a0a1a2a3a4a5a6a7")],
    ),
    (
        "largest chunk size",
        128,
        f"02 000000 000004 01 00000000 7fffffff  04 000000 000102 08 01000000 {A}{B}abcd",
        [(1, 0, 0, "7fffffff"), (8, 0, 1, A + B + "abcd")],
    ),
    (
        "abort drops the message under way",
        2,
        "04 000001 000004 08 01000000 a0a1  02 000000 000004 02 00000000 0000 c2 0004  04 000003 000001 09 01000000 bb",
        [(2, 0, 0, "00000004"), (9, 3, 1, "bb")],
    ),
    (
        "type 3 after an abort opens a new message",
        4,
        "04 000001 000005 08 01000000 a0a1a2a3  02 000000 000004 02 00000000 00000004  c4 b0b1b2b3 c4 b4",
        [(2, 0, 0, "00000004"), (8, 2, 1, "b0b1b2b3b4")],
    ),
    (
        "abort with nothing under way",
        128,
        "04 000001 000001 08 01000000 aa  02 000000 000004 02 00000000 00000004  c4 bb",
        [(8, 1, 1, "aa"), (2, 0, 0, "00000004"), (8, 2, 1, "bb")],
    ),
    (
        "abort of a chunk stream nobody opened",
        128,
        "02 000000 000004 02 00000000 ffffffff  04 000001 000001 08 01000000 aa",
        [(2, 0, 0, "ffffffff"), (8, 1, 1, "aa")],
    ),
    ("abort of its own chunk stream", 128, "02 000000 000004 02 00000000 00000002", [(2, 0, 0, "00000002")]),
    (
        "a new header gives up the message under way",
        2,
        "04 000001 000004 08 01000000 a0a1  04 000002 000002 09 01000000 b0b1  84 000001 c0c1",
        [(9, 2, 1, "b0b1"), (9, 3, 1, "c0c1")],
    ),
    (
        "and so does a header of type 2",
        2,
        "04 000001 000003 08 01000000 a0a1  84 000002 b0b1 c4 b2",
        [(8, 3, 1, "b0b1b2")],
    ),
    ("last time without the extension", 128, "04 fffffe 000001 08 01000000 aa", [(8, 0xFFFFFE, 1, "aa")]),
    ("first time with it", 128, "04 ffffff 000001 08 01000000 00ffffff aa", [(8, 0xFFFFFF, 1, "aa")]),
    ("extension that was not needed", 128, "04 ffffff 000001 08 01000000 00000005 aa", [(8, 5, 1, "aa")]),
    (
        "the delta of type 1 is extended",
        128,
        "04 000005 000001 08 01000000 aa  44 ffffff 000001 08 01000000 bb",
        [(8, 5, 1, "aa"), (8, 0x1000005, 1, "bb")],
    ),
    (
        "the delta of type 2 is extended",
        128,
        "04 000005 000001 08 01000000 aa  84 ffffff 01000000 bb",
        [(8, 5, 1, "aa"), (8, 0x1000005, 1, "bb")],
    ),
    (
        "a new message by type 3 repeats the extension",
        128,
        "04 000005 000001 08 01000000 aa  84 ffffff 01000000 bb  c4 01000000 cc",
        [(8, 5, 1, "aa"), (8, 0x1000005, 1, "bb"), (8, 0x2000005, 1, "cc")],
    ),
    (
        "a new message by type 3 leaves the extension out",
        128,
        "04 000005 000004 08 01000000 aaaaaaaa  84 ffffff 01000000 bbbbbbbb  c4 cccccccc",
        [(8, 5, 1, "aaaaaaaa"), (8, 0x1000005, 1, "bbbbbbbb"), (8, 0x2000005, 1, "cccccccc")],
    ),
    (
        "more chunks of type 0 repeat the extension",
        2,
        "04 ffffff 000005 08 01000000 01000001 a0a1 c4 01000001 a2a3 c4 01000001 a4",
        [(8, 0x1000001, 1, "a0a1a2a3a4")],
    ),
    (
        "more chunks of type 0 leave the extension out",
        2,
        "04 ffffff 000005 08 01000000 01000001 a0a1 c4 a2a3 c4 a4",
        [(8, 0x1000001, 1, "a0a1a2a3a4")],
    ),
    (
        "more chunks of type 1 repeat the delta, not the time",
        2,
        "04 000005 000001 08 01000000 aa  44 ffffff 000003 09 01000000 b0b1 c4 01000000 b2",
        [(8, 5, 1, "aa"), (9, 0x1000005, 1, "b0b1b2")],
    ),
    (
        "more chunks of type 2 leave the delta out",
        2,
        "04 000005 000003 08 01000000 a0a1 c4 a2  84 ffffff 01000000 b0b1 c4 b2",
        [(8, 5, 1, "a0a1a2"), (8, 0x1000005, 1, "b0b1b2")],
    ),
    (
        "an empty message by type 3 with the extension",
        128,
        "04 ffffff 000000 08 01000000 01000000 c4 01000000",
        [(8, 0x1000000, 1, ""), (8, 0x2000000, 1, "")],
    ),
    (
        "extensions are each chunk stream's own",
        2,
        "04 ffffff 000003 08 01000000 01000001 a0a1  06 000001 000003 09 01000000 b0b1  c4 01000001 a2  c6 b2",
        [(8, 0x1000001, 1, "a0a1a2"), (9, 1, 1, "b0b1b2")],
    ),
    (
        "a short header ends the extension",
        2,
        "04 ffffff 000003 08 01000000 01000001 a0a1 c4 01000001 a2  84 000001 b0b1 c4 b2",
        [(8, 0x1000001, 1, "a0a1a2"), (8, 0x1000002, 1, "b0b1b2")],
    ),
    (
        "time wraps at 32 bits",
        128,
        "04 ffffff 000001 08 01000000 fffffffe aa  84 000005 bb  c4 cc",
        [(8, 0xFFFFFFFE, 1, "aa"), (8, 3, 1, "bb"), (8, 8, 1, "cc")],
    ),
    (
        "a delta that goes back",
        128,
        "04 000064 000001 08 01000000 aa  84 ffffff ffffffff bb",
        [(8, 100, 1, "aa"), (8, 99, 1, "bb")],
    ),
]
READ_IDS = [row[0] for row in READ]


def expected(messages: list[tuple[int, int, int, str]]) -> list[Got]:
    return [(type_id, timestamp, stream_id, from_hex(payload)) for type_id, timestamp, stream_id, payload in messages]


def reader(chunk_size: int = 128, max_message_size: int = MAX_COMMAND_SIZE) -> ChunkReader:
    made = ChunkReader(max_message_size)
    made.chunk_size = chunk_size
    return made


def read(data: Iterable[bytes], chunk_size: int = 128, max_message_size: int = MAX_COMMAND_SIZE) -> list[Got]:
    into = reader(chunk_size, max_message_size)
    return [got for piece in data for got in seen(into.receive(piece))]


@pytest.mark.parametrize(("_case", "size", "wire", "messages"), READ, ids=READ_IDS)
def test_bytes_read_to_their_messages(
    _case: str, size: int, wire: str, messages: list[tuple[int, int, int, str]]
) -> None:
    assert read([from_hex(wire)], size) == expected(messages)


@pytest.mark.parametrize(("_case", "size", "wire", "messages"), READ, ids=READ_IDS)
def test_bytes_read_one_by_one(_case: str, size: int, wire: str, messages: list[tuple[int, int, int, str]]) -> None:
    assert read(bytewise(from_hex(wire)), size) == expected(messages)


@pytest.mark.parametrize(("_case", "size", "wire", "messages"), READ, ids=READ_IDS)
def test_bytes_read_in_two_at_every_place(
    _case: str, size: int, wire: str, messages: list[tuple[int, int, int, str]]
) -> None:
    raw = from_hex(wire)
    for cut in range(len(raw)):
        assert read([raw[:cut], raw[cut:]], size) == expected(messages)


@pytest.mark.parametrize(("_case", "size", "wire", "messages"), READ, ids=READ_IDS)
def test_last_message_is_there_with_its_last_byte(
    _case: str, size: int, wire: str, messages: list[tuple[int, int, int, str]]
) -> None:
    into, raw = reader(size), from_hex(wire)
    before = seen(into.receive(raw[:-1]))
    assert len(before) < len(messages)
    assert before + seen(into.receive(raw[-1:])) == expected(messages)


@pytest.mark.parametrize(
    "left_over", ["04", "c4", "00", "01ff", "04 000001 000002 08 010000", "04 ffffff 000001 08 01"]
)
def test_what_is_left_over_waits_for_the_rest(left_over: str) -> None:
    into = reader()
    first = from_hex("04 000010 000001 08 01000000 aa")
    assert len(into.receive(first + from_hex(left_over))) == 1
    assert into.receive(b"") == []


def test_message_has_room_for_a_tag_around_it() -> None:
    (message,) = reader().receive(from_hex("04 000010 000002 08 01000000 aabb"))
    assert len(message.buffer) == HEAD + 2 + TAIL
    assert message.buffer[HEAD:-TAIL] == bytes(message.payload) == b"\xaa\xbb"


@pytest.mark.parametrize("container", [bytes, bytearray, lambda raw: memoryview(bytearray(raw))])
def test_nothing_of_the_callers_buffer_is_kept(container: type[bytearray]) -> None:
    raw = from_hex("04 000010 000003 08 01000000 aabbcc  84 00")
    into, data = reader(), container(raw)
    messages = into.receive(data)
    if not isinstance(data, bytes):
        data[:] = bytes(len(raw))
    messages += into.receive(from_hex("0001 ddeeff"))
    assert seen(messages) == expected([(8, 16, 1, "aabbcc"), (8, 17, 1, "ddeeff")])


def test_messages_do_not_share_their_bytes() -> None:
    first, second = reader().receive(from_hex("04 000010 000001 08 01000000 aa  c4 bb"))
    first.buffer[HEAD] = 0
    assert bytes(second.payload) == b"\xbb"


# (case, bytes, what the error says)
REFUSED = [
    ("chunk size 0", "02 000000 000004 01 00000000 00000000", "chunk size 0 is out of range; wanted 1 to 2147483647"),
    ("chunk size 2^31", "02 000000 000004 01 00000000 80000000", "chunk size 2147483648 is out of range"),
    ("chunk size of three bytes", "02 000000 000003 01 00000000 000080", "type 1 has 3 bytes; wanted 4"),
    ("empty chunk size", "02 000000 000000 01 00000000", "type 1 has 0 bytes; wanted 4"),
    ("abort of three bytes", "02 000000 000003 02 00000000 000004", "type 2 has 3 bytes; wanted 4"),
    (
        "type 2 header on a new chunk stream",
        "84 000001",
        "chunk stream 4 opens with a type 2 header; wanted type 0 or 1",
    ),
    ("type 3 header on a new chunk stream", "c10000", "chunk stream 64 opens with a type 3 header"),
    ("message of 65537 bytes", "04 000000 010001 09 01000000", "65537 bytes; at most 65536 are taken here"),
    ("message of 16 MB", "04 000000 ffffff 14 01000000", "type 20 has 16777215 bytes"),
    ("message of 16 MB by type 1", "44 000000 ffffff 14", "type 20 has 16777215 bytes"),
]


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(("_case", "wire", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_reader_refuses_in_any_split(_case: str, wire: str, says: str, step: int) -> None:
    raw = from_hex(wire)
    with pytest.raises(RtmpError, match=says):
        read(raw[at : at + step] for at in range(0, len(raw), step))


def test_announcing_16_megabytes_costs_nothing() -> None:
    into, raw = reader(), from_hex("04 000000 ffffff 09 01000000")
    tracemalloc.start()
    try:
        with pytest.raises(RtmpError, match="16777215 bytes; at most 65536"):
            into.receive(raw)
        assert (
            tracemalloc.get_traced_memory()[1] < 1_000_000
        )  # other threads may be at work; sixteen would be the fault
    finally:
        tracemalloc.stop()


def test_bound_on_messages_can_be_moved() -> None:
    into = reader(0xFFFFFF)
    into.max_message_size = 70_000
    raw = encode_message(4, 9, 0, bytes(70_000), chunk_size=0xFFFFFF)
    assert len(into.receive(raw)) == 1
    into.max_message_size = 69_999
    with pytest.raises(RtmpError, match="70000 bytes; at most 69999"):
        into.receive(raw)


def test_chunk_streams_are_counted() -> None:
    into = reader()
    for csid in range(2, 2 + MAX_CHUNK_STREAMS):
        assert len(into.receive(basic_header(0, csid) + from_hex("000000 000000 08 01000000"))) == 1
    assert len(into.receive(basic_header(2, 2) + bytes(3))) == 1  # those that are open go on
    with pytest.raises(RtmpError, match=f"one too many; at most {MAX_CHUNK_STREAMS} may be open"):
        into.receive(basic_header(0, 65599) + from_hex("000000 000000 08 01000000"))


def test_messages_under_way_are_bounded_together() -> None:
    into = reader(max_message_size=1000)
    opened = [basic_header(0, csid) + from_hex("000000 0003e8 08 01000000") + bytes(128) for csid in (4, 5, 6)]
    assert into.receive(opened[0] + opened[1]) == []
    with pytest.raises(RtmpError, match="add up to 3000 bytes, over twice the largest allowed"):
        into.receive(opened[2])


@pytest.mark.parametrize(
    "wire",
    ["c4" + "aa" * 72, "02 000000 000004 02 00000000 00000004", "04 000000 000000 08 01000000"],
    ids=["whole", "aborted", "given up"],
)
def test_message_that_is_over_makes_room_again(wire: str) -> None:
    into = reader(max_message_size=200)
    opened = from_hex("000000 0000c8 08 01000000") + bytes(128)
    for _ in range(5):
        into.receive(basic_header(0, 4) + opened)
        into.receive(from_hex(wire))
    assert into.receive(basic_header(0, 4) + opened + basic_header(0, 5) + opened) == []


def test_abort_of_nothing_makes_no_room() -> None:
    into = reader(max_message_size=200)
    into.receive(from_hex("04 000000 0000c8 08 01000000") + bytes(128) + from_hex("c4") + bytes(72))
    into.receive(from_hex("02 000000 000004 02 00000000 00000004") * 10)
    opened = [basic_header(0, csid) + from_hex("000000 0000c8 08 01000000") + bytes(128) for csid in (4, 5, 6)]
    assert into.receive(opened[0] + opened[1]) == []
    with pytest.raises(RtmpError, match="add up to 600 bytes"):
        into.receive(opened[2])


def test_memory_of_many_unfinished_messages_is_bounded() -> None:
    into, rng = reader(), random.Random(1)
    tracemalloc.start()
    try:
        with contextlib.suppress(RtmpError):
            while True:
                size = rng.randrange(1000, MAX_COMMAND_SIZE).to_bytes(3, "big")
                csid = rng.randrange(2, 60)
                assert into.receive(basic_header(0, csid) + bytes(3) + size + b"\x09" + bytes(4) + bytes(128)) == []
                assert tracemalloc.get_traced_memory()[1] < 4 * MAX_COMMAND_SIZE
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_COMMAND_SIZE
    finally:
        tracemalloc.stop()


# Any messages, on any chunk streams, with any headers that may open them, interleaved in any way.

CSIDS = st.sampled_from([2, 3, 4, 63, 64, 319, 320, 65599])
# Zero and a usual frame; the last without an extension and the first with it; one back.
DELTAS = st.sampled_from([0, 20, 20, 0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF])
LENGTHS = st.sampled_from([0, 1, 2, 3, 4, 5, 127, 128, 129, 300])
CHUNK_SIZES = st.sampled_from([1, 2, 3, 64, 128, 200, 4096, 0x7FFFFFFF])
MEDIA_TYPES = st.sampled_from([0, 3, 8, 8, 9, 9, 18, 20, 200])


def payload_of(type_id: int, length: int, draw: st.DrawFn, csids: list[int]) -> bytes:
    if type_id == chunk.SET_CHUNK_SIZE:
        return draw(CHUNK_SIZES).to_bytes(4, "big")
    if type_id == chunk.ABORT:
        return draw(st.sampled_from([*csids, 77])).to_bytes(4, "big")
    start = draw(st.integers(0, 255))
    return bytes((start + 37 * at) & 0xFF for at in range(length))


@st.composite
def messages_on(draw: st.DrawFn, csid: int, writer: ReferenceWriter, csids: list[int]) -> Got:
    repeated = writer.repeated(csid)
    if repeated is not None and draw(st.booleans()):
        type_id, timestamp, stream_id, length = repeated
        return type_id, timestamp, stream_id, payload_of(type_id, length, draw, csids)
    type_id = draw(st.one_of(MEDIA_TYPES, MEDIA_TYPES, st.sampled_from([chunk.SET_CHUNK_SIZE, chunk.ABORT])))
    timestamp = ((repeated[1] if repeated else 0) + draw(DELTAS)) & 0xFFFFFFFF
    stream_id = draw(st.sampled_from([0, 1, 1, 1, 0x01020304]))
    return type_id, timestamp, stream_id, payload_of(type_id, draw(LENGTHS), draw, csids)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Got]]:
    """Bytes, and the messages in them in the order in which they end."""
    writer = ReferenceWriter(repeats=draw(st.booleans()))
    csids = draw(st.lists(CSIDS, min_size=1, max_size=4, unique=True))
    said, whole, opened = b"", list[Got](), dict[int, Got]()

    def one_chunk(csid: int, goes_on: bool) -> bytes:
        # All sizes that can say it: the larger ones say the smaller ones' numbers too, but for 2 to 63.
        header_size = draw(st.sampled_from([0, 3])) if csid >= 64 else 0
        if csid in writer.under_way() and goes_on:
            data = writer.go_on(csid, header_size)
        else:
            message = draw(messages_on(csid, writer, csids))
            opened[csid] = message
            data = writer.open(csid, message, draw(st.sampled_from(writer.forms(csid, message))), header_size)
        if csid not in writer.under_way():
            whole.append(ended := opened.pop(csid))
            if ended[0] == chunk.SET_CHUNK_SIZE:
                writer.chunk_size = int.from_bytes(ended[3], "big")
            elif ended[0] == chunk.ABORT:
                writer.give_up(int.from_bytes(ended[3], "big"))
        return data

    for _ in range(draw(st.integers(1, 25))):
        said += one_chunk(draw(st.sampled_from(csids)), goes_on=draw(st.integers(0, 9)) > 0)
    while under_way := writer.under_way():
        said += one_chunk(under_way[0], goes_on=True)
    return said, whole


@settings(max_examples=250)
@given(conversations(), st.lists(st.integers(0, 2000), max_size=20))
def test_any_conversation_reads_in_any_split(conversation: tuple[bytes, list[Got]], cuts: list[int]) -> None:
    said, messages = conversation
    assert read([said]) == messages
    assert read(bytewise(said)) == messages
    assert read(pieces(said, cuts)) == messages


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_any_bytes_read_or_raise_rtmp_error(data: list[bytes]) -> None:
    with contextlib.suppress(RtmpError):
        read(data, max_message_size=1000)


@settings(max_examples=150)
@given(conversations(), st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)), min_size=1, max_size=4))
def test_damaged_bytes_read_or_raise_rtmp_error(
    conversation: tuple[bytes, list[Got]], damages: list[tuple[int, int]]
) -> None:
    said = bytearray(conversation[0])
    for at, change in damages:
        said[at % len(said)] ^= change
    with contextlib.suppress(RtmpError):
        read([bytes(said)])


# (case, csid, type, timestamp, stream id, chunk size, payload, bytes)
WRITTEN = [
    ("short", 3, 20, 0, 0, 128, "aabb", "03 000000 000002 14 00000000 aabb"),
    ("empty", 2, 1, 5, 0, 128, "", "02 000005 000000 01 00000000"),
    ("stream id is little-endian", 63, 9, 0, 0x01020304, 128, "17", "3f 000000 000001 09 04030201 17"),
    ("whole chunk", 4, 9, 1, 1, 2, "aabb", "04 000001 000002 09 01000000 aabb"),
    ("two chunks", 4, 9, 1, 1, 2, "aabbcc", "04 000001 000003 09 01000000 aabb c4 cc"),
    ("last short time", 4, 9, 0xFFFFFE, 1, 2, "aabbcc", "04 fffffe 000003 09 01000000 aabb c4 cc"),
    ("first long time", 4, 9, 0xFFFFFF, 1, 2, "aa", "04 ffffff 000001 09 01000000 00ffffff aa"),
    ("long time again", 4, 9, 2**32 - 1, 1, 1, "aabb", "04 ffffff 000002 09 01000000 ffffffff aa c4 ffffffff bb"),
    ("time past 32 bits", 4, 9, 2**32 + 7, 1, 1, "aa", "04 000007 000001 09 01000000 aa"),
]


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("row", WRITTEN, ids=[row[0] for row in WRITTEN])
def test_message_encodes_to_its_bytes(
    row: tuple[str, int, int, int, int, int, str, str], container: type[bytearray]
) -> None:
    _, csid, type_id, timestamp, stream_id, chunk_size, payload, wire = row
    body = container(from_hex(payload))
    encoded = encode_message(csid, type_id, timestamp, body, stream_id=stream_id, chunk_size=chunk_size)
    assert encoded == from_hex(wire)


@pytest.mark.parametrize("timestamp", [0, 0xFFFFFE, 0xFFFFFF, 0x1000000, 2**32 - 1])
@pytest.mark.parametrize("chunk_size", [1, 127, 128, 4096, 65536])
def test_encoded_messages_read_back(chunk_size: int, timestamp: int) -> None:
    lengths = [around + more for around in (0, chunk_size, 2 * chunk_size) for more in (-1, 0, 1) if around + more >= 0]
    messages = [(8 + n % 2, timestamp, 1, random.Random(n).randbytes(length)) for n, length in enumerate(lengths)]
    raw = b"".join(
        encode_message(4 + type_id, type_id, at, payload, stream_id=stream_id, chunk_size=chunk_size)
        for type_id, at, stream_id, payload in messages
    )
    assert read([raw], chunk_size, 2**20) == messages
    assert read(pieces(raw, range(0, len(raw), 1460)), chunk_size, 2**20) == messages


@settings(max_examples=150)
@given(
    st.integers(2, 63),
    st.integers(3, 255),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=400),
    st.integers(1, 300),
)
def test_whatever_is_encoded_reads_back(
    csid: int, type_id: int, timestamp: int, stream_id: int, payload: bytes, chunk_size: int
) -> None:
    raw = encode_message(csid, type_id, timestamp, payload, stream_id=stream_id, chunk_size=chunk_size)
    assert read([raw], chunk_size) == [(type_id, timestamp, stream_id, payload)]
