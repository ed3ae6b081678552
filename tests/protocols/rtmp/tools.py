"""What the tests of RTMP's files share: an encoder of chunks that is not ours, and a client's half of a session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock.protocols import amf0
from penstock.protocols.rtmp.chunk import ChunkReader, Message

Got = tuple[int, int, int, bytes]  # type, timestamp, stream id, payload

CAN_REPEAT = 3  # the header that says nothing


def from_hex(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def seen(messages: Iterable[Message]) -> list[Got]:
    return [(one.type_id, one.timestamp, one.stream_id, bytes(one.payload)) for one in messages]


def pieces(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """`data` cut at the given places, which may lie outside of it or come twice."""
    inner = sorted({min(cut, len(data)) for cut in cuts})
    for start, stop in zip([0, *inner], [*inner, len(data)], strict=True):
        yield data[start:stop]


def bytewise(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def basic_header(form: int, csid: int, size: int = 0) -> bytes:
    """Of the given size, or of the smallest that can say `csid` (section 5.3.1.1)."""
    size = size or (1 if csid < 64 else 2 if csid < 320 else 3)
    if size == 1:
        return bytes([form << 6 | csid])
    if size == 2:
        return bytes([form << 6, csid - 64])
    return bytes([form << 6 | 1, (csid - 64) & 0xFF, (csid - 64) >> 8])


@dataclass
class _Said:
    """What earlier headers of a chunk stream have said."""

    timestamp: int = 0
    field: int | None = None  # as it was written last
    length: int | None = None
    type_id: int | None = None
    stream_id: int = 0


class ReferenceWriter:
    """Chunks by the book (sections 5.3.1.1 to 5.3.1.3), a chunk at a time, with any header that may be used.

    `repeats` is whether type 3 headers repeat the extended timestamp; where what follows looks like
    its beginning, they do in any case, as no reader could tell.
    """

    def __init__(self, chunk_size: int = 128, *, repeats: bool = True) -> None:
        self.chunk_size = chunk_size
        self._repeats = repeats
        self._said: dict[int, _Said] = {}
        self._rest: dict[int, bytes] = {}  # of messages under way

    def forms(self, csid: int, message: Got) -> list[int]:
        """The header types that can open `message` on this chunk stream."""
        type_id, timestamp, stream_id, payload = message
        said = self._said.get(csid, _Said())
        forms = [0]
        if stream_id == said.stream_id:
            forms.append(1)
            if (len(payload), type_id) == (said.length, said.type_id):
                forms.append(2)
                # One under way would be continued by it.
                if (timestamp - said.timestamp) & 0xFFFFFFFF == said.field and csid not in self._rest:
                    forms.append(CAN_REPEAT)
        return forms

    def repeated(self, csid: int) -> tuple[int, int, int, int] | None:
        """Type, timestamp, stream id and length of what a type 3 header would open here."""
        said = self._said.get(csid)
        if said is None or said.field is None or said.type_id is None or said.length is None:
            return None
        return said.type_id, (said.timestamp + said.field) & 0xFFFFFFFF, said.stream_id, said.length

    def open(self, csid: int, message: Got, form: int, header_size: int = 0) -> bytes:
        """The first chunk of `message`; one under way on the same chunk stream is given up."""
        type_id, timestamp, stream_id, payload = message
        said = self._said.setdefault(csid, _Said())
        if form < CAN_REPEAT:
            said.field = timestamp if form == 0 else (timestamp - said.timestamp) & 0xFFFFFFFF
        assert said.field is not None
        short = min(said.field, 0xFFFFFF).to_bytes(3, "big")
        rest = (short, len(payload).to_bytes(3, "big") + bytes([type_id]), stream_id.to_bytes(4, "little"))
        head = basic_header(form, csid, header_size) + b"".join(rest[: 3 - form])
        extension = self._extension(said)
        if form < CAN_REPEAT or self._repeats or extension.startswith(payload[: min(4, self.chunk_size)]):
            head += extension
        said.timestamp, said.length, said.type_id, said.stream_id = timestamp, len(payload), type_id, stream_id
        return head + self._take(csid, payload)

    def under_way(self) -> list[int]:
        return list(self._rest)

    def give_up(self, csid: int) -> None:
        """As after an Abort: the rest of the message is not sent."""
        self._rest.pop(csid, None)

    def go_on(self, csid: int, header_size: int = 0) -> bytes:
        """The next chunk of the message under way."""
        extension, payload = self._extension(self._said[csid]), self._rest.pop(csid)
        if not self._repeats and not extension.startswith(payload[: min(4, self.chunk_size)]):
            extension = b""
        return basic_header(3, csid, header_size) + extension + self._take(csid, payload)

    def _extension(self, said: _Said) -> bytes:
        assert said.field is not None
        return said.field.to_bytes(4, "big") if said.field >= 0xFFFFFF else b""

    def _take(self, csid: int, payload: bytes) -> bytes:
        now, rest = payload[: self.chunk_size], payload[self.chunk_size :]
        if rest:
            self._rest[csid] = rest
        else:
            self._rest.pop(csid, None)
        return now


def write(messages: Iterable[tuple[int, Got]], chunk_size: int = 128) -> bytes:
    """Each message whole, behind a full header; a pair is (chunk stream, message)."""
    writer = ReferenceWriter(chunk_size)
    out = b""
    for csid, message in messages:
        out += writer.open(csid, message, 0)
        while writer.under_way():
            out += writer.go_on(csid)
    return out


def command(*values: amf0.Value, stream_id: int = 0, wrapped: bool = False) -> bytes:
    """A command as a client sends it, by default the AMF0 kind."""
    payload = amf0.encode(*values)
    return write([(3, (17, 0, stream_id, b"\x00" + payload) if wrapped else (20, 0, stream_id, payload))])


class Answers:
    """Reads what a server says."""

    def __init__(self, skip: int = 0) -> None:
        """`skip` bytes, the handshake's, are passed over."""
        self._skip = skip
        self._chunks = ChunkReader(1 << 24)

    def read(self, data: bytes) -> list[object]:
        """Commands come as the list of their values, all else as (type, payload)."""
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        return [
            amf0.decode(payload) if type_id == 20 else (type_id, payload)
            for type_id, _, _, payload in seen(self._chunks.receive(data[skipped:]))
        ]
