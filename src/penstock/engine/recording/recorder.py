"""One recording: a reader of a stream's packets, from session to session, and the file that they go into.

============  ==================================  ======================================================
state         becomes                             when
============  ==================================  ======================================================
waiting       recording                           bytes of media reached the disk
recording     waiting                             the session ended: publisher gone, kicked, banned
any           failed                              the disk did not take something, or a fault of our own; the
                                                  stream goes on
any           stopped                             by command, or with the engine; told once files are closed
============  ==================================  ======================================================
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from msgspec import Struct

from penstock.engine.recording.cutting import Cutter, Piece
from penstock.engine.recording.disk import Disk
from penstock.engine.recording.flv import FlvFile
from penstock.engine.recording.folder import Folder
from penstock.engine.recording.fragments import Fragmenter
from penstock.engine.recording.hls import HlsFolder
from penstock.engine.recording.layout import Layout
from penstock.engine.recording.mp4 import Mp4File
from penstock.engine.recording.output import Budget, Outcome, Output
from penstock.engine.recording.tags import Tagger
from penstock.link.messages import Lease
from penstock.link.recording import Container, FileFacts, RecordingState, RecordingTold, RecordOrder
from penstock.model import Clock, MediaPacket, StreamId

NO_PUBLISHER: Final = "nobody published"
STOPPED: Final = "stopped"
FAULT: Final = "a fault in the server, which its log tells of; the stream goes on"
OTHER_SETUP: Final = "the codecs' setup changed"
# Two sessions in one file stay apart by a frame at 25 a second, at least.
SESSION_GAP_MS: Final = 40


class RecordingPolicy(Struct, frozen=True):
    fragment_ms: int = 1000  # of MP4 and FLV: what a killed process loses at most
    segment_ms: int = 8000  # the longest of HLS; the same for that
    queue_bytes: int = 16 * 1024 * 1024  # of one recording that wait for the disk
    queue_total_bytes: int = 256 * 1024 * 1024
    reserve_bytes: int = 0  # of the disk, that stay free


class Listener(Protocol):
    """Hears what becomes of a recording."""

    def changed(self, recording: Recording) -> None: ...
    def file_began(self, recording: Recording, output: Output, session: str) -> None: ...
    def file_ended(self, recording: Recording, output: Output, facts: FileFacts | None, why: str) -> None: ...
    def closed(self, recording: Recording) -> None:
        """It was stopped, and its last file is closed."""


class Tools(Struct, frozen=True):
    """What all recordings of an engine share."""

    policy: RecordingPolicy
    clock: Clock
    folder: Folder
    disk: Disk
    budget: Budget
    listener: Listener


class Recording:
    """Follows a stream (`engine.following.Follower`), whether or not somebody publishes it."""

    def __init__(self, order: RecordOrder, tools: Tools) -> None:
        self.order = order
        self.state = RecordingState.WAITING
        self.error = ""
        self._tools = tools
        self._cutter = _cutter(order.container, tools.policy, self._put)
        self._session = ""
        self._output: Output | None = None
        self._ending: dict[Output, str] = {}  # closed by us, not yet by the disk: why
        self.is_stopping = False
        # The recording's own line of time, over all sessions.
        self._shift_ms: int | None = None  # from the stream's line to it; None until a session's first frame
        self._end_ms = 0
        self._ended_s = 0.0
        self._gap_why = ""
        self._taken: Sequence[MediaPacket] = ()

    @property
    def stream(self) -> StreamId:
        return self.order.stream

    @property
    def told(self) -> RecordingTold:
        output = self._output
        if output is None:
            return RecordingTold(self.order.id, self.state, self.error or self._note)
        done = output.progress
        return RecordingTold(
            self.order.id, self.state, self.error or self._note, output.path, done.size_bytes, done.duration_ms
        )

    @property
    def _note(self) -> str:
        """What the file will lack, for as long as the session goes on."""
        left_out = ", ".join(sorted(self._cutter.left_out))
        return f"{left_out} cannot be put into {self.order.container}; record as flv" if left_out else ""

    def is_writing(self, path: str) -> bool:
        """True while the file or folder at `path` is open here."""
        return any(output.path == path for output in (self._output, *self._ending) if output is not None)

    # What the stream tells

    def session_began(self, lease: Lease) -> None:
        self._session = lease.session
        self._shift_ms = None

    def take(self, packets: Sequence[MediaPacket]) -> None:
        self._taken = packets
        for packet in packets:
            if self._shift_ms is None and not packet.is_header:
                self._shift_ms = self._begin_ms() - packet.dts_ms
            self._cutter.take(self._moved(packet))
            if not packet.is_header:
                self._end_ms = max(self._end_ms, packet.dts_ms + (self._shift_ms or 0))

    def session_ended(self, why: str) -> None:
        self._cutter.pause()
        self._ended_s = self._tools.clock.monotonic()
        self._session = ""
        if self._output is not None:
            if self.order.one_file:
                self._output.note_length()
                self._gap_why = NO_PUBLISHER
            else:
                self._end_file(why)
        if self.state == RecordingState.RECORDING:
            self.state = RecordingState.WAITING
        self._tools.listener.changed(self)

    def failed(self) -> None:
        """A fault of our own, in here: what was cut before it is a file."""
        self.error = self.error or FAULT
        self._session = ""
        if not self.is_stopping:
            self.state = RecordingState.FAILED
        self._tools.listener.changed(self)
        self._end_file(FAULT)

    def stop(self, why: str = STOPPED) -> None:
        """Finish what is under way; the listener hears `closed` once the disk has all of it."""
        if self.is_stopping:
            return
        if self._session:
            self._cutter.pause()
        self.is_stopping = True
        self._end_file(why)
        self._close_when_done()

    def _begin_ms(self) -> int:
        """Where a session begins on the recording's line: behind the last one, by the time that passed."""
        if not self._ended_s:
            return 0
        pause_ms = int((self._tools.clock.monotonic() - self._ended_s) * 1000)
        return self._end_ms + max(SESSION_GAP_MS, pause_ms)

    def _moved(self, packet: MediaPacket) -> MediaPacket:
        # Headers ahead of the first frame stand where that will: at the line's end.
        at_ms = packet.dts_ms + self._shift_ms if self._shift_ms is not None else self._end_ms
        return MediaPacket(packet.kind, at_ms, packet.is_key, packet.is_header, packet.tag)

    # Files

    def _put(self, piece: Piece) -> None:
        """A piece is cut; it goes into the file under way, or into a new one."""
        if self.is_stopping or self.state == RecordingState.FAILED:
            return
        if self._output is not None and not self._output.can_hold(piece):
            self._end_file(OTHER_SETUP)
        gap_why, self._gap_why = self._gap_why, ""
        if self._output is None:
            self._output, gap_why = self._begin_file(piece), ""
        self._output.add(piece, gap_why)

    def _begin_file(self, piece: Piece) -> Output:
        tools = self._tools
        began_at = tools.clock.now() - timedelta(milliseconds=max(0, self._newest_ms() - piece.start_ms))
        output = Output(
            self._new_path(began_at),
            _layout(self.order.container, tools.policy, piece, began_at),
            began_at,
            piece.start_ms,
            folder=tools.folder,
            disk=tools.disk,
            budget=tools.budget,
            reserve_bytes=tools.policy.reserve_bytes,
            on_progress=self._on_progress,
            on_error=self._on_error,
            on_end=self._on_end,
        )
        # Said before there is a byte on the disk: a file that nobody knows of would stay for ever.
        tools.listener.file_began(self, output, self._session)
        return output

    def _newest_ms(self) -> int:
        """The last frame that has just come, on our line; those before it may have waited in a cache."""
        times = [packet.dts_ms for packet in self._taken if not packet.is_header]
        return max(times) + (self._shift_ms or 0) if times else self._end_ms

    def _new_path(self, at: datetime) -> str:
        stream, container = self.stream, self.order.container
        suffix = "" if container == Container.HLS else f".{container}"
        name = f"{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}{suffix}"
        return f"{stream.vhost}/{stream.app}/{stream.stream}/{name}"

    def _end_file(self, why: str) -> None:
        output, self._output = self._output, None
        if output is not None:
            self._ending[output] = why
            output.end()

    # What becomes of them

    def _on_progress(self, output: Output) -> None:
        if output is self._output and self._session and self.state == RecordingState.WAITING:
            self.state = RecordingState.RECORDING
            self._tools.listener.changed(self)

    def _on_error(self, output: Output, error: str) -> None:
        self.error = self.error or error
        self._ending.setdefault(output, error)
        if output is self._output:
            self._output = None
        if not self.is_stopping:
            self.state = RecordingState.FAILED
        self._tools.listener.changed(self)

    def _on_end(self, output: Output, outcome: Outcome) -> None:
        why = outcome.error or self._ending.get(output, "")
        done = outcome.progress
        facts = None
        if done.pieces:
            facts = FileFacts(done.size_bytes, done.duration_ms, done.video, done.audio, done.gaps)
        self._ending.pop(output, None)
        self._tools.listener.file_ended(self, output, facts, why)
        self._close_when_done()

    def _close_when_done(self) -> None:
        if self.is_stopping and not self._ending and self.state != RecordingState.STOPPED:
            self.state = RecordingState.STOPPED
            self._tools.listener.closed(self)


def _cutter(container: Container, policy: RecordingPolicy, put: Callable[[Piece], None]) -> Cutter:
    if container == Container.FLV:
        return Tagger(policy.fragment_ms, put)
    return Fragmenter(policy.segment_ms if container == Container.HLS else policy.fragment_ms, put)


def _layout(container: Container, policy: RecordingPolicy, piece: Piece, began_at: datetime) -> Layout:
    make: Callable[[Piece, datetime], Layout]
    match container:
        case Container.MP4:
            make = Mp4File
        case Container.FLV:
            make = FlvFile
        case Container.HLS:
            make = partial(HlsFolder, longest_ms=policy.segment_ms)
    return make(piece, began_at)
