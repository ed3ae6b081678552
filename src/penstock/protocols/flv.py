"""FLV: the file header, and tags made and read.

The plan: a tag is written around a payload that already lies in its place, so that a frame is
never copied for its 15 bytes of framing. Reading goes the way the format is laid out, as pairs
of a previous tag's size and a tag, in two states (file header, then pairs), and hands a tag out
as soon as its own last byte is there: some servers send the closing size with the next tag.

Source: Adobe Flash Video File Format Specification 10.1, annex E.2 to E.4.1.
"""

from __future__ import annotations

import struct

from msgspec import Struct

from penstock.errors import FlvError

HEAD = 11  # bytes of a tag before its payload
TAIL = 4  # and after it: PreviousTagSize
MAX_TAG_SIZE = 16 * 1024 * 1024
MAX_DATA_SIZE = 0xFFFFFF  # the field has 24 bits

AUDIO, VIDEO, SCRIPT = 8, 9, 18
_KINDS = frozenset((AUDIO, VIDEO, SCRIPT))

_SIGNATURE = b"FLV\x01"
_FILE_HEADER_SIZE = 9
_MAX_FILE_HEADER_SIZE = 1024  # DataOffset is there for later versions; none ever came
_RESERVED_BITS = 0xC0
_FILTER_BIT = 0x20

_FILE_HEADER = struct.Struct(">4sBII")
_TAG_HEADER = struct.Struct(">II3x")  # type and size, time and its extension, stream id 0
_TAG_SIZE = struct.Struct(">I")


class Tag(Struct, frozen=True, gc=False):
    """One tag as it was read; `dts_ms` is the sender's clock, unsigned 32 bits, which wraps."""

    kind: int
    dts_ms: int
    payload: bytes


def file_header(*, audio: bool, video: bool) -> bytes:
    """Return the 13 bytes that open a file or a response: header and PreviousTagSize0."""
    flags = (0x04 if audio else 0) | (0x01 if video else 0)
    return _FILE_HEADER.pack(_SIGNATURE, flags, _FILE_HEADER_SIZE, 0)


def frame_tag(buffer: bytearray, kind: int, dts_ms: int) -> None:
    """Make `buffer` a whole tag around the payload that lies in it at ``[HEAD:-TAIL]``.

    The time is cut to 32 bits, as RTMP cuts it.

    Raises:
        FlvError: the payload is longer than a tag can say.
    """
    size = len(buffer) - (HEAD + TAIL)
    if size > MAX_DATA_SIZE:
        raise FlvError(f"a tag's payload has {size} bytes; an FLV tag holds {MAX_DATA_SIZE} at most")
    # TimestampExtended holds the high byte and comes after the low three.
    time = (dts_ms & 0xFFFFFF) << 8 | dts_ms >> 24 & 0xFF
    _TAG_HEADER.pack_into(buffer, 0, kind << 24 | size, time)
    _TAG_SIZE.pack_into(buffer, HEAD + size, HEAD + size)


def tag(kind: int, dts_ms: int, payload: bytes | bytearray | memoryview) -> bytes:
    """Return a whole tag around a copy of `payload`.

    Raises:
        FlvError: the payload is longer than a tag can say.
    """
    buffer = bytearray(HEAD + len(payload) + TAIL)
    buffer[HEAD:-TAIL] = payload
    frame_tag(buffer, kind, dts_ms)
    return bytes(buffer)


def retimed(whole_tag: bytes | bytearray, dts_ms: int) -> bytes:
    """Return a copy of a whole tag that is at another time."""
    time = (dts_ms & 0xFFFFFF) << 8 | dts_ms >> 24 & 0xFF
    return b"".join((whole_tag[:4], _TAG_SIZE.pack(time), memoryview(whole_tag)[8:]))


