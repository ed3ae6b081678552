"""Builds the recording room: threads for the disk, and the processes that look into files of dead engines."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from penstock.config import Config
from penstock.engine.hub import Hub
from penstock.engine.recording.desk import Place, RecordingDesk
from penstock.engine.recording.disk import MIB, DiskThread
from penstock.engine.recording.recorder import RecordingPolicy
from penstock.link.recording import FileFacts
from penstock.model import Clock
from penstock.workers.inspector import Answer, Question

log = logging.getLogger("penstock.app.recording")

KIB: Final = 1024
# A file of a day is gone through in seconds; one that takes longer is none that anybody waits for.
INSPECT_S: Final = 300.0

Done = Callable[[FileFacts | None, str], None]


class Inspections:
    """Files that are to be looked into, one after the other, each by a process of its own.

    After an engine's death there may be many at once, and none of them is in a hurry.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._asked: deque[tuple[str, Done]] = deque()
        self._task: asyncio.Task[None] | None = None

    def ask(self, path: str, done: Done) -> None:
        self._asked.append((path, done))
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """What was not answered will be asked again, of the next engine."""
        self._asked.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        try:
            while self._asked:
                path, done = self._asked.popleft()
                answer = await self._inspect(path)
                if answer.why:
                    log.warning("%s: %s", path, answer.why)
                try:
                    done(answer.facts, answer.why)
                except Exception:  # those behind it are to be looked into all the same
                    log.exception("a fault of our own about %s", path)
        finally:
            self._task = None

    async def _inspect(self, path: str) -> Answer:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "penstock.workers.inspector", stdin=PIPE, stdout=PIPE
            )
        except OSError as error:
            return Answer(None, f"no process to look into it: {error.strerror}")
        try:
            async with asyncio.timeout(INSPECT_S):
                said, _ = await process.communicate(msgspec.json.encode(Question(self._root, path)))
            return msgspec.json.decode(said, type=Answer)
        except TimeoutError:
            return Answer(None, f"looking into it took longer than {INSPECT_S:g} s")
        except msgspec.DecodeError:
            return Answer(None, f"looking into it ended with exit code {process.returncode}")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


class Disks:
    """What works beside the event loop."""

    def __init__(self, config: Config) -> None:
        soon = asyncio.get_running_loop().call_soon_threadsafe
        self.writer = DiskThread("recording-writer", soon)
        self.remover = DiskThread("recording-remover", soon)
        self.inspections = Inspections(config.recordings_dir)

    async def close(self) -> None:
        self.writer.close()
        self.remover.close()
        await self.inspections.close()


def open_desk(config: Config, hub: Hub, clock: Clock) -> tuple[RecordingDesk, Disks]:
    disks = Disks(config)
    place = Place(config.recordings_dir, disks.writer, disks.remover, disks.inspections.ask)
    return RecordingDesk(hub, place, _policy(config), clock), disks


def _policy(config: Config) -> RecordingPolicy:
    settings = config.recording
    return RecordingPolicy(
        fragment_ms=round(settings.fragment_s * 1000),
        segment_ms=round(settings.hls_segment_s * 1000),
        queue_bytes=settings.queue_kib * KIB,
        queue_total_bytes=settings.queue_total_kib * KIB,
        reserve_bytes=settings.min_free_mib * MIB,
    )
