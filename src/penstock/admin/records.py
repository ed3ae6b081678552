"""Recordings and their files."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from penstock.admin.contract import Ask, Named, OptionalName, Result, StreamName
from penstock.admin.streams import Domain, Rows, Seconds, Time

RecordingId = Annotated[int, Meta(ge=1, le=9_223_372_036_854_775_807)]
Container = Literal["mp4", "flv", "hls"]
State = Literal["planned", "waiting", "recording", "failed", "stopped", "cancelled"]


class Recording(Named, frozen=True, kw_only=True):
    """One recording. It is `recording` only while bytes flow; sums are of the files that are there."""

    number: int = field(name="id")
    account: str
    state: State
    error: str  # why it failed last, or what of the stream the file lacks
    next_try: datetime | None  # of one that failed
    container: Container
    one_file: bool
    always: bool  # the settings want it
    from_at: datetime
    until: datetime | None  # null: until it is stopped
    began_at: datetime | None  # when the first bytes were on the disk
    ended_at: datetime | None
    why: str  # it ended
    cloud: str  # the dialect in which it was asked for; "": the admin socket, or the settings
    access_key: str
    files: int
    size_bytes: int
    duration_s: float
    gaps: int


class Gap(Struct, frozen=True, kw_only=True):
    """A time in a file for which nothing was recorded."""

    at_s: float
    length_s: float
    why: str


class File(Struct, frozen=True, kw_only=True):
    """A file, or a folder of HLS."""

    id: int
    path: str  # on the server
    url: str  # signed, for a day; "" where there is nothing to read any more
    began_at: datetime
    ended_at: datetime | None  # null: it is being written
    size_bytes: int
    duration_s: float
    video: str
    audio: str
    gaps: list[Gap]
    is_whole: bool  # false behind its end: its writer died, and its last moment may be missing
    is_lost: bool  # it cannot be read, or is gone
    why: str  # it ended
    removed_at: datetime | None


class Recordings(Result, frozen=True):
    """The latest start first."""

    recordings: list[Recording]
    total: int  # of all that there are


class ListRecords(Ask[Recordings], frozen=True):
    """Tell which recordings are planned or under way; with `over` those that are over, too."""

    verb = "records.ls"

    vhost: OptionalName = ""
    account: OptionalName = ""
    stream: OptionalName = ""
    over: bool = False
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Rows = 1000


class Started(Result, frozen=True):
    """It is wanted from now on."""

    recording: Recording


class StartRecord(Ask[Started], frozen=True):
    """Record a stream, from now or from a time on; one that is not on air is waited for."""

    verb = "records.start"

    stream: StreamName
    container: Container = "mp4"
    one_file: bool = False  # a publisher that comes back goes on in the same file
    from_at: Time | None = None
    from_s: Seconds | None = None  # from now; instead of `from_at`
    until: Time | None = None
    for_s: Seconds | None = None  # from its start; instead of `until`
    push_domain: Domain = ""


class Stopped(Result, frozen=True):
    """Its last file is finished; one whose time had not come is cancelled."""

    recording: Recording


class StopRecord(Ask[Stopped], frozen=True):
    """End a recording."""

    verb = "records.stop"

    id: RecordingId


class RecordShown(Result, frozen=True):
    """A recording with its files, removed ones too."""

    recording: Recording
    files: list[File]


class ShowRecord(Ask[RecordShown], frozen=True):
    """Tell everything that is known of one recording."""

    verb = "records.show"

    id: RecordingId


class Removed(Result, frozen=True):
    """How many files are gone from the disk, and their bytes."""

    files: int
    size_bytes: int


class RemoveRecord(Ask[Removed], frozen=True):
    """Delete the files of a recording that is over, or one of its files."""

    verb = "records.rm"

    id: RecordingId
    file: RecordingId | None = None


class Urls(Result, frozen=True):
    """A signed URL for each file that can be read, the oldest first."""

    urls: list[str]


class MakeUrls(Ask[Urls], frozen=True):
    """Make signed URLs for the files of a recording; `for_s` is a day if it is left out, and a week at most."""

    verb = "records.url"

    id: RecordingId
    file: RecordingId | None = None
    for_s: Seconds | None = None
