"""AMF0: one table of bytes and values used in both directions, then the bounds."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import AmfError
from penstock.protocols import amf0
from penstock.protocols.amf0 import UNDEFINED, Date, EcmaArray, Value

# (case, bytes, value): what encodes to these bytes and decodes from them.
BOTH_WAYS: list[tuple[str, str, Value]] = [
    ("zero", "00 0000000000000000", 0.0),
    ("one and a half", "00 3ff8000000000000", 1.5),
    ("true", "01 01", True),
    ("false", "01 00", False),
    ("text", "02 0007 636f6e6e656374", "connect"),
    ("empty text", "02 0000", ""),
    ("text beyond ASCII", "02 0006 e6b581e5aa92", "流媒"),
    ("text that begins with a byte order mark", "02 0004 efbbbf61", "\ufeffa"),
    ("null", "05", None),
    ("undefined", "06", UNDEFINED),
    ("empty object", "03 000009", {}),
    ("object", "03 0003617070 02 00046c697665 000009", {"app": "live"}),
    ("object with a nameless property", "03 0000 05 000009", {"": None}),
    ("object in an object", "03 000161 03 000162 01 01 000009 000009", {"a": {"b": True}}),
    ("empty ECMA array", "08 00000000 000009", EcmaArray()),
    ("ECMA array", "08 00000001 000577696474 68 00 4084000000000000 000009", EcmaArray(width=640.0)),
    ("empty array", "0a 00000000", []),
    ("array", "0a 00000003 05 01 00 02 0000", [None, False, ""]),
    ("date", "0b 4272f2d8b4c80000 0000", Date(1302139194496.0)),
    ("date with a zone", "0b 0000000000000000 ffc4", Date(0.0, -60)),
]


def from_hex(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


@pytest.mark.parametrize(("_case", "wire", "value"), BOTH_WAYS, ids=[row[0] for row in BOTH_WAYS])
def test_value_encodes_to_its_bytes_and_back(_case: str, wire: str, value: Value) -> None:
    raw = from_hex(wire)
    (decoded,) = amf0.decode(raw)
    assert decoded == value
    assert type(decoded) is type(value)
    assert amf0.encode(value) == raw


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview])
def test_all_values_come_out_in_order(container: type[bytes] | type[bytearray] | type[memoryview]) -> None:
    raw = b"".join(from_hex(wire) for _, wire, _ in BOTH_WAYS)
    assert amf0.decode(container(raw)) == [value for _, _, value in BOTH_WAYS]


def test_a_command_as_ffmpeg_sends_it() -> None:
    connect: list[Value] = [
        "connect",
        1,
        {"app": "live", "type": "nonprivate", "flashVer": "FMLE/3.0", "tcUrl": "rtmp://a/live"},
    ]
    raw = from_hex(
        "0200 07636f6e6e656374 00 3ff0000000000000 03 0003617070 0200046c697665"
        "000474797065 02000a6e6f6e70726976617465 0008666c617368566572 020008464d4c452f332e30"
        "0005746355726c 02000d72746d703a2f2f612f6c697665 000009"
    )
    assert amf0.decode(raw) == connect
    assert amf0.encode(*connect) == raw


def test_ints_travel_as_numbers() -> None:
    assert amf0.encode(3) == amf0.encode(3.0)


def test_text_over_65535_bytes_becomes_a_long_string() -> None:
    text = "é" * 40000
    raw = amf0.encode(text)
    assert raw[:5] == b"\x0c" + struct.pack(">I", 80000)
    assert amf0.decode(raw) == [text]


def test_surrogates_do_not_stop_the_encoder() -> None:
    assert amf0.decode(amf0.encode("a\ud800")) == ["a?"]


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("01 02", True),
        ("02 0003 61ff62", "a\ufffdb"),
        ("03 0001ff 05 000009", {"\ufffd": None}),
        ("03 000161 05 000161 01 01 000009", {"a": True}),
        ("0c 00000002 6869", "hi"),
        ("0d", UNDEFINED),
        ("0f 00000004 3c612f3e", "<a/>"),
        ("10 0003466f6f 000161 05 000009", {"a": None}),
        ("08 00000000 000161 05 000009", {"a": None}),
        ("08 ffffffff 000161 05 000009", {"a": None}),
    ],
    ids=[
        "a boolean other than 1",
        "text that is not UTF-8",
        "a name that is not UTF-8",
        "the same name twice, the last counts",
        "a short long string",
        "unsupported",
        "XML",
        "typed object",
        "an ECMA array's count too low",
        "an ECMA array's count too high",
    ],
)
def test_decoder_also_takes(wire: str, value: Value) -> None:
    assert amf0.decode(from_hex(wire)) == [value]


def test_nan_passes() -> None:
    (value,) = amf0.decode(amf0.encode(math.nan))
    assert isinstance(value, float)
    assert math.isnan(value)


def test_ecma_array_may_end_with_the_message() -> None:
    raw = from_hex("02 000a6f6e4d65746144617461 08 00000001 000161 01 01")
    assert amf0.decode(raw) == ["onMetaData", {"a": True}]


def test_object_may_not_end_with_the_message() -> None:
    with pytest.raises(AmfError, match="string's length at offset 6 has 0 bytes; wanted 2"):
        amf0.decode(from_hex("03 000161 01 01"))


def test_reference_repeats_what_was_complete_and_shares_nothing() -> None:
    # An object, an array that holds a second object, then references to all three.
    raw = from_hex("03 000161 05 000009 0a 00000001 03 000009 07 0000 07 0001 07 0002")
    values = amf0.decode(raw)
    assert values == [{"a": None}, [{}], {"a": None}, [{}], {}]
    assert values[0] is not values[2]


def test_reference_counts_in_the_order_in_which_objects_start() -> None:
    raw = from_hex("03 000161 08 00000000 000009 000162 07 0001 000009 07 0000")
    assert amf0.decode(raw) == [{"a": {}, "b": {}}, {"a": {}, "b": {}}]


# (case, bytes, what the error says)
REFUSED = [
    ("AMF3", "11 06 03 61", "0x11 .avmplus: AMF3.* at offset 0"),
    ("movieclip", "05 04", "0x04 .movieclip, reserved. at offset 1"),
    ("recordset", "0e", "0x0e .recordset"),
    ("object end on its own", "09", "0x09 .object end outside an object."),
    ("unknown marker", "12", "0x12 .unknown. at offset 0"),
    ("cut-off number", "00 00 00", "a number at offset 1 has 2 bytes; wanted 8"),
    ("cut-off boolean", "01", "a boolean at offset 1 has 0 bytes; wanted 1"),
    ("cut-off length", "02 00", "string's length at offset 1 has 1 bytes; wanted 2"),
    ("cut-off text", "02 0003 6161", "a string at offset 3 has 2 bytes; wanted 3"),
    ("cut-off long text", "0c ffffffff 61", "a long string at offset 5 has 1 bytes; wanted 4294967295"),
    ("cut-off date", "0b 00", "a date at offset 1"),
    ("object without its end", "03 000161 05 0000", "type marker at offset 7 has 0 bytes"),
    ("array longer than the buffer", "0a ffffffff 05", "counts 4294967295"),
    ("array cut off", "0a 00000002 01 00", "type marker at offset 7"),
    ("reference to itself", "03 000161 07 0000 000009", "reference 0 at offset 5 wanted an object"),
    ("reference to nothing", "07 0000", "reference 0 at offset 1"),
]


@pytest.mark.parametrize(("_case", "wire", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_decoder_refuses_and_says_what_and_where(_case: str, wire: str, says: str) -> None:
    with pytest.raises(AmfError, match=says):
        amf0.decode(from_hex(wire))


def nested(depth: int) -> bytes:
    return from_hex("0a 00000001") * (depth - 1) + b"\x05"


def test_nesting_ends_at_its_bound() -> None:
    assert len(amf0.decode(nested(amf0.MAX_DEPTH))) == 1
    with pytest.raises(AmfError, match="17 deep; wanted 16"):
        amf0.decode(nested(amf0.MAX_DEPTH + 1))
    with pytest.raises(AmfError, match="2 deep; wanted 1"):
        amf0.decode(nested(2), max_depth=1)


def test_values_are_counted_wherever_they_are() -> None:
    assert len(amf0.decode(b"\x05" * 1024)) == 1024
    with pytest.raises(AmfError, match="more than 1024 values"):
        amf0.decode(b"\x05" * 1025)
    with pytest.raises(AmfError, match="more than 4 values"):
        amf0.decode(amf0.encode([1, [2, 3]]), max_values=4)


def test_references_cannot_unfold_without_end() -> None:
    # Each array holds two references to the one before: 2**n values from a few bytes each.
    bomb = from_hex("0a 00000000") + b"".join(
        from_hex("0a 00000002") + 2 * (b"\x07" + struct.pack(">H", index)) for index in range(14)
    )
    with pytest.raises(AmfError, match="values"):
        amf0.decode(bomb)


def test_references_cannot_repeat_much_text() -> None:
    heavy = amf0.encode(["x" * 60000])
    assert len(amf0.decode(heavy + from_hex("07 0000"))) == 2
    with pytest.raises(AmfError, match="repeat over 65536 bytes"):
        amf0.decode(heavy + from_hex("07 0000 07 0000"))


def test_encoder_keeps_the_same_bounds() -> None:
    deep: Value = None
    for _ in range(amf0.MAX_DEPTH):
        deep = [deep]
    with pytest.raises(AmfError, match="17 deep"):
        amf0.encode(deep)
    with pytest.raises(AmfError, match="property name to encode has 65536 bytes"):
        amf0.encode({"x" * 65536: None})


def test_encoder_takes_nothing_but_values() -> None:
    with pytest.raises(AssertionError):
        amf0.encode(b"bytes")  # type: ignore[arg-type]


def test_command_in_an_amf3_message_stands_behind_a_zero() -> None:
    raw = amf0.encode("play", 0, None)
    assert amf0.decode_command(raw, amf3_wrapped=False) == ["play", 0.0, None]
    assert amf0.decode_command(b"\x00" + raw, amf3_wrapped=True) == ["play", 0.0, None]


@pytest.mark.parametrize(("payload", "seen"), [(b"", "nothing"), (b"\x03\x01", "0x03")])
def test_amf3_message_without_its_zero_is_refused(payload: bytes, seen: str) -> None:
    with pytest.raises(AmfError, match=f"opens with {seen} at offset 0"):
        amf0.decode_command(payload, amf3_wrapped=True)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.just(UNDEFINED)
    | st.builds(Date, st.floats(allow_nan=False), st.integers(-720, 720)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4)
        | st.dictionaries(st.text("abc", max_size=5), inner, max_size=4).map(EcmaArray)
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.lists(VALUES, max_size=4))
def test_whatever_is_encoded_decodes_to_itself(values: list[Value]) -> None:
    assert amf0.decode(amf0.encode(*values)) == values


MARKERS = st.sampled_from([bytes([marker]) for marker in range(0x12)])
PIECES = st.lists(st.binary(max_size=4) | MARKERS | st.just(b"\x00\x00\x00\x01") | st.just(b"\x00\x01a"), max_size=30)


@settings(max_examples=400)
@given(st.binary(max_size=200) | PIECES.map(b"".join))
def test_any_bytes_decode_or_raise_amf_error(data: bytes) -> None:
    try:
        values = amf0.decode(data)
    except AmfError:
        return
    # Encoding can be refused (an unfinished ECMA array may end deeper) but never crash.
    assert amf0.decode(amf0.encode(*values)) is not None


@settings(max_examples=300)
@given(
    st.lists(VALUES, max_size=4).map(lambda values: amf0.encode(*values)) | PIECES.map(b"".join), st.integers(0, 255)
)
def test_the_wrapper_of_amf3_changes_nothing_of_what_is_in_it(data: bytes, first: int) -> None:
    def read(payload: bytes, *, amf3_wrapped: bool) -> object:
        try:
            return repr(amf0.decode_command(payload, amf3_wrapped=amf3_wrapped))  # NaN differs from itself
        except AmfError:
            return AmfError

    assert read(b"\0" + data, amf3_wrapped=True) == read(data, amf3_wrapped=False)
    assert first == 0 or read(bytes((first,)) + data, amf3_wrapped=True) is AmfError


def test_a_wrapped_command_cut_short_anywhere_is_refused() -> None:
    whole = b"\0" + amf0.encode("connect", 1.0, {"app": "live", "tcUrl": "rtmp://a.test/live"})
    assert len(amf0.decode_command(whole, amf3_wrapped=True)) == 3
    values_end = {1 + len(amf0.encode(*values)) for values in ((), ("connect",), ("connect", 1.0))}
    for end in set(range(len(whole))) - values_end:
        with pytest.raises(AmfError):
            amf0.decode_command(whole[:end], amf3_wrapped=True)
