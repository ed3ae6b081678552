"""RTMP chunks to whole messages, and messages to chunks.

The plan: a chunk is a header (basic header, message header of one of four sizes, sometimes an
extended timestamp) and up to `chunk_size` bytes of one message. Chunks of several messages may
interleave, each message on a chunk stream of its own, whose earlier header fills in what a
shorter one leaves out. The reader is a loop of two steps, "header" and "bytes of this chunk";
either may stop at the end of the data and go on with the next.

A message is collected in a buffer that has room for an FLV tag around it. What arrives by RTMP
mostly leaves as FLV, and so its bytes are copied once: from the socket's buffer to that place.

Source: Adobe RTMP 1.0, sections 5.3 and 5.4.
"""

from __future__ import annotations

import struct
from typing import Final

from msgspec import Struct

from penstock.errors import RtmpError
from penstock.protocols.flv import HEAD, TAIL

DEFAULT_CHUNK_SIZE: Final = 128
# A size above what any message can have means the same as this one.
LARGEST_CHUNK_SIZE: Final = 0xFFFFFF
EXTENDED: Final = 0xFFFFFF  # the timestamp stands in four further bytes
# Encoders use four or five chunk streams; each costs a peer three bytes to open, so they are counted.
MAX_CHUNK_STREAMS: Final = 64
# Before a publish is admitted, a peer may send commands alone; this is room enough for the longest.
MAX_COMMAND_SIZE: Final = 64 * 1024

SET_CHUNK_SIZE: Final = 1
ABORT: Final = 2

_FULL_HEADER = struct.Struct(">IHBI")  # timestamp and length's top byte, length's rest, type, stream id
_SAME_STREAM_HEADER = struct.Struct(">IHB")
_HEADER_SIZE = (11, 7, 3, 0)  # by the format bits of the basic header


class Message(Struct, gc=False):
    """One RTMP message.

    `timestamp` is the sender's clock in ms, modulo 2**32. `buffer` holds the payload at
    ``[HEAD:-TAIL]``; the bytes around it are free for an FLV tag's header and trailer.
    """

    type_id: int
    timestamp: int
    stream_id: int
    buffer: bytearray

    @property
    def payload(self) -> memoryview:
        return memoryview(self.buffer)[HEAD:-TAIL]


class _ChunkStream:
    """What the next header on this chunk stream may leave out, and the message under way."""

    __slots__ = ("buffer", "delta", "extended", "filled", "length", "stream_id", "timestamp", "type_id")

    def __init__(self) -> None:
        self.timestamp = 0
        self.delta = 0  # the last timestamp field, absolute or not: a type 3 header repeats it
        self.extended = False
        self.length = 0
        self.type_id = 0
        self.stream_id = 0
        self.buffer: bytearray | None = None  # None between messages
        self.filled = HEAD


