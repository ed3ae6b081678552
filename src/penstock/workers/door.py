"""The way into the engine: its relay door, a Unix socket that takes an id and then FLV.

Where the connection breaks, the engine was restarted or dropped us: it is made again, and begins with all that a
new listener needs: the headers in force and the frames since the last key frame. The line of time goes on.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from penstock.model import Kind
from penstock.protocols import flv
from penstock.workers.frames import Frame

MAX_GOP_BYTES: Final = 16 * 1024 * 1024
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
# Longer paths do not fit a Unix socket's address.
LONGEST_PATH: Final = 100

Wait = Callable[[float], bool]
"""Waits so many seconds; True when the worker is to stop."""


class Door:
    """Sends frames; blocks for as long as the engine takes none."""

    def __init__(self, path: str, relay: str, wait: Wait, on_error: Callable[[str], None]) -> None:
        """`on_error` is told why there is no connection, and "" once there is one."""
        self._path, self._relay = path, relay
        self._wait, self._on_error = wait, on_error
        self._socket: socket.socket | None = None
        self._headers: dict[Kind, bytes] = {}
        self._gop: list[bytes] = []
        self._gop_bytes = 0
        self._has_gop = False  # the frames since a key frame are all there
        self._pause_s = FIRST_PAUSE_S
        self.bytes_out = 0

    def send(self, frames: list[Frame]) -> bool:
        """Hand frames over, all of them or, after a stop, not; False when the worker is to stop."""
        # In small steps: what is remembered has to be what the engine was sent.
        for frame in frames:
            self._remember(frame)
        data = b"".join(frame.tag for frame in frames)
        is_fresh = self._socket is None
        while True:
            if self._socket is None and not self._connect():
                return False
            assert self._socket is not None
            try:
                self._socket.sendall(self._opening() if is_fresh else data)
            except OSError as error:
                self._break(f"the engine's relay door: {error.strerror or error}")
                is_fresh = True
                if self._wait(self._pause_s):
                    return False
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            else:
                self.bytes_out += len(data)
                if not is_fresh:
                    self._pause_s = FIRST_PAUSE_S
                return True

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def _remember(self, frame: Frame) -> None:
        if frame.is_header:
            self._headers[frame.kind] = frame.tag
            if self._has_gop and frame.kind is not Kind.VIDEO:
                self._gop.append(frame.tag)
            return
        if frame.is_key:
            self._gop, self._gop_bytes, self._has_gop = [], 0, True
        if self._has_gop:
            self._gop.append(frame.tag)
            self._gop_bytes += len(frame.tag)
            if self._gop_bytes > MAX_GOP_BYTES:
                self._gop, self._has_gop = [], False

    def _opening(self) -> bytes:
        """Return what a new connection begins with; it holds the frames that are being sent."""
        order = (Kind.DATA, Kind.VIDEO, Kind.AUDIO)
        headers = [self._headers[kind] for kind in order if kind in self._headers]
        return b"".join((flv.file_header(audio=True, video=True), *headers, *self._gop))

    def _connect(self) -> bool:
        while True:
            try:
                self._socket = self._connected()
            except OSError as error:
                self._on_error(f"the engine's relay door: {error.strerror or error}")
            else:
                self._on_error("")
                return True
            if self._wait(self._pause_s):
                return False
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(self._path) as path:
                connection.connect(path)
            connection.sendall(msgspec.json.encode({"relay": self._relay}) + b"\n")
        except BaseException:
            connection.close()
            raise
        return connection

    def _break(self, why: str) -> None:
        assert self._socket is not None
        self._socket.close()
        self._socket = None
        self._on_error(why)


@contextlib.contextmanager
def _short(path: str):  # type: ignore[no-untyped-def]
    """The path, or a short one of the same place: an open folder has one."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield path
        return
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)
