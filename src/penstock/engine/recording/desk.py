"""Recordings as control orders them: which are under way, and what is told of them and of their files.

Beginnings and ends of files are numbered and kept until control noted them; how a recording stands is told
at each change, with the statistics if it changed, and to each control process that comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from penstock.engine.hub import Hub
from penstock.engine.recording.disk import Disk, explain
from penstock.engine.recording.folder import Folder, parts_of
from penstock.engine.recording.output import Budget, Output
from penstock.engine.recording.recorder import Recording, RecordingPolicy, Tools
from penstock.link.recording import (
    FileBegan,
    FileEnded,
    FileFacts,
    FileRemoved,
    FilesNoted,
    Inspect,
    Record,
    RecordingState,
    RecordingTold,
    RecordOrder,
    RemoveFile,
    StopRecording,
)
from penstock.model import Clock

log = logging.getLogger("penstock.engine.recording")

# Beginnings and ends that control has not written down: so many are kept, the latest ones.
MAX_UNHEARD: Final = 10_000
LEFT_BEHIND: Final = "the engine that wrote it died"

FromDesk = RecordingTold | FileBegan | FileEnded | FileRemoved
ToDesk = Record | StopRecording | Inspect | RemoveFile | FilesNoted
Send = Callable[[FromDesk], None]
# Has the file or folder at a path looked into and mended, and calls back with what is in it, or why not.
Inspector = Callable[[str, Callable[[FileFacts | None, str], None]], None]


class Place(Struct, frozen=True):
    """Where recordings go, and by whom."""

    root: Path
    writer: Disk
    remover: Disk
    inspect: Inspector


class RecordingDesk:
    """All recordings of one engine. Control may come and go; recordings go on."""

    def __init__(self, hub: Hub, place: Place, policy: RecordingPolicy, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._place = place
        self._folder = Folder(place.root)
        budget = Budget(policy.queue_bytes, policy.queue_total_bytes)
        self._tools = Tools(policy, clock, self._folder, place.writer, budget, self)
        self._recordings: dict[str, Recording] = {}
        self._again: dict[str, RecordOrder] = {}  # wanted anew while the last one is being closed
        self._last: dict[str, RecordingTold] = {}  # as it was told last
        self._inspected: set[str] = set()  # under way
        self._untold: deque[FileBegan | FileEnded] = deque(maxlen=MAX_UNHEARD)
        self._number = 0
        self._send: Send | None = None
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def ids(self) -> tuple[str, ...]:
        """What it works on."""
        return tuple(self._recordings)

    # Control's side

    def attach(self, send: Send) -> None:
        """Control is there, and hears of everything that it has not noted."""
        self._send = send
        for told in list(self._untold):
            send(told)
        self._last.clear()
        self.tell_states()

    def detach(self) -> None:
        self._send = None

    def receive(self, message: ToDesk) -> None:
        match message:
            case Record(order):
                self._record(order)
            case StopRecording(recording_id):
                self._stop(recording_id)
            case Inspect(recording_id, path):
                self._inspect(recording_id, path)
            case RemoveFile(recording_id, path):
                self._remove(recording_id, path)
            case FilesNoted(number):
                while self._untold and self._untold[0].number <= number:
                    self._untold.popleft()

    def tell_states(self) -> None:
        """Tell how recordings stand, those of which that was not said yet."""
        for recording in self._recordings.values():
            self._tell_state(recording)

    async def close(self, within_s: float) -> None:
        """Finish all files; returns when they are closed, or after `within_s`, as a disk may never answer."""
        for recording in list(self._recordings.values()):
            self._hub.unfollow(recording.stream, recording)
            recording.stop("engine stopped")
        try:
            async with asyncio.timeout(within_s):
                await self._is_empty.wait()
        except TimeoutError:
            left = len(self._recordings)
            log.warning("%d recordings are cut off: the disk did not take them within %g s", left, within_s)

    def _record(self, order: RecordOrder) -> None:
        known = self._recordings.get(order.id)
        if known is not None:
            if known.is_stopping:
                self._again[order.id] = order
            self._tell_state(known, anew=True)
            return
        recording = self._recordings[order.id] = Recording(order, self._tools)
        self._is_empty.clear()
        self._hub.follow(order.stream, recording)
        self._tell_state(recording)

    def _stop(self, recording_id: str) -> None:
        self._again.pop(recording_id, None)
        recording = self._recordings.get(recording_id)
        if recording is None:
            self._say(RecordingTold(recording_id, RecordingState.STOPPED))
            return
        self._hub.unfollow(recording.stream, recording)
        recording.stop()

    def _inspect(self, recording_id: str, path: str) -> None:
        """Have a file looked into. One that is under way here will be told of at its end."""
        if path in self._inspected or self._is_writing(path):
            return
        try:
            parts_of(path)
        except ValueError as error:
            self._tell_end(recording_id, path, None, str(error))
            return
        self._inspected.add(path)

        def done(facts: FileFacts | None, why: str) -> None:
            self._inspected.discard(path)
            self._tell_end(recording_id, path, facts, why or LEFT_BEHIND)

        self._place.inspect(path, done)

    def _remove(self, recording_id: str, path: str) -> None:
        try:
            parts_of(path)
        except ValueError as error:
            self._say(FileRemoved(recording_id, path, str(error)))
            return
        if path in self._inspected or self._is_writing(path):
            self._say(FileRemoved(recording_id, path, f"{path} is in use; stop its recording first"))
            return

        def done(result: OSError | None) -> None:
            error = explain(result, str(self._folder.root / path)) if result is not None else ""
            self._say(FileRemoved(recording_id, path, error))

        self._place.remover.put(lambda: self._folder.remove(path), done)

    def _is_writing(self, path: str) -> bool:
        return any(recording.is_writing(path) for recording in self._recordings.values())

    # What recordings tell

    def changed(self, recording: Recording) -> None:
        if recording.state == RecordingState.FAILED:
            self._hub.unfollow(recording.stream, recording)
        self._tell_state(recording)

    def file_began(self, recording: Recording, output: Output, session: str) -> None:
        log.debug("%s is recorded to %s", recording.stream, output.path, extra=_about(recording))
        self._number += 1
        self._tell(FileBegan(self._number, recording.order.id, output.path, session, output.began_at))

    def file_ended(self, recording: Recording, output: Output, facts: FileFacts | None, why: str) -> None:
        if recording.state == RecordingState.FAILED:
            log.error("the recording of %s failed: %s", recording.stream, why, extra=_about(recording))
        self._tell_end(recording.order.id, output.path, facts, why)

    def closed(self, recording: Recording) -> None:
        recording_id = recording.order.id
        self._tell_state(recording)
        del self._recordings[recording_id]
        self._last.pop(recording_id, None)
        if (order := self._again.pop(recording_id, None)) is not None:
            self._record(order)
        if not self._recordings:
            self._is_empty.set()

    # Telling

    def _tell_state(self, recording: Recording, *, anew: bool = False) -> None:
        told = recording.told
        if self._send is not None and (anew or self._last.get(told.id) != told):
            self._last[told.id] = told
            self._send(told)

    def _tell_end(self, recording_id: str, path: str, facts: FileFacts | None, why: str) -> None:
        self._number += 1
        self._tell(FileEnded(self._number, recording_id, path, self._clock.now(), facts, why))

    def _tell(self, message: FileBegan | FileEnded) -> None:
        """Send, now and to the next control process, until one says that it wrote it down."""
        self._untold.append(message)
        self._say(message)

    def _say(self, message: FromDesk) -> None:
        if self._send is not None:
            self._send(message)


def _about(recording: Recording) -> dict[str, str]:
    return {"stream": str(recording.stream)}
