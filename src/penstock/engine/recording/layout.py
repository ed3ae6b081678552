"""What the containers have in common: pieces become what is to be done to a file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from penstock.engine.recording.cutting import Piece
from penstock.engine.recording.ops import Op
from penstock.link.recording import Gap


class Progress(Struct, frozen=True):
    """How far a file is. What is told of it is what reached the disk, so each write carries this along."""

    size_bytes: int = 0
    duration_ms: int = 0
    video: str = ""
    audio: str = ""
    gaps: tuple[Gap, ...] = ()
    pieces: int = 0


class Layout(Protocol):
    """One file, as the event loop knows it: nothing here touches a disk."""

    is_folder: bool
    size_bytes: int  # once everything so far is done

    def can_hold(self, piece: Piece) -> bool:
        """False where `piece` needs a file of its own."""

    def add(self, piece: Piece, *, follows: bool) -> Sequence[Op]:
        """What writes `piece`, which `can_hold` was true for, and which is the next one if it `follows`."""

    def note_length(self, duration_ms: int) -> Sequence[Op]:
        """What tells a reader how long the file is by now; nothing where its pieces say that."""

    def finish(self, progress: Progress, *, is_whole: bool) -> Sequence[Op]:
        """What ends a file that is as far as that; not `is_whole` where a write failed before."""


class MakeLayout(Protocol):
    def __call__(self, piece: Piece, began_at: datetime) -> Layout:
        """The file that begins with `piece`."""