class TagReader:
    """Reads an FLV stream's tags, holding no more than one unfinished tag.

    Tags of types that FLV does not define are skipped. A wrong PreviousTagSize is let pass:
    it serves only for seeking backwards, ffmpeg reads past it too, and a stream that has truly
    lost its framing shows it in the next tag's reserved bits or size. Encrypted tags (Adobe
    Access) are refused, as nobody here could use them.
    """

    def __init__(self, max_tag_size: int = MAX_TAG_SIZE) -> None:
        """`max_tag_size` bounds a tag's payload, in bytes."""
        self._max_tag_size = max_tag_size
        self._buffer = bytearray()
        self._has_header = False
        self._error: FlvError | None = None

    def receive(self, data: bytes | bytearray | memoryview) -> list[Tag]:
        """Take bytes in any split; return the tags they completed, in order.

        Raises:
            FlvError: the bytes are not FLV; the reader is finished.
        """
        if self._error:
            raise self._error
        self._buffer += data
        try:
            return self._read_tags() if self._has_header or self._read_header() else []
        except FlvError as error:
            self._error = error
            self._buffer.clear()
            raise

    def receive_eof(self) -> None:
        """Take the end of the stream.

        Raises:
            FlvError: it ended before the file header was whole, or inside a tag.
        """
        if self._error:
            raise self._error
        if not self._has_header:
            raise FlvError(f"the stream ended after {len(self._buffer)} bytes; wanted an FLV header")
        # Up to four bytes are the last tag's closing size, whole or not: no loss to anyone.
        if len(self._buffer) > TAIL:
            raise FlvError(f"the stream ended {len(self._buffer) - TAIL} bytes into a tag; wanted a whole tag")

    def _read_header(self) -> bool:
        """Drop the file header once it is whole, and say whether it was."""
        seen = bytes(self._buffer[: len(_SIGNATURE)])
        if not _SIGNATURE.startswith(seen):  # at the first wrong byte: an HTML page need not end
            raise FlvError(f"the stream opens with {seen!r}; wanted {_SIGNATURE!r}")
        if len(self._buffer) < _FILE_HEADER_SIZE:
            return False
        size = int.from_bytes(self._buffer[5:9], "big")
        if not _FILE_HEADER_SIZE <= size <= _MAX_FILE_HEADER_SIZE:
            raise FlvError(f"DataOffset is {size}; wanted {_FILE_HEADER_SIZE} to {_MAX_FILE_HEADER_SIZE}")
        if len(self._buffer) < size:
            return False
        del self._buffer[:size]
        self._has_header = True
        return True

    def _read_tags(self) -> list[Tag]:
        """Take the whole pairs of previous size and tag off the front of the buffer."""
        tags: list[Tag] = []
        at, have = 0, len(self._buffer)
        while have - at >= TAIL + HEAD:
            start = at + TAIL
            kind, size = self._check_start(start)
            end = start + HEAD + size
            if end > have:
                break
            if kind in _KINDS:
                tags.append(self._read_tag(kind, start, end))
            at = end
        # Once for the whole batch: each removal moves all that is left.
        del self._buffer[:at]
        return tags

    def _check_start(self, start: int) -> tuple[int, int]:
        first, *rest = self._buffer[start : start + 4]
        size = int.from_bytes(rest, "big")
        if first & _RESERVED_BITS:
            raise FlvError(f"a tag opens with 0x{first:02x}; wanted its two highest bits clear")
        if first & _FILTER_BIT:
            raise FlvError(f"a tag of type {first & 0x1F} is encrypted; wanted a plain one")
        if size > self._max_tag_size:
            raise FlvError(f"a tag holds {size} bytes; wanted {self._max_tag_size} at most")
        return first, size

    def _read_tag(self, kind: int, start: int, end: int) -> Tag:
        time: int = _TAG_HEADER.unpack_from(self._buffer, start)[1]
        with memoryview(self._buffer) as view:
            payload = bytes(view[start + HEAD : end])
        return Tag(kind, time >> 8 | (time & 0xFF) << 24, payload)
