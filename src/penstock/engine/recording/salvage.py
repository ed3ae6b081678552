"""Files whose writer died: what is in them, after what was half written is cut off.

A file is gone through from its begin, box by box or tag by tag, until the first that is not whole; there it
ends. It runs in a process of its own (`workers.inspector`), with bounds of time and memory: somebody else
may have written there, and no live stream is to wait for it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from typing import Final

from penstock.engine.recording import disk
from penstock.engine.recording.folder import Folder
from penstock.errors import Mp4Error
from penstock.link.recording import FileFacts, Gap
from penstock.protocols import flv, fmp4file, fmp4reader, hlsfile
from penstock.protocols.flvbody import audio_body, video_body
from penstock.protocols.fmp4reader import HEAD, MAX_HEAD_BOX, ReadTrack

# A hole in the times that no encoder leaves by itself.
GAP_MS: Final = 1000
WHY_GAP: Final = "nothing was recorded"
MAX_GAPS: Final = 1000
MAX_PLAYLIST: Final = 64 * 1024 * 1024
MAX_FILES: Final = 1_000_000  # in a folder of HLS
WINDOW: Final = 1024 * 1024
# Of a tag's payload, what says which codec it is.
BODY_HEAD: Final = 32


def inspect(folder: Folder, path: str) -> FileFacts | None:
    """Mend what lies at `path` and return what is in it; None where that is nothing.

    Raises:
        OSError: it is gone, or cannot be read or mended.
    """
    if path.endswith((".mp4", ".flv")):
        descriptor = folder.open_file(path)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(0, "it is no file")
            return (mend_mp4 if path.endswith(".mp4") else mend_flv)(descriptor)
        finally:
            os.close(descriptor)
    descriptor = folder.open_folder(path)
    try:
        return mend_hls(descriptor)
    finally:
        os.close(descriptor)


# ---- MP4 -------------------------------------------------------------------------------------


class _Mp4:
    """What a walk through an MP4 file found: up to where it is whole, and how long that is."""

    def __init__(self, descriptor: int, tracks: tuple[ReadTrack, ...] = ()) -> None:
        self.end = 0
        self.length_ms = 0
        self.gaps: list[Gap] = []
        self.tracks = tracks
        self.length_at: int | None = None
        self.first_ms: int | None = None
        self.is_whole = False  # its index is there
        self._descriptor = descriptor
        self._ends: dict[int, int] = {}
        with contextlib.suppress(Mp4Error):
            self._walk()

    def _walk(self) -> None:
        size, at = os.fstat(self._descriptor).st_size, 0
        while at < size:
            box = fmp4reader.read_head(os.pread(self._descriptor, HEAD, at))
            # Behind the first fragment come more of them, and an index; anything else was never ours.
            expected = (b"moof", b"mfra") if self.first_ms is not None else (b"ftyp", b"moov", b"moof")
            if box.size > size - at or box.kind not in expected:
                return
            if box.kind in (b"moov", b"moof") and box.size > MAX_HEAD_BOX:
                return
            if box.kind == b"moof":
                at = self._take_fragment(os.pread(self._descriptor, box.size, at), at, size)
                continue
            if box.kind == b"moov":
                self._take_head(os.pread(self._descriptor, box.size, at), at)
            at += box.size
            self.end = at
            if box.kind == b"mfra":
                self.is_whole = True
                return

    def _take_head(self, moov: bytes, at: int) -> None:
        self.tracks = fmp4reader.read_tracks(moov)
        room = fmp4reader.room_for_length(moov)
        self.length_at = None if room is None else at + room

    def _take_fragment(self, moof: bytes, at: int, size: int) -> int:
        """Count a fragment whose data are there too; return where the next box is."""
        runs = fmp4reader.read_fragment(moof)
        behind = at + len(moof)
        data = fmp4reader.read_head(os.pread(self._descriptor, HEAD, behind))
        wanted = sum(run.data_size for run in runs)
        if data.kind != b"mdat" or data.size > size - behind or data.size < data.head + wanted:
            raise Mp4Error("a fragment without all of its data")
        scales = {track.id: track.timescale for track in self.tracks}
        starts = [run.decode_time * 1000 // scales[run.track_id] for run in runs if run.track_id in scales]
        ends = [
            -(-(run.decode_time + run.duration) * 1000 // scales[run.track_id])
            for run in runs
            if run.track_id in scales
        ]
        if starts:
            self._note(min(starts), max(ends))
        self.end = behind + data.size
        return self.end

    def _note(self, start_ms: int, end_ms: int) -> None:
        if self.first_ms is None:
            self.first_ms = start_ms
        elif start_ms - self.length_ms > GAP_MS and len(self.gaps) < MAX_GAPS:
            self.gaps.append(Gap(self.length_ms, start_ms - self.length_ms, WHY_GAP))
        self.length_ms = max(self.length_ms, end_ms)

    def codec(self, *, of_video: bool) -> str:
        return next((track.codec for track in self.tracks if track.is_video == of_video), "")


def mend_mp4(descriptor: int) -> FileFacts | None:
    """Cut an open file behind its last whole fragment, and write its length into its place."""
    found = _Mp4(descriptor)
    if found.first_ms is None:
        return None
    if found.end < os.fstat(descriptor).st_size:
        os.ftruncate(descriptor, found.end)
    if found.length_at is not None:
        os.pwrite(descriptor, fmp4file.length_box(found.length_ms), found.length_at)
    return FileFacts(
        found.end,
        found.length_ms,
        found.codec(of_video=True),
        found.codec(of_video=False),
        tuple(found.gaps),
        found.is_whole,
    )


# ---- FLV -------------------------------------------------------------------------------------


class _Flv:
    """The same for FLV. Only the tags' heads are read, by a window that moves over the file."""

    def __init__(self, descriptor: int) -> None:
        self.end = 0
        self.length_ms = -1
        self.gaps: list[Gap] = []
        self.codecs = {flv.VIDEO: "", flv.AUDIO: ""}
        self._descriptor = descriptor
        self._window, self._window_at = b"", 0
        self._walk()

    def _at(self, at: int, size: int) -> bytes:
        begin = at - self._window_at
        if begin < 0 or begin + size > len(self._window):
            self._window, self._window_at = os.pread(self._descriptor, WINDOW, at), at
            begin = 0
        return self._window[begin : begin + size]

    def _walk(self) -> None:
        size = os.fstat(self._descriptor).st_size
        opening = len(flv.file_header(audio=True, video=True))
        if self._at(0, 3) != b"FLV" or size < opening:
            return
        at = self.end = opening
        while at + flv.HEAD + flv.TAIL <= size:
            head = self._at(at, flv.HEAD + BODY_HEAD)
            kind, payload_size = head[0], int.from_bytes(head[1:4], "big")
            behind = at + flv.HEAD + payload_size + flv.TAIL
            if kind not in (flv.AUDIO, flv.VIDEO, flv.SCRIPT) or behind > size:
                return
            if self._at(behind - flv.TAIL, flv.TAIL) != (flv.HEAD + payload_size).to_bytes(4, "big"):
                return
            # What comes behind a short payload is the next tag's.
            body = head[flv.HEAD :][:payload_size]
            self._note(kind, head[7] << 24 | int.from_bytes(head[4:7], "big"), body)
            at = self.end = behind

    def _note(self, kind: int, at_ms: int, body: bytes) -> None:
        if kind == flv.SCRIPT:
            return
        found = (video_body if kind == flv.VIDEO else audio_body)(body)
        if found is None or not found.is_frame:
            return
        self.codecs[kind] = self.codecs[kind] or found.codec
        if self.length_ms >= 0 and at_ms - self.length_ms > GAP_MS and len(self.gaps) < MAX_GAPS:
            self.gaps.append(Gap(self.length_ms, at_ms - self.length_ms, WHY_GAP))
        self.length_ms = max(self.length_ms, at_ms)


