"""RTMP's handshake: the server's half, plain and digest, and the client's, plain.

Both sides send a version byte, 1536 bytes of their own, and an echo of the other's 1536. The
plain form checks nothing. In the digest form each block of 1536 hides an HMAC-SHA256 of its other
bytes, at an offset that the block itself tells, in one of two layouts; Flash-like players demand
it, ffmpeg and OBS use it where offered. A client that made no valid digest gets the plain form.

Source: Adobe RTMP 1.0, section 5.2, for the plain form; the digest form was never published and
is known from librtmp, nginx-rtmp and ffmpeg (``rtmpproto.c``), which agree.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from penstock.errors import RtmpError

VERSION: Final = 3
BLOCK: Final = 1536

_SHARED_SECRET: Final = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_PLAYER_KEY: Final = b"Genuine Adobe Flash Player 001"
_SERVER_KEY: Final = b"Genuine Adobe Flash Media Server 001"
_SERVER_VERSION: Final = bytes((5, 0, 1, 1))  # anything but zero announces the digest form
_DIGEST_SIZE: Final = 32
# Where each layout keeps the four bytes that tell the digest's offset: before the key block, or after it.
_LAYOUTS: Final = (8, 772)


class ServerHandshake:
    """Answers one client; `done` once the client's echo has come in."""

    def __init__(self) -> None:
        self.done = False
        self._in = bytearray()
        self._out = b""
        self._answered = False

    def receive(self, data: bytes | bytearray | memoryview) -> bytes:
        """Take bytes in any split; return those behind the handshake once it is done, else nothing.

        Raises:
            RtmpError: the first byte is not RTMP's version.
        """
        self._in += data
        if self._in and self._in[0] != VERSION:
            raise RtmpError(f"the peer opens with byte 0x{self._in[0]:02x}; RTMP opens with 0x03")
        if not self._answered and len(self._in) > BLOCK:
            self._out = _answer(bytes(self._in[1 : 1 + BLOCK]))
            self._answered = True
        if len(self._in) < 1 + 2 * BLOCK:
            return b""
        self.done = True
        rest = bytes(self._in[1 + 2 * BLOCK :])
        self._in.clear()
        return rest

    def data_to_send(self) -> bytes:
        data, self._out = self._out, b""
        return data


class ClientHandshake:
    """Asks one server, in the plain form; `done` once both of the server's blocks have come in.

    What the server echoes is not checked: one that insists on the digest form echoes something else, and serves
    a plain client all the same.
    """

    def __init__(self) -> None:
        self.done = False
        self._in = bytearray()
        self._out = bytes((VERSION,)) + bytes(8) + os.urandom(BLOCK - 8)
        self._echoed = False

    def receive(self, data: bytes | bytearray | memoryview) -> bytes:
        """Take bytes in any split; return those behind the handshake once it is done, else nothing.

        Raises:
            RtmpError: the first byte is not RTMP's version.
        """
        self._in += data
        if self._in and self._in[0] != VERSION:
            raise RtmpError(f"the server opens with byte 0x{self._in[0]:02x}; RTMP opens with 0x03")
        if not self._echoed and len(self._in) > BLOCK:
            self._out += bytes(self._in[1 : 1 + BLOCK])
            self._echoed = True
        if len(self._in) < 1 + 2 * BLOCK:
            return b""
        self.done = True
        rest = bytes(self._in[1 + 2 * BLOCK :])
        self._in.clear()
        return rest

    def data_to_send(self) -> bytes:
        data, self._out = self._out, b""
        return data


def _answer(asked: bytes) -> bytes:
    """The version byte and both of the server's blocks."""
    version = bytes((VERSION,))
    for layout in _LAYOUTS:
        theirs = find_digest(asked, layout, _PLAYER_KEY)
        if theirs is not None:
            return version + _digest_block(layout) + _digest_echo(theirs)
    return version + bytes(8) + os.urandom(BLOCK - 8) + asked


def find_digest(block: bytes, layout: int, key: bytes) -> bytes | None:
    """The digest inside `block` if there is a valid one in this layout."""
    at = _digest_offset(block, layout)
    found = block[at : at + _DIGEST_SIZE]
    wanted = _hmac(key, block[:at] + block[at + _DIGEST_SIZE :])
    return found if hmac.compare_digest(found, wanted) else None


def _digest_block(layout: int) -> bytes:
    block = bytes(4) + _SERVER_VERSION + os.urandom(BLOCK - 8)
    at = _digest_offset(block, layout)
    before, after = block[:at], block[at + _DIGEST_SIZE :]
    return before + _hmac(_SERVER_KEY, before + after) + after


def _digest_echo(theirs: bytes) -> bytes:
    random = os.urandom(BLOCK - _DIGEST_SIZE)
    return random + _hmac(_hmac(_SERVER_KEY + _SHARED_SECRET, theirs), random)


def _digest_offset(block: bytes, layout: int) -> int:
    return sum(block[layout : layout + 4]) % 728 + layout + 4


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
