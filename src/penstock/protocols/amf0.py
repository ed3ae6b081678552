"""AMF0, the values inside RTMP commands and FLV script tags, to Python values and back.

The plan: `Decoder` walks the buffer once, one method for each type marker, and pays for every
step out of budgets fixed at the start (depth, number of values, bytes read again through
references), so that no input can cost more than its own length. Encoding is the same table
turned around. Text that is not UTF-8 comes out with U+FFFD in it: a broken title in the
metadata must not end a stream, and a name with U+FFFD in it never passes `model.is_name`.

AMF3 is not spoken. An ActionScript 3 peer wraps its AMF0 commands in message type 17, behind
one zero byte; `decode_command` takes that byte off.

Source: Adobe "Action Message Format -- AMF 0" (amf0-file-format-specification.pdf), sections
2.1 to 2.18 and 3.1; Adobe RTMP 1.0, section 7.1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeAlias, assert_never

from msgspec import Struct

from penstock.errors import AmfError

MAX_DEPTH = 16
MAX_VALUES = 1024
# What references may make the decoder read a second time: without it, a few kilobytes of
# references to references unfold into gigabytes.
MAX_REPEATED_BYTES = 65536

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_NUMBER = struct.Struct(">d")
_DATE = struct.Struct(">dh")
_OBJECT_END = b"\x00\x00\x09"


class Undefined(Enum):
    """ActionScript's second kind of nothing; `UNDEFINED` is its only value."""

    UNDEFINED = "undefined"

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined.UNDEFINED


class Date(Struct, frozen=True):
    """A moment as ActionScript keeps it."""

    unix_ms: float
    timezone_minutes: int = 0  # the specification reserves it and wants 0


Value: TypeAlias = "bool | float | str | dict[str, Value] | list[Value] | Undefined | Date | None"


class EcmaArray(dict[str, Value]):
    """A dict that travels as an ECMA array, which is what players expect of onMetaData."""


def decode(
    data: bytes | bytearray | memoryview,
    *,
    max_depth: int = MAX_DEPTH,
    max_values: int = MAX_VALUES,
) -> list[Value]:
    """Return all the values in `data`, in order.

    Numbers are floats, objects are dicts, ECMA arrays are `EcmaArray`. XML documents come as
    their text, typed objects as dicts without their class name, "unsupported" as UNDEFINED.
    An object that is referred to again is decoded again, so nothing in the result is shared.

    Raises:
        AmfError: the bytes are not AMF0, or go past a bound.
    """
    return _Decoder(bytes(data), max_depth, max_values).all_values()


def decode_command(payload: bytes | bytearray | memoryview, *, amf3_wrapped: bool) -> list[Value]:
    """Return the values of an RTMP command or data message.

    `amf3_wrapped` is true for message types 15 and 17, whose first byte says which AMF comes
    after it. Flash and its descendants put 0 there and go on in AMF0; 3 would be AMF3.

    Raises:
        AmfError: as for `decode`, or the wrapper's byte is missing or not 0.
    """
    if not amf3_wrapped:
        return decode(payload)
    if not payload or payload[0] != 0:
        seen = f"0x{payload[0]:02x}" if payload else "nothing"
        raise AmfError(f"the AMF3 message opens with {seen} at offset 0; wanted 0x00 and then AMF0")
    return decode(memoryview(payload)[1:])


def encode(*values: Value) -> bytes:
    """Return `values` one after another in AMF0; an int travels as a number.

    Raises:
        AmfError: a value is nested deeper than MAX_DEPTH, or a property name is over 65535 bytes.
    """
    out = bytearray()
    for value in values:
        _encode_value(out, value, 1)
    return bytes(out)


