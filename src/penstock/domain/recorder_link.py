"""What control and engine say of recordings, from control's end; see `link.recording` for the words.

Each new engine hears what is wanted, and what is not wanted any more. Files that it tells of are written down
before it may forget them; those of an engine that died are looked into by the one that came after it.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

import msgspec

from penstock.domain import recordings
from penstock.domain.live import Live
from penstock.domain.recordingtable import Wanted
from penstock.link.channel import Channel
from penstock.link.messages import Hello
from penstock.link.recording import (
    FileBegan,
    FileEnded,
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
from penstock.storage.base import Records
from penstock.storage.recordings import FileEnd, Gap, RecordedFile, RecordingNote

log = logging.getLogger("penstock.recordings")

T = TypeVar("T")

# A file is finished, or gone, within milliseconds; a disk that is slower must not hold the caller.
ANSWER_TIMEOUT_S: Final = 5.0
# A recording that failed is tried again after so long, then after twice of it each time.
FIRST_WAIT: Final = timedelta(seconds=5)
LONGEST_WAIT: Final = timedelta(minutes=5)

Told = RecordingTold | FileBegan | FileEnded | FileRemoved


class RecorderLink:
    """Implements `domain.live.Recorder` on whichever engine is connected."""

    def __init__(self) -> None:
        self._channel: Channel | None = None  # of an engine that has said Hello
        self._engine = ""
        self._is_keeping = True  # so far, all that this connection told was written down
        self._working: set[str] = set()  # ids that the engine was told to record, and has not stopped
        self._stops: dict[str, asyncio.Future[None]] = {}
        self._removals: dict[tuple[str, str], asyncio.Future[bool]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # What actions ask

    def record(self, order: RecordOrder) -> None:
        if self._channel is not None:
            self._working.add(order.id)
            self._channel.send(Record(order))

    async def stop(self, id: str) -> None:
        if self._channel is None or id not in self._working:
            return
        stopped = self._stops.setdefault(id, asyncio.get_running_loop().create_future())
        self._channel.send(StopRecording(id))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await asyncio.shield(stopped)
        except TimeoutError:
            log.warning("recording %s: the engine has not finished its file within %g s", id, ANSWER_TIMEOUT_S)

    def begin_anew(self, order: RecordOrder) -> None:
        if self._channel is not None:
            self._channel.send(StopRecording(order.id))
            self.record(order)

    async def remove(self, id: str, path: str) -> bool:
        if self._channel is None:
            return False
        removed = self._removals.setdefault((id, path), asyncio.get_running_loop().create_future())
        self._channel.send(RemoveFile(id, path))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await asyncio.shield(removed)
        except TimeoutError:
            return False

    # What an engine tells

    def greet(self, live: Live, hello: Hello, channel: Channel) -> None:
        """An engine is there, and works on the recordings that it named."""
        self._channel, self._engine, self._is_keeping = channel, hello.engine, True
        self._working = set(hello.recordings)
        wanted = {each.row.id for each in live.recordings if each.row.state != "planned"}
        for id in self._working - wanted:
            channel.send(StopRecording(id))
        task = asyncio.create_task(self._resume(live, channel))
        self._tasks.add(task)
        task.add_done_callback(self._resumed)

    async def _resume(self, live: Live, channel: Channel) -> None:
        """Have the files looked into whose engine is gone, then what is wanted recorded."""
        await live.journal.written()
        for file in await live.store.open_files():
            row = await live.store.find_recording(file.recording)
            if row is not None and file.engine != self._engine and channel is self._channel:
                channel.send(Inspect(row.id, file.path))
        if channel is self._channel:
            for each in live.recordings:
                if each.row.state != "planned":
                    self.record(recordings.order_of(each.row))

    def _resumed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("what is wanted could not be said to the engine", exc_info=error)

    def lose(self, live: Live) -> None:
        """The engine is gone, and with it all that it was doing."""
        self._channel = None
        self._working.clear()
        for stopped in self._stops.values():
            _settle(stopped, None)
        for removed in self._removals.values():
            _settle(removed, False)
        self._stops.clear()
        self._removals.clear()
        for wanted in live.recordings:
            wanted.forget_progress()
            if wanted.row.state not in ("planned", "waiting"):
                recordings.note(live, wanted, RecordingNote(number=wanted.row.number, state="waiting"))

    def receive(self, live: Live, told: Told) -> None:
        match told:
            case RecordingTold():
                self._stand(live, told)
            case FileBegan():
                self._begin_file(live, told)
            case FileEnded():
                self._end_file(live, told)
            case FileRemoved():
                self._remove_file(live, told)

    def _stand(self, live: Live, told: RecordingTold) -> None:
        if told.state is RecordingState.STOPPED:
            self._stopped(told.id)
            return
        wanted = live.recordings.of_id(told.id)
        if wanted is None:
            return  # it was stopped, and this was under way
        _take_progress(live, wanted, told)
        match told.state:
            case RecordingState.RECORDING:
                _recording(live, wanted, told.error)
            case RecordingState.WAITING if wanted.row.state != "waiting" or wanted.row.error != told.error:
                wanted.recorded_since_s = None
                recordings.note(
                    live, wanted, RecordingNote(number=wanted.row.number, state="waiting", error=told.error)
                )
            case RecordingState.FAILED if wanted.row.state != "failed" or wanted.row.error != told.error:
                _failed(live, wanted, told.error)

    def _stopped(self, id: str) -> None:
        if id in self._stops:
            self._working.discard(id)
            _settle(self._stops.pop(id), None)

    # Files

    def _begin_file(self, live: Live, told: FileBegan) -> None:
        at = live.clock.at(told.at)
        written = live.journal.put(partial(_write_begin, told, at, self._engine))
        self._note(written, told.number)

    def _end_file(self, live: Live, told: FileEnded) -> None:
        wanted = live.recordings.of_id(told.id)
        if wanted is not None and wanted.path == told.path:
            wanted.forget_progress()
        if told.facts is None and (wanted is None or wanted.row.state != "failed"):
            log.warning("%s cannot be read: %s", told.path, told.why or "nobody knows why")
        written = live.journal.put(partial(_write_end, told, live.clock.at(told.at), self._engine))
        self._note(written, told.number)

    def _remove_file(self, live: Live, told: FileRemoved) -> None:
        if told.error:
            log.error("%s could not be removed: %s", told.path, told.error)
        else:
            live.journal.put(partial(_write_removal, told, live.clock.now()))
        removed = self._removals.pop((told.id, told.path), None)
        if removed is not None:
            _settle(removed, not told.error)

    def _note(self, written: asyncio.Future[bool], number: int) -> None:
        """Tell the engine once it is durable that it may forget: as `EngineLink` does with ends."""
        channel = self._channel

        def tell(written: asyncio.Future[bool]) -> None:
            if channel is None or channel is not self._channel:
                return
            self._is_keeping = self._is_keeping and not written.cancelled() and written.result()
            if self._is_keeping:
                channel.send(FilesNoted(number))

        written.add_done_callback(tell)


def _take_progress(live: Live, wanted: Wanted, told: RecordingTold) -> None:
    before = wanted.size_bytes if told.path == wanted.path else 0
    live.recordings.bytes_written += max(0, told.size_bytes - before)
    wanted.path, wanted.size_bytes, wanted.duration_ms = told.path, told.size_bytes, told.duration_ms


def _recording(live: Live, wanted: Wanted, lack: str) -> None:
    """Bytes flow; `lack` says what of the stream cannot be put into the file."""
    now_s = live.clock.monotonic()
    if wanted.row.state == "recording" and wanted.row.error == lack:
        if wanted.recorded_since_s is not None and now_s - wanted.recorded_since_s > LONGEST_WAIT.total_seconds():
            wanted.failures = 0
        return
    wanted.recorded_since_s = now_s
    row = wanted.row
    recordings.note(
        live, wanted, RecordingNote(number=row.number, state="recording", error=lack, began_at=live.clock.now())
    )
    log.info("%s is being recorded, recording %d", row.stream, row.number, extra=_about(wanted))


def _failed(live: Live, wanted: Wanted, error: str) -> None:
    wait = min(FIRST_WAIT * 2 ** min(wanted.failures, 10), LONGEST_WAIT)
    wanted.failures += 1
    wanted.forget_progress()
    live.tallies.recordings_failed += 1
    number, next_try = wanted.row.number, live.clock.now() + wait
    recordings.note(live, wanted, RecordingNote(number=number, state="failed", error=error, next_try=next_try))
    said = "recording %d of %s failed: %s; it is tried again in %g s"
    log.error(said, number, wanted.row.stream, error, wait.total_seconds(), extra=_about(wanted))


def _about(wanted: Wanted) -> dict[str, str]:
    return {"stream": str(wanted.row.stream), "recording": str(wanted.row.number)}


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


async def _write_begin(told: FileBegan, at: datetime, engine: str, store: Records) -> None:
    row = await store.recording_of(told.id)
    if row is not None:
        await store.begin_file(
            RecordedFile(recording=row.number, path=told.path, session=told.session, engine=engine, began_at=at)
        )


async def _write_end(told: FileEnded, at: datetime, engine: str, store: Records) -> None:
    row = await store.recording_of(told.id)
    if row is None:
        return
    end = FileEnd(recording=row.number, path=told.path, at=at, by=engine, is_lost=told.facts is None, why=told.why)
    if (facts := told.facts) is not None:
        end = msgspec.structs.replace(
            end,
            size_bytes=facts.size_bytes,
            duration_ms=facts.duration_ms,
            video=facts.video,
            audio=facts.audio,
            gaps=tuple(Gap(gap.at_ms, gap.length_ms, gap.why) for gap in facts.gaps),
            is_whole=facts.is_whole,
        )
    await store.end_file(end)


async def _write_removal(told: FileRemoved, at: datetime, store: Records) -> None:
    row = await store.recording_of(told.id)
    if row is not None:
        await store.remove_file(row.number, told.path, at)
