"""What is kept of recordings: each one asked for, and each file that came of it.

A recording is wanted until it has an end; its state is what was last seen of it. Its number is given by the
store, once, ever: people and clouds know it by that. Its id is what an engine knows it by.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from penstock.model import StreamId
from penstock.storage.rows import Row

ContainerWord = Literal["mp4", "flv", "hls"]
StateWord = Literal["planned", "waiting", "recording", "failed", "stopped", "cancelled"]


class Recording(Row, frozen=True, kw_only=True):
    """One recording: of a stream, from a time on, until it is stopped or its time is over."""

    number: int = 0  # 0: not given yet
    id: str  # 32 hexadecimal digits
    stream: StreamId
    account: str  # that owns the vhost
    push_domain: str = ""
    container: ContainerWord
    one_file: bool = False  # sessions go on in one file; else each has its own
    always: bool = False  # made by the settings of its vhost
    from_at: datetime
    until: datetime | None = None  # None: until it is stopped
    made_at: datetime
    access_key: str = ""  # that asked for it
    cloud: str = ""  # the dialect in which it was asked for
    asked: Mapping[str, str] = {}  # further words of that dialect, as they came
    state: StateWord
    error: str = ""  # why it failed last
    next_try: datetime | None = None  # of one that failed
    began_at: datetime | None = None  # when the first bytes reached the disk
    ended_at: datetime | None = None  # None: it is wanted
    why: str = ""  # it ended

    @property
    def is_wanted(self) -> bool:
        return self.ended_at is None


class RecordingNote(Row, frozen=True, kw_only=True):
    """How a recording stands by now."""

    number: int
    state: StateWord
    error: str = ""
    next_try: datetime | None = None
    began_at: datetime | None = None  # never takes a time away that is known


class RecordingQuery(Row, frozen=True, kw_only=True):
    """Recordings whose time begins with `since` <= `from_at` < `until`; a None matches everything."""

    account: str | None = None
    vhost: str | None = None
    app: str | None = None
    push_domain: str | None = None
    stream: str | None = None
    is_wanted: bool | None = None
    states: tuple[StateWord, ...] | None = None
    is_planned: bool | None = None  # asked for with a time; False: for at once, or by the settings
    since: datetime | None = None
    until: datetime | None = None
    newest_first: bool = True
    offset: int = 0
    limit: int | None = None


class Gap(Struct, frozen=True):
    """A time in a file for which nothing was recorded."""

    at_ms: int  # on the file's line of time
    length_ms: int
    why: str


class RecordedFile(Row, frozen=True, kw_only=True):
    """A file, or a folder of HLS. Facts are there once it has an end."""

    id: int = 0  # 0: not given yet
    recording: int  # its number
    path: str  # below the folder of recordings
    session: str  # that it began with
    engine: str  # that writes it
    began_at: datetime
    ended_at: datetime | None = None
    size_bytes: int = 0
    duration_ms: int = 0
    video: str = ""
    audio: str = ""
    gaps: tuple[Gap, ...] = ()
    is_whole: bool = False  # False behind its end: its writer died, and what came last may be missing
    is_lost: bool = False  # it cannot be read, or is gone without our doing
    why: str = ""  # it ended
    removed_at: datetime | None = None


class FileEnd(Row, frozen=True, kw_only=True):
    """What is known of a file at its end. A second end changes nothing, unless the first one found it lost.

    One that is lost by the word of the engine that wrote it (`by`) never was: its row goes.
    """

    recording: int
    path: str
    at: datetime
    by: str = ""
    size_bytes: int = 0
    duration_ms: int = 0
    video: str = ""
    audio: str = ""
    gaps: tuple[Gap, ...] = ()
    is_whole: bool = False
    is_lost: bool = False
    why: str = ""


class FileSum(Struct, frozen=True):
    """What a recording's files come to, those that were removed left out."""

    files: int = 0
    size_bytes: int = 0
    duration_ms: int = 0
    gaps: int = 0