class _Decoder:
    """One pass over one buffer."""

    def __init__(self, data: bytes, max_depth: int, max_values: int) -> None:
        self._data = data
        self._at = 0
        self._max_depth = max_depth
        self._values_left = max_values
        self._max_values = max_values
        self._repeat_left = MAX_REPEATED_BYTES
        # Where each complex value starts and ends, in the order in which they start: what a
        # reference's index means. The end is 0 while the value is still being read.
        self._spans: list[tuple[int, int]] = []
        self._is_repeating = False

    def all_values(self) -> list[Value]:
        values: list[Value] = []
        while self._at < len(self._data):
            values.append(self._value(1))
        return values

    def _value(self, depth: int) -> Value:
        start = self._at
        marker = self._take(1, "a type marker")[0]
        self._values_left -= 1
        if self._values_left < 0:
            raise AmfError(f"more than {self._max_values} values at offset {start}; wanted no more than that")
        if depth > self._max_depth:
            raise AmfError(f"nesting at offset {start} is {depth} deep; wanted {self._max_depth} at most")
        read = _READERS.get(marker)
        if read is None:
            name = _REFUSED.get(marker, "unknown")
            raise AmfError(f"type marker 0x{marker:02x} ({name}) at offset {start}; wanted an AMF0 value")
        return read(self, depth)

    def _take(self, size: int, what: str) -> bytes:
        start, end = self._at, self._at + size
        if end > len(self._data):
            raise AmfError(f"{what} at offset {start} has {len(self._data) - start} bytes; wanted {size}")
        self._at = end
        return self._data[start:end]

    def _u16(self, what: str) -> int:
        return int.from_bytes(self._take(2, what), "big")

    def _u32(self, what: str) -> int:
        return int.from_bytes(self._take(4, what), "big")

    def _number(self, _depth: int) -> Value:
        number: float = _NUMBER.unpack(self._take(8, "a number"))[0]
        return number

    def _boolean(self, _depth: int) -> Value:
        return self._take(1, "a boolean") != b"\x00"

    def _string(self, _depth: int) -> Value:
        return self._utf8()

    def _utf8(self) -> str:
        return self._take(self._u16("a string's length"), "a string").decode("utf-8", "replace")

    def _long_string(self, _depth: int) -> Value:
        return self._take(self._u32("a long string's length"), "a long string").decode("utf-8", "replace")

    def _null(self, _depth: int) -> Value:
        return None

    def _undefined(self, _depth: int) -> Value:
        return UNDEFINED

    def _date(self, _depth: int) -> Value:
        return Date(*_DATE.unpack(self._take(_DATE.size, "a date")))

    def _object(self, depth: int) -> Value:
        opened = self._open()
        properties: dict[str, Value] = {}
        self._properties(properties, depth)
        self._close(opened)
        return properties

    def _typed_object(self, depth: int) -> Value:
        opened = self._open()
        self._utf8()  # the class name: we have no classes to give it to
        properties: dict[str, Value] = {}
        self._properties(properties, depth)
        self._close(opened)
        return properties

    def _ecma_array(self, depth: int) -> Value:
        opened = self._open()
        # Only a hint: FMLE and Flash write 0 there.
        self._u32("an ECMA array's count")
        properties = EcmaArray()
        self._properties(properties, depth, may_end_with_buffer=True)
        self._close(opened)
        return properties

    def _properties(self, into: dict[str, Value], depth: int, *, may_end_with_buffer: bool = False) -> None:
        # lal before its pull request 237 (October 2022) wrote ECMA arrays without the end
        # marker; there the array ends with the message. Nothing is known to need this of an
        # object, where it would hide a cut-off command.
        while not (may_end_with_buffer and self._at == len(self._data)):
            if self._data.startswith(_OBJECT_END, self._at):
                self._at += len(_OBJECT_END)
                return
            name = self._utf8()
            into[name] = self._value(depth + 1)

    def _strict_array(self, depth: int) -> Value:
        opened = self._open()
        start = self._at
        count = self._u32("an array's count")
        if count > len(self._data) - self._at:  # every value is one byte at least
            raise AmfError(f"array at offset {start} counts {count}; wanted no more than the bytes that follow")
        items = [self._value(depth + 1) for _ in range(count)]
        self._close(opened)
        return items

    def _reference(self, depth: int) -> Value:
        start = self._at
        index = self._u16("a reference")
        begin, end = self._spans[index] if index < len(self._spans) else (0, 0)
        if not end:
            raise AmfError(f"reference {index} at offset {start} wanted an object that was complete before it")
        self._repeat_left -= end - begin
        if self._repeat_left < 0:
            raise AmfError(f"references at offset {start} repeat over {MAX_REPEATED_BYTES} bytes; wanted fewer")
        return self._again(begin, depth)

    def _again(self, begin: int, depth: int) -> Value:
        came_from, was_repeating = self._at, self._is_repeating
        self._at, self._is_repeating = begin, True
        value = self._value(depth)
        self._at, self._is_repeating = came_from, was_repeating
        return value

    def _open(self) -> int:
        if self._is_repeating:  # these already have their numbers
            return -1
        self._spans.append((self._at - 1, 0))
        return len(self._spans) - 1

    def _close(self, opened: int) -> None:
        if opened >= 0:
            self._spans[opened] = (self._spans[opened][0], self._at)


