"""What a file is, by its first bytes: neither its name nor its server's word for it counts.

libav would try every format that it knows, playlists and scripts among them; so it is told the one format.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import MediaError

PEEK: Final = 1024  # bytes that tell
HLS: Final = "hls"
MOV, FLV, MATROSKA, MPEGTS = "mov", "flv", "matroska", "mpegts"

_BOXES: Final = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx", b"pnot"))
_AHEAD: Final = frozenset((b"ftyp", b"free", b"skip", b"wide", b"styp", b"pnot"))  # and may come ahead of an index
_EBML: Final = b"\x1a\x45\xdf\xa3"
_TS_SYNC: Final = 0x47
_TS_SIZES: Final = ((188, 0), (192, 4), (204, 0))  # of a packet, and where in it the sync byte is


def sniff(head: bytes) -> str:
    """Return the libav format that reads a file which begins with `head`, or `HLS`.

    Raises:
        MediaError: it is none of those that a relay plays.
    """
    if head.removeprefix(b"\xef\xbb\xbf").startswith(b"#EXTM3U"):
        return HLS
    if head[4:8] in _BOXES:
        return MOV
    if head.startswith(b"FLV\x01"):
        return FLV
    if head.startswith(_EBML):
        return MATROSKA
    if any(_is_ts(head, size, sync) for size, sync in _TS_SIZES):
        return MPEGTS
    raise MediaError(f"the file opens {head[:16].hex()!r}; wanted MP4, FLV, Matroska, MPEG-TS or an HLS playlist")


def has_index_first(head: bytes) -> bool:
    """True if an MP4 that begins with `head` can be read from front to back: its index, or a fragment, comes first."""
    at = 0
    while len(box := head[at : at + 8]) == 8:
        if box[4:] in (b"moov", b"moof", b"sidx"):
            return True
        if box[4:] not in _AHEAD or (size := int.from_bytes(box[:4], "big")) < 8:
            return False
        at += size
    return False


def is_packed_audio(head: bytes) -> bool:
    """True for sound without a container: behind a tag with its time, as HLS wants it, or bare AAC or MP3."""
    return head.startswith(b"ID3") or (head[:1] == b"\xff" and len(head) > 1 and head[1] >= 0xE0)


def _is_ts(head: bytes, size: int, sync: int) -> bool:
    places = range(sync, min(len(head), 5 * size), size)
    return len(head) > sync and len(places) > 1 and all(head[at] == _TS_SYNC for at in places)
