"""Peers for the doors: RTMP and HTTP clients that send what they are told and read only when asked.

Every read has a deadline, so that a test whose server says nothing fails instead of hanging.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import deque
from typing import Any, Final, Protocol, Self

from msgspec import Struct

from penstock.errors import AmfError, FlvError
from penstock.model import Kind
from penstock.protocols import amf0
from penstock.protocols.flv import Tag, TagReader
from penstock.protocols.rtmp import messages
from penstock.protocols.rtmp.chunk import SET_CHUNK_SIZE, ChunkReader, Message, encode_message

DEADLINE_S: Final = 5.0
VERSION: Final = b"\x03"
BLOCK: Final = 1536
# What a client sends media with, once it has said so: whole frames in one chunk.
CHUNK_SIZE: Final = 65536


class Pipe(Protocol):
    """A connection; reading at its end gives nothing."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class RawPipe:
    """A socket with nothing between: what is not read stays in the kernel."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.setblocking(False)

    @classmethod
    async def open(cls, port: int, *, source: str = "127.0.0.1", receive_buffer: int | None = None) -> Self:
        """Connect from `source`, with a kernel's buffer of about `receive_buffer` bytes."""
        pipe = cls.prepare(source=source, receive_buffer=receive_buffer)
        try:
            await pipe.connect(port)
        except OSError:
            pipe.close()
            raise
        return pipe

    @classmethod
    def prepare(cls, *, source: str = "127.0.0.1", receive_buffer: int | None = None) -> Self:
        """All that there is to `open` but to connect."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.bind((source, 0))
        return cls(connection)

    async def connect(self, port: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", port))

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    async def read(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.get_running_loop().sock_recv(self.socket, 65536)

    async def write(self, data: bytes) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def ended(self) -> None:
        """The server closed the connection, in whatever way; what it sent before is thrown away."""
        with contextlib.suppress(ConnectionError):
            while await self.read():
                pass

    def close(self) -> None:
        """Say FIN, or RST if something was left unread."""
        self.socket.close()

    def reset(self) -> None:
        """Say RST, whatever was read."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class TlsPipe:
    """The same in TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext, server_name: str) -> Self:
        async with asyncio.timeout(DEADLINE_S):
            return cls(
                *await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name, limit=2**22)
            )

    async def read(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self._reader.read(65536)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(DEADLINE_S):
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


class Status(Struct, frozen=True):
    """What a server said by onStatus, or by a command's result."""

    code: str
    level: str = ""
    description: str = ""