_READERS: Final[dict[int, Callable[[_Decoder, int], Value]]] = {
    0x00: _Decoder._number,
    0x01: _Decoder._boolean,
    0x02: _Decoder._string,
    0x03: _Decoder._object,
    0x05: _Decoder._null,
    0x06: _Decoder._undefined,
    0x07: _Decoder._reference,
    0x08: _Decoder._ecma_array,
    0x0A: _Decoder._strict_array,
    0x0B: _Decoder._date,
    0x0C: _Decoder._long_string,
    0x0D: _Decoder._undefined,
    0x0F: _Decoder._long_string,
    0x10: _Decoder._typed_object,
}
_REFUSED: Final = {
    0x04: "movieclip, reserved",
    0x09: "object end outside an object",
    0x0E: "recordset, reserved",
    0x11: "avmplus: AMF3, which Penstock does not speak",
}


def _encode_value(out: bytearray, value: Value, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise AmfError(f"a value to encode is nested {depth} deep; wanted {MAX_DEPTH} at most")
    match value:
        case None:
            out.append(0x05)
        case Undefined():
            out.append(0x06)
        case bool():  # ahead of numbers: a bool is an int
            out += b"\x01\x01" if value else b"\x01\x00"
        case int() | float():
            out.append(0x00)
            out += _NUMBER.pack(value)
        case str():
            _encode_string(out, value)
        case dict():
            _encode_dict(out, value, depth)
        case list():
            out.append(0x0A)
            out += _U32.pack(len(value))
            for item in value:
                _encode_value(out, item, depth + 1)
        case Date():
            out.append(0x0B)
            out += _DATE.pack(value.unix_ms, value.timezone_minutes)
        case _:
            assert_never(value)  # nothing written would shift every value after it


def _encode_string(out: bytearray, text: str) -> None:
    raw = text.encode("utf-8", "replace")
    if len(raw) <= 0xFFFF:
        out += b"\x02" + _U16.pack(len(raw)) + raw
    else:
        out += b"\x0c" + _U32.pack(len(raw)) + raw


def _encode_dict(out: bytearray, properties: dict[str, Value], depth: int) -> None:
    if isinstance(properties, EcmaArray):
        out += b"\x08" + _U32.pack(len(properties))
    else:
        out.append(0x03)
    for name, value in properties.items():
        raw = name.encode("utf-8", "replace")
        if len(raw) > 0xFFFF:
            raise AmfError(f"a property name to encode has {len(raw)} bytes; wanted 65535 at most")
        out += _U16.pack(len(raw)) + raw
        _encode_value(out, value, depth + 1)
    out += _OBJECT_END
