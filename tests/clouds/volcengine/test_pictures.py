"""Pictures of watermarks, told by their first bytes."""

from __future__ import annotations

import zlib
from base64 import b64encode

import pytest

from penstock.clouds.volcengine.pictures import MAX_BYTES, read_picture
from penstock.errors import InvalidField


def png(width: int, height: int, more: int = 200) -> bytes:
    head = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + head + zlib.crc32(head).to_bytes(4) + bytes(more)


def jpeg(width: int, height: int, frame: int = 0xC0) -> bytes:
    app = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    tables = b"\xff\xc4\x00\x04\0\0\xff\xff\xd0"
    head = b"\xff" + bytes([frame]) + b"\x00\x11\x08" + height.to_bytes(2) + width.to_bytes(2) + b"\x03" + bytes(9)
    return b"\xff\xd8" + app + tables + head + bytes(100)


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


@pytest.mark.parametrize("kind", ["png", "jpg", "jpeg"])
def test_size_is_read_from_the_head(kind: str) -> None:
    found = read_picture(url(png(320, 180), kind))
    assert (found.kind, found.width, found.height, found.data) == ("png", 320, 180, png(320, 180))


@pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xCF])
def test_jpeg_is_walked_to_its_frame(frame: int) -> None:
    found = read_picture(url(jpeg(640, 360, frame), "jpeg"))
    assert (found.kind, found.width, found.height) == ("jpeg", 640, 360)


@pytest.mark.parametrize("size", [(1080, 1080), (1, 1)])
def test_largest_and_smallest_pass(size: tuple[int, int]) -> None:
    assert read_picture(url(png(*size))).width == size[0]


def test_bytes_at_the_limits_pass() -> None:
    least, most = png(1, 1, 100 - len(png(1, 1, 0))), png(1, 1, MAX_BYTES - len(png(1, 1, 0)))
    assert (len(read_picture(url(least)).data), len(read_picture(url(most)).data)) == (100, MAX_BYTES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it must be data:image/png"),
        ("https://example.com/a.png", "it must be data:image/png"),
        (url(png(1, 1), "gif"), "it must be data:image/png"),
        (url(png(1, 1))[:-1] + "!", "base64 behind its comma"),
        (url(png(1, 1)) + "\n", "base64 behind its comma"),
        (url(png(1, 1)) + "é", "base64 behind its comma"),
        (url(png(1, 1, 99 - len(png(1, 1, 0)))), "99 bytes"),
        (url(png(1, 1, MAX_BYTES + 1 - len(png(1, 1, 0)))), f"{MAX_BYTES} bytes"),
        (url(bytes(MAX_BYTES * 2)), f"at most {MAX_BYTES} bytes"),
        (url(png(1081, 1)), "1081x1"),
        (url(png(1, 1081)), "1x1081"),
        (url(png(0, 5)), "0x5"),
        (url(jpeg(5000, 5)), "5000x5"),
        (url(b"GIF89a" + bytes(200)), "that says its size"),
        (url(b"\xff\xd8" + bytes(200)), "that says its size"),
        (url(b"\xff\xd8" + b"\xff" * 200), "that says its size"),
        (url(b"\xff\xd8\xff\xe0\xff\xff" + bytes(200)), "that says its size"),
    ],
)
def test_anything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidField, match=words):
        read_picture(text)
