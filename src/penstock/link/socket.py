"""The link over a stream socket (a Unix one on one machine).

A frame is a length of four bytes, big-endian, and that many bytes of MessagePack.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import msgspec

from penstock.link.channel import ignore_loss, ignore_message
from penstock.link.messages import AnyMessage

# A Hello of 20,000 streams has some 12 MB.
MAX_FRAME: Final = 64 * 1024 * 1024
# An end that does not read (stopped, or stuck) costs the other this much memory and no more.
MAX_UNSENT: Final = 64 * 1024 * 1024
READ_SIZE: Final = 256 * 1024

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyMessage)


class SocketChannel(asyncio.Protocol):
    """One end of a connected socket."""

    def __init__(self) -> None:
        self.on_message: Callable[[AnyMessage], None] = ignore_message
        self.on_lost: Callable[[str], None] = ignore_loss
        self._transport: asyncio.WriteTransport | None = None
        self._in = bytearray()
        self._why = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._in += data
        at = 0
        try:
            while len(self._in) - at >= 4 and not self._why:
                size = int.from_bytes(self._in[at : at + 4], "big")
                if size > MAX_FRAME:
                    self._fail(f"a frame of {size} bytes; at most {MAX_FRAME} are read")
                    return
                if len(self._in) - at < 4 + size:
                    return
                try:
                    message = _decoder.decode(memoryview(self._in)[at + 4 : at + 4 + size])
                except (ValueError, RecursionError) as error:  # a MsgspecError is a ValueError, and so is bad UTF-8
                    self._fail(f"a message that does not decode: {error}")
                    return
                at += 4 + size
                self.on_message(message)
        finally:  # a handler that raised has had its message
            del self._in[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        transport, self._transport = self._transport, None
        try:
            if isinstance(exc, OSError) and transport is not None and not self._why:
                self._read_rest(transport.get_extra_info("socket").fileno())
        finally:
            handler, self.on_lost = self.on_lost, ignore_loss
            handler(self._why or (str(exc) if exc else "the other end closed the link"))

    def send(self, message: AnyMessage) -> None:
        if self._transport is None or self._why:
            return
        body = _encoder.encode(message)
        self._transport.write(len(body).to_bytes(4, "big") + body)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self._fail(f"the other end left {MAX_UNSENT} bytes unread")

    def close(self) -> None:
        if self._transport is not None and not self._why:
            self._why = "closed here"
            self._transport.close()

    def _read_rest(self, fileno: int) -> None:
        """Take what the other end sent before it closed: a write that fails ends the reading too."""
        rest = b""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fileno)) as unread:
            while data := unread.recv(READ_SIZE):
                rest += data
        self.data_received(rest)

    def _fail(self, why: str) -> None:
        self._why = why
        if self._transport is not None:
            self._transport.abort()


Take = Callable[[SocketChannel], None]


async def listen(listener: socket.socket, take: Take) -> asyncio.Server:
    """Hand every connection that `listener` (bound already) accepts to `take`."""
    return await asyncio.get_running_loop().create_unix_server(_taken_by(take), sock=listener)


async def connect(path: Path, take: Take) -> SocketChannel:
    """Connect to the socket at `path`; `take` gets the channel before its first message can arrive.

    Raises:
        OSError: nobody listens there.
    """
    _, channel = await asyncio.get_running_loop().create_unix_connection(_taken_by(take), str(path))
    return channel


def _taken_by(take: Take) -> Callable[[], SocketChannel]:
    class Taken(SocketChannel):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            take(self)

    return Taken


def bind(path: Path) -> socket.socket:
    """A listening socket at `path`, for this user alone; a file left there by a killed server goes.

    Raises:
        OSError: the folder cannot be written, or the path is longer than a socket's may be.
    """
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(16)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
