"""A file under way, on the event loop's side: what waits for the disk, what reached it, what is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from penstock.engine.recording import disk as disks
from penstock.engine.recording.cutting import Piece
from penstock.engine.recording.disk import Disk, Target, explain
from penstock.engine.recording.folder import Folder
from penstock.engine.recording.layout import Layout, Progress
from penstock.engine.recording.ops import Op, size_of
from penstock.link.recording import Gap

log = logging.getLogger("penstock.engine.recording")

BEHIND: Final = "the disk was behind"
# What a job costs beside its bytes: endless tiny ones have a bound too.
JOB_COST: Final = 1024
# A file of more gaps than these tells of the longest line it can: the last one grows.
MAX_GAPS: Final = 1000


class Budget:
    """What may wait for the disk, of one recording and of all together."""

    def __init__(self, each_bytes: int, total_bytes: int) -> None:
        self.bytes = 0
        self._each_bytes = each_bytes
        self._total_bytes = total_bytes

    def has_room(self, waiting: int, more: int) -> bool:
        """May so much more wait where `waiting` bytes wait already? One job always may, whatever its size."""
        if not waiting:
            return True
        return waiting + more <= self._each_bytes and self.bytes + more <= self._total_bytes

    def is_at_ease(self, waiting: int) -> bool:
        """True once the disk caught up so far that it makes sense to go on."""
        return waiting <= self._each_bytes // 2 and self.bytes <= self._total_bytes


class Outcome(Struct, frozen=True):
    """How a file ended. `error` is empty where it ended in order."""

    progress: Progress
    error: str


class Output:
    """One file. What is added is written, or is a gap; `on_end` comes once, last."""

    def __init__(
        self,
        path: str,
        layout: Layout,
        began_at: datetime,
        base_ms: int,
        *,
        folder: Folder,
        disk: Disk,
        budget: Budget,
        reserve_bytes: int,
        on_progress: Callable[[Output], None],
        on_error: Callable[[Output, str], None],
        on_end: Callable[[Output, Outcome], None],
    ) -> None:
        self.path = path
        self.began_at = began_at
        self.progress = Progress()  # what reached the disk
        self.error = ""
        self.is_ending = False
        self._layout = layout
        self._base_ms = base_ms
        self._end_ms = base_ms  # of what was handed to the disk
        self._asked = Progress()  # what the disk has once all is done
        self._lost_until_ms: int | None = None  # while pieces are left out
        self._waiting = 0
        self._target: Target | None = None
        self._folder, self._disk, self._budget = folder, disk, budget
        self._whole_path = str(folder.root / path)
        self._on_progress, self._on_error, self._on_end = on_progress, on_error, on_end
        work = partial(disks.make_target, folder, path, is_folder=layout.is_folder, reserve_bytes=reserve_bytes)
        disk.put(lambda: self._take(work()), self._on_made)

    def can_hold(self, piece: Piece) -> bool:
        return self._layout.can_hold(piece)

    def add(self, piece: Piece, gap_why: str = "") -> None:
        """Write `piece`, or leave it out while the disk is behind. `gap_why` names a pause before it."""
        if self.error or self.is_ending:
            return
        is_behind = self._lost_until_ms is not None
        if is_behind and not (piece.is_start and self._budget.is_at_ease(self._waiting)):
            self._lose(piece)
            return
        if not is_behind and not self._budget.has_room(self._waiting, JOB_COST):
            self._lose(piece)
            return
        self._note_gap(piece.start_ms, BEHIND if is_behind else gap_why)
        self._lost_until_ms = None
        ops = self._layout.add(piece, follows=not is_behind and not gap_why)
        self._end_ms = max(self._end_ms, piece.end_ms)
        asked = self._asked
        self._asked = Progress(
            self._layout.size_bytes,
            self._end_ms - self._base_ms,
            asked.video or piece.video,
            asked.audio or piece.audio,
            asked.gaps,
            asked.pieces + 1,
        )
        self._put(ops, self._asked)

    def note_length(self) -> None:
        """A session is over and the file goes on: whoever reads it meanwhile is to know how long it is."""
        ops = self._layout.note_length(self._asked.duration_ms)
        if ops and self._asked.pieces and not self.error:
            self._put(ops, self._asked)

    def end(self) -> None:
        """Finish and close it."""
        if self.is_ending:
            return
        self.is_ending = True
        if self._lost_until_ms is not None:
            self._note_gap(self._lost_until_ms, BEHIND)
        if not self.error:
            self._finish(self._asked)

    # Gaps

    def _lose(self, piece: Piece) -> None:
        self._lost_until_ms = max(self._lost_until_ms or 0, piece.end_ms)

    def _note_gap(self, until_ms: int, why: str) -> None:
        if not why or until_ms <= self._end_ms:
            return
        gaps = self._asked.gaps
        gap = Gap(self._end_ms - self._base_ms, until_ms - self._end_ms, why)
        if len(gaps) >= MAX_GAPS:
            first = gaps[-1].at_ms
            gaps, gap = gaps[:-1], Gap(first, gap.at_ms + gap.length_ms - first, why)
        self._asked = replace(self._asked, gaps=(*gaps, gap))

    # The disk's side

    def _take(self, target: Target) -> None:
        """In the writing thread, which alone uses it from here on."""
        self._target = target

    def _put(self, ops: Sequence[Op], asked: Progress) -> None:
        size = size_of(ops) + JOB_COST
        self._waiting += size
        self._budget.bytes += size

        def work() -> bool:
            target = self._target
            if target is None or target.is_broken:
                return False
            target.do(ops)
            return True

        self._disk.put(work, partial(self._on_done, size, asked))

    def _on_made(self, made: OSError | None) -> None:
        if made is not None:
            self._fail(made)

    def _on_done(self, size: int, asked: Progress, done: bool | OSError) -> None:
        self._waiting -= size
        self._budget.bytes -= size
        if isinstance(done, OSError):
            self._fail(done)
        elif done:
            self.progress = asked
            self._on_progress(self)

    def _fail(self, error: OSError) -> None:
        if self.error:
            return
        self.error = explain(error, self._whole_path)
        if not self.is_ending:
            self.is_ending = True
            self._finish(self.progress)
        self._on_error(self, self.error)

    def _finish(self, progress: Progress) -> None:
        """Have the thread do the last of it; `on_end` follows."""
        is_whole = not self.error
        ops = self._last_words(progress, is_whole=is_whole)
        size_bytes = self._layout.size_bytes if is_whole else progress.size_bytes

        def work() -> bool:
            target = self._target
            if target is not None and is_whole and target.is_broken:
                return False  # what came before failed meanwhile, and so these are the wrong last words
            self._target = None
            if target is not None:
                disks.finish(target, ops)
                if not progress.pieces:
                    self._folder.remove(self.path)
            return True

        self._disk.put(work, partial(self._on_finished, replace(progress, size_bytes=size_bytes)))

    def _last_words(self, progress: Progress, *, is_whole: bool) -> Sequence[Op]:
        try:
            return self._layout.finish(progress, is_whole=is_whole) if progress.pieces else ()
        except Exception:  # no reason to leave the file open: it is as a killed engine would have left it
            log.exception("a fault of our own at the end of %s", self.path)
            return ()

    def _on_finished(self, progress: Progress, done: bool | OSError) -> None:
        if isinstance(done, OSError):
            self.error = self.error or explain(done, self._whole_path)
        elif not done:
            self._finish(self.progress)  # `error` is set: its write was told of before
            return
        self.progress = progress
        self._on_end(self, Outcome(progress, self.error))
