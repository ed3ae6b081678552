"""A watermark's picture: told by its first bytes, and never decoded here."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Final, Literal

from msgspec import Struct

from penstock.errors import InvalidField

MIN_BYTES: Final = 100
MAX_BYTES: Final = 2 * 1024 * 1024
MAX_SIDE: Final = 1080  # pixels

_HEAD: Final = re.compile(r"data:image/(png|jpe?g);base64,", re.ASCII)
_PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
# Markers of a JPEG frame's head; C4, C8 and CC are tables in between.
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})


class Picture(Struct, frozen=True):
    """An encoded picture and its size in pixels."""

    kind: Literal["png", "jpeg"]
    width: int
    height: int
    data: bytes


def read_picture(text: str) -> Picture:
    """Return the picture of a data URL, its limits checked.

    Raises:
        InvalidField: it is none of PNG or JPEG, or too small or too large in bytes or in pixels.
    """
    head = _HEAD.match(text)
    if head is None:
        raise _wrong(text[:40], "data:image/png;base64,... (or jpg, or jpeg)")
    # Its length is known before a byte of it is read.
    if len(text) - head.end() > -(-MAX_BYTES // 3) * 4:
        raise _wrong(f"a picture of about {(len(text) - head.end()) // 4 * 3} bytes", f"at most {MAX_BYTES} bytes")
    try:
        data = b64decode(text[head.end() :], validate=True)
    except (NotBase64, ValueError):
        raise _wrong(text[:40], "base64 behind its comma") from None
    return check_picture(data)


def check_picture(data: bytes) -> Picture:
    """Return an encoded picture with its size, its limits checked.

    Raises:
        InvalidField: as for `read_picture`.
    """
    if not MIN_BYTES <= len(data) <= MAX_BYTES:
        raise _wrong(f"a picture of {len(data)} bytes", f"of {MIN_BYTES} to {MAX_BYTES} bytes")
    picture = _png(data) or _jpeg(data)
    if picture is None:
        raise _wrong(f"{len(data)} bytes", "a PNG or JPEG picture that says its size")
    if not (0 < picture.width <= MAX_SIDE and 0 < picture.height <= MAX_SIDE):
        raise _wrong(f"{picture.width}x{picture.height}", f"at most {MAX_SIDE}x{MAX_SIDE} pixels")
    return picture


def _wrong(shown: str, wanted: str) -> InvalidField:
    return InvalidField("Watermark.Picture", shown, wanted)


def _png(data: bytes) -> Picture | None:
    if not data.startswith(_PNG):
        return None
    at = len(_PNG)
    return Picture("png", int.from_bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8]), data)


def _jpeg(data: bytes) -> Picture | None:
    """Walk from marker to marker up to the frame's head, which has the size."""
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            return Picture("jpeg", width, height, data)
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    return None
