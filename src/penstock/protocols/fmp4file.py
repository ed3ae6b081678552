"""Fragmented MP4 as a file: how long it is, and where one can start, told once it is whole.

The plan: a file is an init segment and fragments, one behind the other, and so it can be played up to its
last whole fragment whatever ends its writer. Its head keeps room for the length (`mehd`), which is written
into its place at the end; an index of key frames (`mfra`) follows the last fragment.

Source: ISO/IEC 14496-12:2022, sections 8.8.2 (mehd), 8.8.10 and 8.8.11 (tfra, mfro), 8.1.2 (free).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from penstock.protocols.fmp4 import Track, box, full_box, init_segment

# A full box of version 1 with 64 bits: what `free` keeps the place of.
LENGTH_SIZE: Final = 20


def file_head(tracks: Sequence[Track]) -> tuple[bytes, int]:
    """Return what opens a file of `tracks`, and where in it `length_box` goes once the length is known."""
    init = init_segment(tracks)
    # mvex is moov's last box, and mehd comes first in it.
    moov = init.index(b"moov") - 4
    mvex = init.rindex(b"mvex") - 4
    room = box(b"free", bytes(LENGTH_SIZE - 8))
    head = bytearray(init[: mvex + 8] + room + init[mvex + 8 :])
    for at in (moov, mvex):
        (size,) = struct.unpack_from(">I", head, at)
        struct.pack_into(">I", head, at, size + LENGTH_SIZE)
    return bytes(head), mvex + 8


def length_box(duration_ms: int) -> bytes:
    """Return what says how long the file is. The movie's time scale is milliseconds."""
    return full_box(b"mehd", 1, 0, struct.pack(">Q", duration_ms))


def index(track_id: int, entries: Iterable[tuple[int, int]]) -> bytes:
    """Return what ends a file: for each fragment that begins with a key frame of the track its time and offset."""
    rows = b"".join(struct.pack(">QQBBB", time, offset, 1, 1, 1) for time, offset in entries)
    tfra = full_box(b"tfra", 1, 0, struct.pack(">3I", track_id, 0, len(rows) // 19), rows)
    # The last box says how long the whole is, so that it is found from the file's end.
    mfro = full_box(b"mfro", 0, 0, struct.pack(">I", 8 + len(tfra) + 16))
    return box(b"mfra", tfra, mfro)
