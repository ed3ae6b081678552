"""What control and engine say of recordings: which streams are written to disk, and what is in the files.

::

    engine                                  control
                                      ◄───  Record, StopRecording
      RecordingTold                   ───►
      FileBegan, FileEnded            ───►
                                      ◄───  FilesNoted
                                      ◄───  Inspect, RemoveFile
      FileEnded, FileRemoved          ───►

Control says what is to be recorded, and says it again to each new engine. A file's beginning and end are
numbered, and kept by the engine until control noted them. A file whose end nobody told belongs to an engine
that died: control has it inspected, and hears what is in it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from penstock.model import StreamId


class Container(StrEnum):
    MP4 = "mp4"
    FLV = "flv"
    HLS = "hls"


class RecordingState(StrEnum):
    WAITING = "waiting"  # for a publisher
    RECORDING = "recording"  # bytes of media reach the disk
    FAILED = "failed"  # it will not go on by itself: `error` says why
    STOPPED = "stopped"


class RecordOrder(Struct, frozen=True):
    """One recording as control wants it. `id` is ours: 32 hexadecimal digits."""

    id: str
    stream: StreamId
    container: Container
    one_file: bool = False  # sessions go on in one file; else each has its own


class Gap(Struct, frozen=True):
    """A time in a file for which nothing was recorded: between two sessions, or while the disk was behind."""

    at_ms: int  # on the file's line of time
    length_ms: int
    why: str


class FileFacts(Struct, frozen=True):
    """What can be read of a file. A codec's empty name: no such track."""

    size_bytes: int
    duration_ms: int
    video: str = ""
    audio: str = ""
    gaps: tuple[Gap, ...] = ()
    is_whole: bool = True  # False: its writer died, and what came last may be missing


# Control to engine


class Record(Struct, frozen=True, tag=True):
    """Record from now on; one that is known already changes nothing."""

    order: RecordOrder


class StopRecording(Struct, frozen=True, tag=True):
    """Finish the file under way; the engine tells its end, then that the recording is stopped."""

    id: str


class Inspect(Struct, frozen=True, tag=True):
    """A file of an engine that died: what is in it? Answered by FileEnded."""

    id: str  # of the recording
    path: str  # as FileBegan told it


class RemoveFile(Struct, frozen=True, tag=True):
    """Delete a file, or a folder of HLS; answered by FileRemoved."""

    id: str
    path: str


class FilesNoted(Struct, frozen=True, tag=True):
    """Beginnings and ends of files up to `number` are written down."""

    number: int


# Engine to control


class RecordingTold(Struct, frozen=True, tag=True):
    """How a recording stands; told at each change and with the statistics."""

    id: str
    state: RecordingState
    error: str = ""
    path: str = ""  # of the file under way
    size_bytes: int = 0
    duration_ms: int = 0


class FileBegan(Struct, frozen=True, tag=True):
    """`path` is relative to the folder of recordings, with "/" between its parts."""

    number: int
    id: str
    path: str
    session: str
    at: datetime


class FileEnded(Struct, frozen=True, tag=True):
    """`facts` is None where the file cannot be read, or is gone. `why` says how it came to its end."""

    number: int
    id: str
    path: str
    at: datetime
    facts: FileFacts | None
    why: str = ""


class FileRemoved(Struct, frozen=True, tag=True):
    id: str
    path: str
    error: str = ""  # empty: it is gone
