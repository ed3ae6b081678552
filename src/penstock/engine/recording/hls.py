"""A recording as a folder of HLS: a playlist, init segments, and segments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from penstock.engine.recording.cutting import Piece
from penstock.engine.recording.fragments import Fragment
from penstock.engine.recording.layout import Progress
from penstock.engine.recording.mp4 import placed
from penstock.engine.recording.ops import Op, Put, Swap, size_of
from penstock.protocols import hlsfile
from penstock.protocols.fmp4 import Track, init_segment, media_segment
from penstock.protocols.hls import init_name, segment_name, target_duration

# What comes so much later than the piece before it ended does not follow from it.
BREAK_MS: Final = 1000


class HlsFolder:
    """The playlist names a segment once that is whole, and says at the end that nothing more comes."""

    is_folder = True

    def __init__(self, piece: Piece, began_at: datetime, *, longest_ms: int) -> None:
        self.size_bytes = 0
        self._base_ms = piece.start_ms
        self._began_at = began_at
        self._playlist = hlsfile.head(target_duration(longest_ms / 1000))
        self._inits: dict[tuple[Track, ...], int] = {}
        self._init = -1
        self._number = 0
        self._end_ms = piece.start_ms

    def can_hold(self, piece: Piece) -> bool:
        return True

    def add(self, piece: Piece, *, follows: bool) -> Sequence[Op]:
        assert isinstance(piece, Fragment)
        is_first = not self._number
        ops: list[Op] = []
        init = self._inits.get(piece.tracks)
        if init is None:
            init = self._inits[piece.tracks] = len(self._inits)
            ops.append(Put(init_name(init), init_segment(piece.tracks)))
        is_new = init != self._init
        is_broken = not is_first and (is_new or not follows or piece.start_ms - self._end_ms > BREAK_MS)
        number, self._number = self._number, self._number + 1
        at = self._began_at + timedelta(milliseconds=piece.start_ms - self._base_ms)
        text = hlsfile.entry(
            number,
            length_s(piece),
            init=init if is_new else None,
            is_discontinuous=is_broken,
            at=at if is_first or is_broken else None,
        )
        runs = [
            replace(run, decode_time=placed(run.decode_time, piece.track_of(run), self._base_ms)) for run in piece.runs
        ]
        ops.append(Put(segment_name(number), media_segment(number + 1, runs)))
        self.size_bytes += size_of(ops) + len(text) + (len(self._playlist) if is_first else 0)
        self._init, self._end_ms = init, piece.end_ms
        self._playlist += text
        return [*ops, self._told()]

    def note_length(self, duration_ms: int) -> Sequence[Op]:
        return ()

    def finish(self, progress: Progress, *, is_whole: bool) -> Sequence[Op]:
        if not is_whole:
            self._playlist = self._playlist_up_to(progress)
        self._playlist += hlsfile.END
        self.size_bytes = progress.size_bytes + len(hlsfile.END)
        return [self._told()]

    def _told(self) -> Swap:
        return Swap(hlsfile.PLAYLIST, self._playlist.encode("ascii"))

    def _playlist_up_to(self, progress: Progress) -> str:
        """The playlist without what was not written after all."""
        opening, entries, _ = hlsfile.read(self._playlist)
        return opening + "".join(entry.text for entry in entries[: progress.pieces])


def length_s(piece: Fragment) -> float:
    """How long a segment is: as long as its pictures, or as its sound if it has none."""
    run = piece.runs[0]
    return sum(sample.duration for sample in run.samples) / piece.track_of(run).timescale
