"""Reads fragmented MP4 back: what a file holds, and where its last whole fragment ends.

The plan: whoever has the file hands in the bytes of one box at a time: its head, then `moov` or `moof`
whole; an `mdat` is never looked into. So nothing here depends on the file's size, and each function is
bounded by the bytes that it is given: a box inside another ends where that ends, and has eight bytes at
least, so that no walk stands still.

Source: ISO/IEC 14496-12:2022, sections 4.2 (boxes), 8.4.2 (mdhd), 8.5.2 (stsd), 8.8 (fragments).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from penstock.errors import Mp4Error
from penstock.protocols.fmp4 import AAC_OBJECT_TYPE, MP3_OBJECT_TYPE

HEAD: Final = 16  # bytes of a box's head, at most
MAX_HEAD_BOX: Final = 16 * 1024 * 1024  # of a moov or moof; ours have some kilobytes
MAX_TRACKS: Final = 16
MAX_RUNS: Final = 64  # in one fragment

_CODECS: Final = {b"avc1": "avc", b"hvc1": "hevc", b"hev1": "hevc", b"av01": "av1"}
_SOUNDS: Final = {AAC_OBJECT_TYPE: "aac", MP3_OBJECT_TYPE: "mp3"}
_AUDIO_ENTRY: Final = 28  # bytes of an audio sample entry ahead of its boxes

# Flags of tfhd and trun that say which fields there are, in their order.
_TFHD_DURATION_AT: Final = ((0x01, 8), (0x02, 4))
_TRUN_FIELDS: Final = (0x100, 0x200, 0x400, 0x800)


class Box(Struct, frozen=True):
    kind: bytes
    size: int  # with its head
    head: int  # bytes of that


class ReadTrack(Struct, frozen=True):
    """A track as a file tells it; an unknown codec has its sample entry's name."""

    id: int
    is_video: bool
    codec: str
    timescale: int


class ReadRun(Struct, frozen=True):
    """One track's part of a fragment; times in the track's timescale."""

    track_id: int
    decode_time: int
    duration: int
    data_size: int