class Refused(Exception):
    """The server answered a publish or a play with an error."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"{status.code}: {status.description}")
        self.status = status


class RtmpClient:
    """One RTMP peer, from its handshake on."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self._chunks = ChunkReader(max_message_size=2**24 - 1)
        self._arrived: deque[Message] = deque()
        self._transaction = 0.0
        self._chunk_size = 128

    # Getting in

    @classmethod
    async def open(cls, port: int, *, source: str = "127.0.0.1", receive_buffer: int | None = None) -> Self:
        """Connect and shake hands.

        Raises:
            EOFError, ConnectionError: the server did not let it in.
        """
        client = cls(await RawPipe.open(port, source=source, receive_buffer=receive_buffer))
        try:
            await client.handshake()
        except (EOFError, ConnectionError):
            client.close()
            raise
        return client

    @property
    def raw(self) -> RawPipe:
        assert isinstance(self.pipe, RawPipe)
        return self.pipe

    async def handshake(self) -> None:
        await self.pipe.write(VERSION + bytes(BLOCK))
        answer = b""
        while len(answer) < 1 + 2 * BLOCK:
            answer += await self._read()
        assert answer[:1] == VERSION
        await self.pipe.write(answer[1 : 1 + BLOCK])
        self._take(answer[1 + 2 * BLOCK :])

    async def connect(self, app: str = "live", tc_url: str = "rtmp://push.demo.test/live") -> Status:
        """Say connect, take over the server's chunk size, and offer the same."""
        await self.call("connect", {"app": app, "tcUrl": tc_url, "flashVer": "test client"})
        status = await self.result()
        await self.set_chunk_size(CHUNK_SIZE)
        return status

    async def set_chunk_size(self, size: int) -> None:
        await self.send(SET_CHUNK_SIZE, size.to_bytes(4, "big"), csid=2)
        self._chunk_size = size

    async def create_stream(self) -> None:
        await self.call("createStream", None)
        await self.result()

    async def publish(
        self, name: str = "cam", *, app: str = "live", tc_url: str = "rtmp://push.demo.test/live"
    ) -> Self:
        """All of it, up to the server's yes.

        Raises:
            Refused: it said no.
        """
        await self.connect(app, tc_url)
        await self.create_stream()
        await self.call("publish", None, name, "live", stream_id=1)
        await self.expect("NetStream.Publish.Start")
        return self

    async def play(self, name: str = "cam", *, app: str = "live", tc_url: str = "rtmp://pull.demo.test/live") -> Self:
        """The same for a player.

        Raises:
            Refused: it said no.
        """
        await self.connect(app, tc_url)
        await self.create_stream()
        await self.play_again(name)
        return self

    async def play_again(self, name: str = "cam") -> None:
        await self.call("play", None, name, -2000.0, stream_id=1)
        await self.expect("NetStream.Play.Start")

    # Saying

    async def call(self, name: str, *arguments: amf0.Value, stream_id: int = 0) -> None:
        self._transaction += 1
        payload = amf0.encode(name, self._transaction, *arguments)
        await self.send(messages.COMMAND, payload, stream_id=stream_id, csid=3)

    async def send(
        self, type_id: int, payload: bytes, *, timestamp: int = 0, stream_id: int = 0, csid: int = 6
    ) -> None:
        await self.pipe.write(self.encode(type_id, payload, timestamp=timestamp, stream_id=stream_id, csid=csid))

    def encode(self, type_id: int, payload: bytes, *, timestamp: int = 0, stream_id: int = 0, csid: int = 6) -> bytes:
        return encode_message(csid, type_id, timestamp, payload, stream_id=stream_id, chunk_size=self._chunk_size)

    async def send_media(self, kind: Kind, timestamp: int, payload: bytes) -> None:
        await self.send(kind, payload, timestamp=timestamp, stream_id=1, csid=4 if kind == Kind.AUDIO else 6)

    # Hearing

    async def receive(self) -> Message:
        """The next message of any kind.

        Raises:
            EOFError, ConnectionError: the server closed before one was whole.
        """
        while not self._arrived:
            self._take(await self._read())
        return self._arrived.popleft()

    async def media(self, count: int) -> list[Message]:
        """The next `count` messages of audio, video or data; commands between them are passed over."""
        found: list[Message] = []
        while len(found) < count:
            message = await self.receive()
            if message.type_id in (Kind.AUDIO, Kind.VIDEO, Kind.DATA):
                found.append(message)
        return found

    async def expect(self, code: str) -> Status:
        """Wait for an onStatus of this code; media on the way is passed over.

        Raises:
            Refused: another one came that is an error.
        """
        while True:
            status = await self.status()
            if status.code == code:
                return status
            if status.level == "error":
                raise Refused(status)

    async def status(self) -> Status:
        """The next onStatus."""
        while True:
            values = _command(await self.receive())
            if values and values[0] == "onStatus":
                return _status(values)

    async def result(self) -> Status:
        """The next answer to a call."""
        while True:
            values = _command(await self.receive())
            if values and values[0] == "_result":
                return _status(values)

    async def rest(self) -> list[Message]:
        """All that still comes, up to the end of the connection, in whatever way it ends."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                self._take(await self._read())
        found = list(self._arrived)
        self._arrived.clear()
        return found

    async def ended(self) -> list[Status]:
        """The server closed the connection; what it said by onStatus before that."""
        return [_status(values) for values in map(_command, await self.rest()) if values and values[0] == "onStatus"]

    async def _read(self) -> bytes:
        data = await self.pipe.read()
        if not data:
            raise EOFError("the server closed the connection")
        return data

    def _take(self, data: bytes) -> None:
        for message in self._chunks.receive(data):
            self._arrived.append(message)

    # Going

    async def leave(self) -> None:
        """Say FIN, and go when the server has closed too."""
        self.raw.socket.shutdown(socket.SHUT_WR)
        await self.rest()
        self.close()

    def close(self) -> None:
        self.pipe.close()

    def reset(self) -> None:
        self.raw.reset()


def _command(message: Message) -> list[amf0.Value]:
    if message.type_id != messages.COMMAND:
        return []
    try:
        return amf0.decode(message.payload)
    except AmfError as error:
        raise AssertionError(f"the server sent a command that does not decode: {error}") from error


def _status(values: list[amf0.Value]) -> Status:
    info = values[-1] if isinstance(values[-1], dict) else {}
    words = (info.get(word, "") for word in ("code", "level", "description"))
    return Status(*(word if isinstance(word, str) else "" for word in words))


class Answer(Struct, frozen=True):
    """An HTTP answer's head."""

    status: int
    headers: dict[str, str]