class ChunkReader:
    """Whole messages out of a peer's chunks.

    Set Chunk Size and Abort act inside, as they change how the next bytes read, and are handed
    out too. A message above `max_message_size` bytes is refused at its header, before any room
    is made for it; the caller raises that bound once it trusts the peer with media. So that it can
    do so in time, reading stops behind each message of a type in `stops_after`, and `unread` holds
    what is left; the next call goes on there.
    """

    __slots__ = (
        "_chunk_left",
        "_head",
        "_open_bytes",
        "_stops_after",
        "_stream",
        "_streams",
        "chunk_size",
        "max_message_size",
        "unread",
    )

    def __init__(self, max_message_size: int = MAX_COMMAND_SIZE, stops_after: frozenset[int] = frozenset()) -> None:
        self.max_message_size = max_message_size
        self.unread = b""
        self._stops_after = stops_after
        self.chunk_size = DEFAULT_CHUNK_SIZE
        self._streams: dict[int, _ChunkStream] = {}
        self._stream: _ChunkStream | None = None  # whose chunk is being read
        self._chunk_left = 0  # bytes of that chunk still to come
        self._head = b""  # a header cut short by the end of the data
        self._open_bytes = 0  # lengths of all messages under way

    def receive(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """Take bytes in any split; return the messages that they completed, in order.

        Nothing of `data` is kept: the caller may write over it at once.

        Raises:
            RtmpError: the bytes are not RTMP; the reader is finished.
        """
        if self.unread or self._head:
            data = b"".join((self._head, self.unread, data))
            self.unread = self._head = b""
        view = memoryview(data)
        at, end = 0, len(view)
        messages: list[Message] = []
        while True:
            left = self._chunk_left
            if not left:
                after = self._read_header(view, at, end)
                if after < 0:
                    self._head = bytes(view[at:end])
                    return messages
                at = after
                left = self._chunk_left
            stream = self._stream
            assert stream is not None
            buffer = stream.buffer
            assert buffer is not None
            take = left if left <= end - at else end - at
            filled = stream.filled
            stream.filled = filled + take
            buffer[filled : filled + take] = view[at : at + take]
            at += take
            self._chunk_left = left - take
            if stream.filled - HEAD == stream.length:
                messages.append(self._complete(stream, buffer))
                if stream.type_id in self._stops_after:
                    self.unread = bytes(view[at:end])
                    return messages
            elif left != take:
                return messages

    def _complete(self, stream: _ChunkStream, buffer: bytearray) -> Message:
        stream.buffer = None
        self._open_bytes -= stream.length
        message = Message(stream.type_id, stream.timestamp, stream.stream_id, buffer)
        if stream.type_id <= ABORT:
            self._act(message)
        return message

    def _read_header(self, view: memoryview, at: int, end: int) -> int:
        """Read one chunk's header; return where its payload starts, or -1 if bytes are missing."""
        if at >= end:
            return -1
        first = view[at]
        form, csid = first >> 6, first & 0x3F
        body = at + 1
        if csid < 2:  # two or three bytes of basic header
            body += csid + 1
            if body > end:
                return -1
            csid = 64 + view[at + 1] + (view[at + 2] << 8 if csid else 0)
        stop = body + _HEADER_SIZE[form]
        if stop > end:
            return -1
        stream = self._streams.get(csid)
        if stream is None:
            stream = self._open(csid, form)
        if form == 3:
            return self._continue(stream, view, stop, end)
        if stream.buffer is not None:
            # A new header while a message is under way: the sender gave that message up.
            self._discard(stream)
        if form == 2:
            field = view[body] << 16 | view[body + 1] << 8 | view[body + 2]
            length, type_id, stream_id = stream.length, stream.type_id, stream.stream_id
        elif form == 1:
            word, low, type_id = _SAME_STREAM_HEADER.unpack_from(view, body)
            field, length, stream_id = word >> 8, (word & 0xFF) << 16 | low, stream.stream_id
        else:
            word, low, type_id, swapped = _FULL_HEADER.unpack_from(view, body)
            field, length = word >> 8, (word & 0xFF) << 16 | low
            # The one little-endian field in all of RTMP; it is almost always 0 or 1.
            stream_id = int.from_bytes(swapped.to_bytes(4, "big"), "little") if swapped else 0
        extended = field == EXTENDED
        if extended:
            if stop + 4 > end:
                return -1
            field = int.from_bytes(view[stop : stop + 4], "big")
            stop += 4
        stream.extended, stream.delta = extended, field
        stream.length, stream.type_id, stream.stream_id = length, type_id, stream_id
        stream.timestamp = field if form == 0 else (stream.timestamp + field) & 0xFFFFFFFF
        self._begin(stream)
        return stop

    def _continue(self, stream: _ChunkStream, view: memoryview, at: int, end: int) -> int:
        """A header of type 3: more of the message under way, or a new one like the last."""
        if stream.extended:
            # The specification repeats the extended timestamp here; some senders do not.
            # Four bytes that equal it are it. The first that differs tells: what is left of a
            # message may be shorter than that, and the next one long in coming.
            seen, again = bytes(view[at : at + 4]), stream.delta.to_bytes(4, "big")
            if seen == again:
                at += 4
            elif at + 4 > end and again.startswith(seen):
                return -1
        if stream.buffer is None:
            # After a type 0 header its timestamp serves as the delta (section 5.3.1.2.4; ffmpeg writes so).
            stream.timestamp = (stream.timestamp + stream.delta) & 0xFFFFFFFF
            self._begin(stream)
            return at
        self._stream = stream
        self._chunk_left = min(stream.length + HEAD - stream.filled, self.chunk_size)
        return at

    def _open(self, csid: int, form: int) -> _ChunkStream:
        # librtmp opens a chunk stream with a header of type 1 where stream id 0 is meant; SRS and
        # nginx-rtmp accept it. Types 2 and 3 would need a length that was never given.
        if form > 1:
            raise RtmpError(f"chunk stream {csid} opens with a type {form} header; wanted type 0 or 1")
        if len(self._streams) >= MAX_CHUNK_STREAMS:
            raise RtmpError(f"chunk stream {csid} is one too many; at most {MAX_CHUNK_STREAMS} may be open")
        stream = self._streams[csid] = _ChunkStream()
        return stream

    def _begin(self, stream: _ChunkStream) -> None:
        length = stream.length
        if length > self.max_message_size:
            raise RtmpError(
                f"a message of type {stream.type_id} has {length} bytes; at most {self.max_message_size} are taken here"
            )
        self._open_bytes += length
        if self._open_bytes > 2 * self.max_message_size:
            raise RtmpError(f"messages under way add up to {self._open_bytes} bytes, over twice the largest allowed")
        stream.buffer = bytearray(HEAD + length + TAIL)
        stream.filled = HEAD
        self._stream = stream
        self._chunk_left = length if length <= self.chunk_size else self.chunk_size

    def _discard(self, stream: _ChunkStream) -> None:
        self._open_bytes -= stream.length
        stream.buffer = None

    def _act(self, message: Message) -> None:
        """Obey the two messages that change how the next bytes read (section 5.4.1 and 5.4.2)."""
        payload = message.payload
        if message.type_id not in (SET_CHUNK_SIZE, ABORT):
            return
        if len(payload) < 4:
            raise RtmpError(f"a message of type {message.type_id} has {len(payload)} bytes; wanted 4")
        value = int.from_bytes(payload[:4], "big")
        if message.type_id == SET_CHUNK_SIZE:
            if not 1 <= value <= 0x7FFFFFFF:
                raise RtmpError(f"chunk size {value} is out of range; wanted 1 to 2147483647")
            self.chunk_size = min(value, LARGEST_CHUNK_SIZE)
        else:
            stream = self._streams.get(value)
            if stream is not None and stream.buffer is not None:
                self._discard(stream)


def encode_message(
    csid: int,
    type_id: int,
    timestamp: int,
    payload: bytes | bytearray | memoryview,
    *,
    stream_id: int = 0,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
) -> bytes:
    """One message as chunks, with a full (type 0) header and so an absolute timestamp.

    Such bytes mean the same to every peer, whatever it was sent before: they can be built once
    and shared. `csid` is 2 to 63; `timestamp` is taken modulo 2**32.
    """
    timestamp &= 0xFFFFFFFF
    length = len(payload)
    extended = timestamp.to_bytes(4, "big") if timestamp >= EXTENDED else b""
    head = (
        bytes((csid,))
        + min(timestamp, EXTENDED).to_bytes(3, "big")
        + length.to_bytes(3, "big")
        + bytes((type_id,))
        + stream_id.to_bytes(4, "little")
        + extended
    )
    if length <= chunk_size:
        return b"".join((head, payload))
    view = memoryview(payload)
    again = bytes((0xC0 | csid,)) + extended
    parts: list[bytes | memoryview] = [head, view[:chunk_size]]
    for at in range(chunk_size, length, chunk_size):
        parts += (again, view[at : at + chunk_size])
    return b"".join(parts)