def read_head(data: bytes) -> Box:
    """Return the box that begins with `data`, which has `HEAD` bytes, or fewer at the file's end.

    Raises:
        Mp4Error: it is no box whose end is told.
    """
    if len(data) < 8:
        raise Mp4Error(f"{len(data)} bytes are left; a box has 8 at least")
    size, kind = struct.unpack_from(">I4s", data)
    head = 8
    if size == 1:
        if len(data) < HEAD:
            raise Mp4Error("a box is cut off inside its size")
        (size,), head = struct.unpack_from(">Q", data, 8), HEAD
    if size < head:
        raise Mp4Error(f"a box says that it has {size} bytes; it has {head} at least")
    return Box(kind, size, head)


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two places: kind, and where the content begins and ends."""
    while at < end:
        found = read_head(data[at : min(at + HEAD, end)])
        if found.size > end - at:
            raise Mp4Error(f"a box of {found.size} bytes does not fit into the {end - at} around it")
        yield found.kind, at + found.head, at + found.size
        at += found.size


def _inside(data: bytes, at: int, end: int, *path: bytes) -> tuple[int, int]:
    """Where the content of the first box at a path begins and ends.

    Raises:
        Mp4Error: there is none.
    """
    for kind in path:
        for found, begin, stop in _boxes(data, at, end):
            if found == kind:
                at, end = begin, stop
                break
        else:
            raise Mp4Error(f"there is no {kind.decode()}")
    return at, end


def _unpack(form: str, data: bytes, at: int, end: int) -> tuple[int, ...]:
    if at + struct.calcsize(form) > end:
        raise Mp4Error("a box is shorter than its fields")
    return struct.unpack_from(form, data, at)


# ---- moov ------------------------------------------------------------------------------------


def read_tracks(moov: bytes) -> tuple[ReadTrack, ...]:
    """Return the tracks of a whole moov box.

    Raises:
        Mp4Error: it cannot be read, or has more than any of ours.
    """
    box = read_head(moov[:HEAD])
    tracks = [
        _read_track(moov, at, end)
        for kind, at, end in _boxes(moov, box.head, min(box.size, len(moov)))
        if kind == b"trak"
    ]
    if not 1 <= len(tracks) <= MAX_TRACKS:
        raise Mp4Error(f"{len(tracks)} tracks; wanted 1 to {MAX_TRACKS}")
    return tuple(tracks)


def room_for_length(moov: bytes) -> int | None:
    """Return where in a whole moov box its length goes (`fmp4file`); None where there is no room for it."""
    box = read_head(moov[:HEAD])
    begin, end = _inside(moov, box.head, min(box.size, len(moov)), b"mvex")
    for kind, at, stop in _boxes(moov, begin, end):
        return at - 8 if kind in (b"free", b"mehd") and stop - at == 12 else None
    return None


def _read_track(data: bytes, at: int, end: int) -> ReadTrack:
    begin, stop = _inside(data, at, end, b"tkhd")
    version = _unpack(">B", data, begin, stop)[0]
    (track_id,) = _unpack(">I", data, begin + (20 if version else 12), stop)
    begin, stop = _inside(data, at, end, b"mdia", b"mdhd")
    version = _unpack(">B", data, begin, stop)[0]
    (timescale,) = _unpack(">I", data, begin + (20 if version else 12), stop)
    if not timescale:
        raise Mp4Error("a track's timescale is 0")
    begin, stop = _inside(data, at, end, b"mdia", b"hdlr")
    is_video = data[begin + 8 : min(begin + 12, stop)] == b"vide"
    begin, stop = _inside(data, at, end, b"mdia", b"minf", b"stbl", b"stsd")
    for kind, entry, entry_end in _boxes(data, begin + 8, stop):
        return ReadTrack(track_id, is_video, _codec(data, kind, entry, entry_end), timescale)
    raise Mp4Error("a track has no sample entry")


def _codec(data: bytes, kind: bytes, at: int, end: int) -> str:
    if kind != b"mp4a":
        return _CODECS.get(kind) or kind.decode("ascii", "replace")
    begin, stop = _inside(data, at + _AUDIO_ENTRY, end, b"esds")
    # ES_Descriptor, and in it DecoderConfigDescriptor, whose first byte is the object type.
    at = _descriptor(data, begin + 4, stop, 0x03) + 3
    at = _descriptor(data, at, stop, 0x04)
    return _SOUNDS.get(data[at], "mp4a") if at < stop else "mp4a"


def _descriptor(data: bytes, at: int, end: int, tag: int) -> int:
    """Where the content of the descriptor at a place begins."""
    if at >= end or data[at] != tag:
        raise Mp4Error(f"wanted a descriptor {tag:#04x}")
    for place in range(at + 1, min(at + 5, end)):
        if not data[place] & 0x80:
            return place + 1
    raise Mp4Error("a descriptor's size has no end")


# ---- moof ------------------------------------------------------------------------------------


def read_fragment(moof: bytes) -> tuple[ReadRun, ...]:
    """Return the runs of a whole moof box.

    Raises:
        Mp4Error: it cannot be read, or has more than any of ours.
    """
    box = read_head(moof[:HEAD])
    runs: list[ReadRun] = []
    for kind, at, end in _boxes(moof, box.head, min(box.size, len(moof))):
        if kind == b"traf":
            runs.append(_read_run(moof, at, end))
        if len(runs) > MAX_RUNS:
            raise Mp4Error(f"more than {MAX_RUNS} runs in a fragment")
    return tuple(runs)


def _read_run(data: bytes, at: int, end: int) -> ReadRun:
    begin, stop = _inside(data, at, end, b"tfhd")
    flags, track_id = _unpack(">II", data, begin, stop)
    default = begin + 8 + sum(size for flag, size in _TFHD_DURATION_AT if flags & flag)
    usual = _unpack(">I", data, default, stop)[0] if flags & 0x08 else 0
    begin, stop = _inside(data, at, end, b"tfdt")
    version = _unpack(">B", data, begin, stop)[0]
    (decode_time,) = _unpack(">Q" if version else ">I", data, begin + 4, stop)
    begin, stop = _inside(data, at, end, b"trun")
    flags, count = _unpack(">II", data, begin, stop)
    begin += 8 + 4 * bool(flags & 0x01) + 4 * bool(flags & 0x04)
    row = sum(bool(flags & flag) for flag in _TRUN_FIELDS)
    if count * row * 4 > stop - begin or (not row and count > 1 << 16):
        raise Mp4Error(f"{count} samples do not fit into a run of {stop - begin} bytes")
    fields = struct.unpack_from(f">{count * row}I", data, begin)
    has_duration, has_size = bool(flags & 0x100), bool(flags & 0x200)
    duration = sum(fields[::row]) if has_duration else usual * count
    return ReadRun(track_id, decode_time, duration, sum(fields[has_duration::row]) if has_size else 0)
