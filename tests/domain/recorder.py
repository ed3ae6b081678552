"""Control with an engine that records what the test says it does."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from penstock.domain.recordings import Plan
from penstock.link.messages import VERSION, Hello, OnAir, Welcome
from penstock.link.recording import (
    Container,
    FileBegan,
    FileEnded,
    FileFacts,
    FileRemoved,
    FilesNoted,
    Gap,
    Inspect,
    Record,
    RecordingState,
    RecordingTold,
    RecordOrder,
    RemoveFile,
    StopRecording,
)
from penstock.storage.recordings import RecordedFile, Recording
from tests.clock import START
from tests.domain.kit import DEMO
from tests.domain.test_engines import Control, FakeEngine, settle

__all__ = [
    "Container", "Control", "FileRemoved", "FilesNoted", "Inspect", "Record", "RecordOrder", "RemoveFile",
    "StopRecording", "settle",
]  # fmt: skip

PATH = "demo/live/cam/1.mp4"
FACTS = FileFacts(5000, 60_000, "avc", "aac", (Gap(5, 10, "the disk was behind"),))
CAM = Plan(stream=DEMO)


class RecordingEngine(FakeEngine):
    """An engine that tells of recordings."""

    last_number = 0

    async def hello(self, *recordings: str, on_air: tuple[OnAir, ...] = ()) -> None:
        """Say what it works on; returns behind what control says to all engines."""
        self.send(Hello(VERSION, self.name, on_air, recordings=recordings))
        await self.next(Welcome)

    def stands(self, id: str, state: str, **more: Any) -> None:
        self.send(RecordingTold(id, RecordingState(state), **more))

    def begins(self, id: str, path: str = PATH, session: str = "session-1") -> int:
        self.last_number += 1
        self.send(FileBegan(self.last_number, id, path, session, START))
        return self.last_number

    def ends(self, id: str, path: str = PATH, facts: FileFacts | None = FACTS, why: str = "stopped") -> int:
        self.last_number += 1
        self.send(FileEnded(self.last_number, id, path, START + timedelta(seconds=60), facts, why))
        return self.last_number

    async def stops(self, id: str) -> None:
        """Do what it is told."""
        assert await self.next(StopRecording) == StopRecording(id)
        self.stands(id, "stopped")


async def row_of(control: Control, number: int) -> Recording:
    await control.live.journal.written()
    found = await control.live.store.find_recording(number)
    assert found is not None
    return found


async def files_of(control: Control, number: int) -> list[RecordedFile]:
    await settle()
    await control.live.journal.written()
    return await control.live.store.files_of(number)


def running(action: Any) -> asyncio.Task[Any]:
    return asyncio.ensure_future(action)
