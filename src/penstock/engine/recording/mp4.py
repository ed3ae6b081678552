"""A recording as one file of fragmented MP4."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from penstock.engine.recording.cutting import Piece
from penstock.engine.recording.fragments import Fragment
from penstock.engine.recording.layout import Progress
from penstock.engine.recording.ops import Append, Op, Patch, size_of
from penstock.protocols import fmp4file
from penstock.protocols.fmp4 import Run, Track, VideoTrack, media_segment


class Mp4File:
    """Head and fragments; at the end its length, and an index of key frames.

    What its tracks are stands in the head alone, so a piece with another setup needs another file.
    """

    is_folder = False

    def __init__(self, piece: Piece, _began_at: datetime) -> None:
        assert isinstance(piece, Fragment)
        self.size_bytes = 0
        self._tracks = piece.tracks
        self._base_ms = piece.start_ms
        self._head, self._length_at = fmp4file.file_head(piece.tracks)
        self._number = 0
        # Two arrays of numbers, as a day has 86,400 of them.
        self._key_times, self._key_offsets = array("Q"), array("Q")

    def can_hold(self, piece: Piece) -> bool:
        assert isinstance(piece, Fragment)
        return all(track in self._tracks for track in piece.tracks)

    def add(self, piece: Piece, *, follows: bool) -> Sequence[Op]:
        assert isinstance(piece, Fragment)
        head, self._head = self._head, b""
        runs = [self._placed(piece, run) for run in piece.runs]
        if piece.is_start:
            first = runs[0]
            if first.track_id == 1:
                self._key_times.append(first.decode_time)
                self._key_offsets.append(self.size_bytes + len(head))
        self._number += 1
        ops = [Append(head + media_segment(self._number, runs))]
        self.size_bytes += size_of(ops)
        return ops

    def note_length(self, duration_ms: int) -> Sequence[Op]:
        return [Patch(self._length_at, fmp4file.length_box(duration_ms))]

    def finish(self, progress: Progress, *, is_whole: bool) -> Sequence[Op]:
        length = self.note_length(progress.duration_ms)
        if not is_whole:
            return length
        last = Append(fmp4file.index(1, zip(self._key_times, self._key_offsets, strict=True)))
        self.size_bytes += len(last.data)
        return [*length, last]

    def _placed(self, piece: Fragment, run: Run) -> Run:
        """A run on the file's own line of time, and of the file's own track."""
        track = piece.track_of(run)
        return replace(
            run, track_id=self._tracks.index(track) + 1, decode_time=placed(run.decode_time, track, self._base_ms)
        )


def placed(decode_time: int, track: Track, base_ms: int) -> int:
    """A time of a track's, counted from where a file begins. Sound that came late for that is at its begin."""
    scale = track.timescale
    assert not isinstance(track, VideoTrack) or scale % 1000 == 0
    return max(0, decode_time - base_ms * scale // 1000)