class HttpClient:
    """One HTTP peer: a request, its answer's head, and then a body or a stream."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self._buffer = b""
        self._tags = TagReader()
        self._arrived: deque[Tag] = deque()

    @classmethod
    async def open(cls, port: int, *, source: str = "127.0.0.1", receive_buffer: int | None = None) -> Self:
        return cls(await RawPipe.open(port, source=source, receive_buffer=receive_buffer))

    @classmethod
    async def open_tls(cls, port: int, context: ssl.SSLContext, server_name: str) -> Self:
        return cls(await TlsPipe.open(port, context, server_name))

    @property
    def raw(self) -> RawPipe:
        assert isinstance(self.pipe, RawPipe)
        return self.pipe

    async def request(
        self, target: str, *, method: str = "GET", host: str | None = "pull.demo.test", headers: str = ""
    ) -> Answer:
        host_line = f"Host: {host}\r\n" if host is not None else ""
        return await self.say(f"{method} {target} HTTP/1.1\r\n{host_line}{headers}\r\n".encode("latin-1"))

    async def say(self, request: bytes) -> Answer:
        """Send bytes as they are, and read the head of what is answered."""
        await self.pipe.write(request)
        return await self.answer()

    async def answer(self) -> Answer:
        while b"\r\n\r\n" not in self._buffer:
            data = await self.pipe.read()
            if not data:
                raise EOFError(f"the answer ended within its head: {self._buffer!r}")
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        return Answer(int(status), {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)})

    async def body(self) -> bytes:
        """All that follows the head, up to the end of the connection."""
        with contextlib.suppress(ConnectionError):
            while data := await self.pipe.read():
                self._buffer += data
        body, self._buffer = self._buffer, b""
        return body

    async def content(self, answer: Answer) -> bytes:
        """The body of an answer that says how long it is; what follows is the next answer's."""
        size = int(answer.headers["content-length"])
        while len(self._buffer) < size:
            data = await self.pipe.read()
            if not data:
                raise EOFError(f"the answer ended after {len(self._buffer)} of {size} bytes")
            self._buffer += data
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return body

    async def get(self, target: str, **options: Any) -> tuple[Answer, bytes]:
        """A request and the whole of its answer; the connection stays."""
        answer = await self.request(target, **options)
        return answer, await self.content(answer)

    async def tags(self, count: int) -> list[Tag]:
        """The next `count` tags of the stream that is the body."""
        self._feed(self._buffer)
        self._buffer = b""
        while len(self._arrived) < count:
            data = await self.pipe.read()
            if not data:
                raise EOFError(f"the stream ended after {len(self._arrived)} of {count} tags")
            self._feed(data)
        return [self._arrived.popleft() for _ in range(count)]

    async def rest(self) -> list[Tag]:
        """The tags that still come; the stream must end where a tag ends.

        Raises:
            FlvError: it does not.
        """
        self._feed(await self.body())
        self._tags.receive_eof()
        found = list(self._arrived)
        self._arrived.clear()
        return found

    def _feed(self, data: bytes) -> None:
        try:
            self._arrived.extend(self._tags.receive(data))
        except FlvError as error:
            raise AssertionError(f"the server sent what is not FLV: {error}") from error

    def close(self) -> None:
        self.pipe.close()
