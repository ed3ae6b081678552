"""A connected, non-blocking socket, plain or in TLS, with one behaviour for both.

Receiving and sending raise BlockingIOError when the kernel has nothing or takes nothing, and any
other OSError when the peer is gone. What `send` returns is counted before TLS.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Final, Protocol

Buffer = bytes | bytearray | memoryview

# One TLS record. OpenSSL wants a write that would block said again with the same bytes: in pieces of
# this size, what is said again is exactly the piece that was not taken.
_RECORD: Final = 16384


class Wire(Protocol):
    def fileno(self) -> int: ...
    def recv_into(self, buffer: bytearray) -> int: ...
    def send(self, data: Buffer, /) -> int: ...
    def shutdown(self) -> None: ...
    def close(self) -> None: ...


class PlainWire:
    """TCP as it is: receiving and sending are the socket's own methods, with nothing between."""

    __slots__ = ("_socket", "fileno", "recv_into", "send")

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.fileno = connection.fileno
        self.recv_into = connection.recv_into
        self.send = connection.send

    def shutdown(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()


class TlsWire:
    """Either side of TLS. A server's handshake happens inside the first receives."""

    __slots__ = ("_socket",)

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._socket = connection

    @classmethod
    def serve(cls, connection: socket.socket, context: ssl.SSLContext) -> TlsWire:
        return cls(
            context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True)
        )

    def fileno(self) -> int:
        return self._socket.fileno()

    def recv_into(self, buffer: bytearray) -> int:
        try:
            return self._socket.recv_into(buffer)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            # A write is wanted only in the handshake, whose few bytes a new socket always has room for.
            raise BlockingIOError from error

    def send(self, data: Buffer, /) -> int:
        view = memoryview(data)
        taken = 0
        while taken < len(view):
            try:
                taken += self._socket.send(view[taken : taken + _RECORD])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError) as error:
                if not taken:
                    raise BlockingIOError from error
                break
            except OSError:
                if not taken:
                    raise
                # What was taken counts; the next send will find the peer gone.
                break
        return taken

    def shutdown(self) -> None:
        # The peer is told that this is the end (close_notify) before the socket says so.
        with contextlib.suppress(OSError, ValueError):
            self._socket.unwrap()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()