def mend_flv(descriptor: int) -> FileFacts | None:
    """Cut an open file behind its last whole tag."""
    found = _Flv(descriptor)
    if found.length_ms < 0:
        return None
    if found.end < os.fstat(descriptor).st_size:
        os.ftruncate(descriptor, found.end)
    return FileFacts(
        found.end,
        found.length_ms,
        found.codecs[flv.VIDEO],
        found.codecs[flv.AUDIO],
        tuple(found.gaps),
        is_whole=False,
    )


# ---- HLS -------------------------------------------------------------------------------------


def mend_hls(folder: int) -> FileFacts | None:
    """End the playlist of an open folder behind its last whole segment, and take away what it does not name."""
    opening, entries, was_whole = hlsfile.read(_read(folder, hlsfile.PLAYLIST).decode("ascii", "replace"))
    tracks: dict[str, tuple[ReadTrack, ...]] = {}
    kept: list[hlsfile.Entry] = []
    for entry in entries:
        if entry.init not in tracks:
            tracks[entry.init] = _tracks_of(folder, entry.init)
        if not tracks[entry.init] or not _is_whole(folder, entry.name, tracks[entry.init]):
            break
        kept.append(entry)
    if not kept:
        return None
    is_whole = was_whole and len(kept) == len(entries)
    if not is_whole:
        text = opening + "".join(entry.text for entry in kept) + hlsfile.END
        disk.swap(folder, hlsfile.PLAYLIST, text.encode("ascii", "replace"))
    size = _tidy(folder, {hlsfile.PLAYLIST, *tracks, *(entry.name for entry in kept)})
    codecs = {track.is_video: track.codec for found in tracks.values() for track in found}
    length_ms, gaps = _times(kept, folder, tracks)
    return FileFacts(size, length_ms, codecs.get(True, ""), codecs.get(False, ""), gaps, is_whole)


