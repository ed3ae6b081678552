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
        # The frames since a key frame; None: they were too many, and a listener waits for the next one.
        self._gop: list[bytes] | None = []
        self._gop_bytes = 0
        self._pause_s = FIRST_PAUSE_S

    def send(self, frames: list[Frame]) -> bool:
        """Hand frames over; False when the worker is to stop, and then they may not have gone."""
        data = b"".join(frame.tag for frame in frames)
        is_fresh = self._socket is None
        while True:
            if self._socket is None and not self._connect():
                return False
            assert self._socket is not None
            try:
                # What was on its way when the last connection broke goes again, behind what it stands on.
                self._socket.sendall(self._opening(frames) if is_fresh else data)
            except OSError as error:
                self._break(f"the engine's relay door: {error.strerror or error}")
                is_fresh = True
                if self._wait(self._pause_s):
                    return False
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            else:
                break
        if not is_fresh:
            self._pause_s = FIRST_PAUSE_S
        for frame in frames:
            self._remember(frame)
        return True

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def _remember(self, frame: Frame) -> None:
        if frame.is_header:
            self._headers[frame.kind] = frame.tag
            # In the middle of a GOP only sound's header belongs there; a picture's begins the next one.
            if frame.kind is Kind.AUDIO:
                self._keep(frame)
            return
        if frame.is_key:
            self._gop, self._gop_bytes = [], 0
        self._keep(frame)

    def _keep(self, frame: Frame) -> None:
        if self._gop is None:
            return
        self._gop.append(frame.tag)
        self._gop_bytes += len(frame.tag)
        if self._gop_bytes > MAX_GOP_BYTES:
            self._gop = None

    def _opening(self, frames: list[Frame]) -> bytes:
        """Return what a new connection begins with, up to the last of `frames`."""
        order = (Kind.DATA, Kind.VIDEO, Kind.AUDIO)
        headers = [self._headers[kind] for kind in order if kind in self._headers]
        tags = [frame.tag for frame in frames]
        return b"".join((flv.file_header(audio=True, video=True), *headers, *(self._gop or ()), *tags))

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
