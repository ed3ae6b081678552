"""A picture laid over frames: looked at before it is decoded, then scaled once and blended by libav's filter."""

from __future__ import annotations

from typing import Any, Final, cast

import av
from av.filter import Graph
from av.packet import Packet
from av.video.frame import VideoFrame

from penstock.errors import MediaError
from penstock.link.relaying import Overlay

MAX_BYTES: Final = 2 * 1024 * 1024
MAX_SIDE: Final = 1080  # pixels

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_SIZED: Final = frozenset((0xC0, 0xC1, 0xC2))  # SOF0 to SOF2: what libav decodes
_ALONE: Final = frozenset((0x01, *range(0xD0, 0xD8)))  # markers without a length


def check_picture(data: bytes) -> tuple[str, int, int]:
    """Return (libav's decoder, width, height) of a picture, by its header alone.

    Raises:
        MediaError: it is neither PNG nor JPEG, or larger than it may be.
    """
    if len(data) > MAX_BYTES:
        raise MediaError(f"the watermark has {len(data)} bytes; it must have {MAX_BYTES} at most")
    if data.startswith(_PNG):
        decoder, (width, height) = "png", _png_size(data)
    elif data.startswith(_JPEG):
        decoder, (width, height) = "mjpeg", _jpeg_size(data)
    else:
        raise MediaError(f"the watermark opens {data[:8].hex()!r}; it must be PNG or JPEG")
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise MediaError(f"the watermark is of {width}x{height} pixels; it must be of {MAX_SIDE}x{MAX_SIDE} at most")
    return decoder, width, height


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise MediaError("the watermark is no whole PNG")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker in _ALONE or marker == 0xFF:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _SIZED:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise MediaError("the watermark is no JPEG of a known kind")


def decode_picture(data: bytes) -> VideoFrame:
    """Return the picture.

    Raises:
        MediaError: see `check_picture`; or it does not decode, or to another size than its header said.
    """
    decoder, width, height = check_picture(data)
    try:
        context = cast(Any, av.CodecContext.create(decoder, "r"))
        context.thread_count = 1
        frames = [*context.decode(Packet(data)), *context.decode(None)]
    except av.FFmpegError as error:
        raise MediaError(f"the watermark does not decode: {error.strerror}") from error
    if not frames or (frames[0].width, frames[0].height) != (width, height):
        raise MediaError("the watermark does not decode")
    return cast(VideoFrame, frames[0])


class Painter:
    """Lays one picture over frames; called with a frame, it returns another one."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._picture = decode_picture(overlay.picture)
        self._ends: tuple[Any, Any] | None = None  # where frames go in, and where they come out
        self._graph: Graph | None = None  # keeps both alive
        self._form: tuple[int, int, str] | None = None

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        form = (frame.width, frame.height, frame.format.name)
        if self._ends is None or form != self._form:
            self._ends, self._form = self._ends_for(frame), form
        into, out_of = self._ends
        pts, time_base = frame.pts, frame.time_base
        into.push(frame)
        painted = cast(VideoFrame, out_of.pull())
        painted.pts, painted.time_base = pts, cast(Any, time_base)
        return painted

    def _ends_for(self, frame: VideoFrame) -> tuple[Any, Any]:
        picture = self._scaled(frame)
        graph = Graph()
        below = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        above = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=frame.time_base
        )
        x, y = round(self._overlay.x * frame.width), round(self._overlay.y * frame.height)
        # Only numbers of ours: there is no text of a user's in a filter's description.
        mixed = graph.add("overlay", f"x={x}:y={y}:eof_action=repeat:repeatlast=1")
        form = graph.add("format", "pix_fmts=yuv420p")
        sink = graph.add("buffersink")
        below.link_to(mixed, 0, 0)
        above.link_to(mixed, 0, 1)
        mixed.link_to(form)
        form.link_to(sink)
        graph.configure()
        picture.pts, picture.time_base = 0, cast(Any, frame.time_base)
        above.push(picture)
        above.push(None)
        self._graph = graph
        return below, sink

    def _scaled(self, frame: VideoFrame) -> VideoFrame:
        width = max(2, round(self._overlay.width * frame.width))
        height = max(2, round(width * self._picture.height / self._picture.width))
        # An odd ratio must not make a picture that is far larger than the frame.
        return self._picture.reformat(width=width, height=min(height, 2 * frame.height), format="yuva420p")