def _times(
    entries: Sequence[hlsfile.Entry], folder: int, tracks: dict[str, tuple[ReadTrack, ...]]
) -> tuple[int, tuple[Gap, ...]]:
    """How long the segments are together, and where something is missing between them."""
    end_ms, gaps = 0, list[Gap]()
    for entry in entries:
        walk = _walk_segment(folder, entry.name, tracks[entry.init])
        start_ms = walk.first_ms or 0
        if end_ms and start_ms - end_ms > GAP_MS and len(gaps) < MAX_GAPS:
            gaps.append(Gap(end_ms, start_ms - end_ms, WHY_GAP))
        end_ms = max(end_ms, walk.length_ms)
    return end_ms, tuple(gaps)


def _read(folder: int, name: str) -> bytes:
    descriptor = _open(folder, name)
    try:
        size = os.fstat(descriptor).st_size
        if size > MAX_PLAYLIST:
            raise OSError(0, f"{name} has {size} bytes; {MAX_PLAYLIST} are read at most")
        return os.pread(descriptor, size, 0)
    finally:
        os.close(descriptor)


def _open(folder: int, name: str) -> int:
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)


def _tracks_of(folder: int, name: str) -> tuple[ReadTrack, ...]:
    return _walk_segment(folder, name, ()).tracks if name else ()


def _walk_segment(folder: int, name: str, tracks: tuple[ReadTrack, ...]) -> _Mp4:
    descriptor = _open(folder, name)
    try:
        return _Mp4(descriptor, tracks)
    finally:
        os.close(descriptor)


def _is_whole(folder: int, name: str, tracks: tuple[ReadTrack, ...]) -> bool:
    try:
        descriptor = _open(folder, name)
    except OSError:
        return False
    try:
        found = _Mp4(descriptor, tracks)
        return found.first_ms is not None and found.end == os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _tidy(folder: int, named: set[str]) -> int:
    """Take away what no playlist names; return the size of the rest."""
    size = 0
    for name in os.listdir(folder)[:MAX_FILES]:
        if name in named:
            size += os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
        else:
            os.unlink(name, dir_fd=folder)
    return size
