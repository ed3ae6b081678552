"""Workers as processes: started, watched, stopped and killed, with a door that a test holds."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from penstock.errors import MediaError
from penstock.link.relaying import Clip, Overlay, Position, RelayJob, WorkerTold
from penstock.model import SystemClock
from penstock.protocols.flv import VIDEO, Tag, TagReader
from penstock.protocols.flvbody import video_body
from penstock.workers.door import Door
from penstock.workers.frames import Frame
from penstock.workers.pace import Buffer, Pace
from penstock.workers.relay import SILENT_S, Sender, Told
from penstock.workers.remote import Meter
from penstock.workers.supervisor import Workers
from tests.workers.kit import RELAY, CollectingDoor, Web, job, probe

MakeSample = Callable[..., bytes]


class Watched:
    """What a worker told, and how it ended."""

    def __init__(self) -> None:
        self.told: list[WorkerTold] = []
        self.why: str | None = None
        self.news = asyncio.Condition()

    async def start(self, workers: Workers, made: RelayJob) -> int:
        await workers.start(made, self._on_told, self._on_exit)
        return workers.pids[made.id]

    async def until(self, is_so: Callable[[], bool], within_s: float = 25.0) -> None:
        async with asyncio.timeout(within_s), self.news:
            await self.news.wait_for(is_so)

    async def exit(self) -> str:
        await self.until(lambda: self.why is not None)
        assert self.why is not None
        return self.why

    def _on_told(self, told: WorkerTold) -> None:
        self.told.append(told)
        self._notify()

    def _on_exit(self, why: str) -> None:
        self.why = why
        self._notify()

    def _notify(self) -> None:
        async def notify() -> None:
            async with self.news:
                self.news.notify_all()

        self._task = asyncio.ensure_future(notify())


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[CollectingDoor]:
    door = CollectingDoor(tmp_path / "relay.sock")
    await door.open()
    yield door
    await door.close()


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers()
    yield workers
    await workers.close()


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def told_of(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def tags(data: bytes) -> list[Tag]:
    return TagReader().receive(data)


async def test_job_is_brought_to_the_door_in_its_own_time_and_finishes(
    web: Web, sample: MakeSample, tmp_path: Path, door: CollectingDoor, workers: Workers
) -> None:
    watched = Watched()
    await watched.start(workers, job(web.add("a", sample()), door=door.path))
    await door.until(lambda: bool(door.taken) and len(door.taken[0]) > 1000)
    began = time.monotonic()
    assert await watched.exit() == ""
    # Three seconds, of which the first one goes at once.
    assert 1.5 < time.monotonic() - began < 8
    assert [msgspec.json.decode(line) for line in door.openings] == [{"relay": RELAY}]
    last = watched.told[-1]
    assert last.is_finished
    assert last.error == ""
    assert last.position.offset_s == pytest.approx(3, abs=0.05)
    assert last.bytes_in > 1000
    path = tmp_path / "got.flv"
    path.write_bytes(door.taken[0])
    codecs = probe(path, "-show_entries", "stream=codec_name").split()
    assert {"h264", "aac"} <= set(codecs)
    assert len(probe(path, "-select_streams", "v", "-show_entries", "packet=pts").split()) == 75
    assert not workers.pids


async def test_engine_that_comes_back_gets_headers_and_a_key_frame_and_the_line_goes_on(
    web: Web, sample: MakeSample, door: CollectingDoor, workers: Workers
) -> None:
    watched = Watched()
    await watched.start(workers, job(web.add("a", sample()), door=door.path, loops=None))
    await door.until(lambda: bool(door.taken) and len(tags(bytes(door.taken[0]))) > 150)
    await door.close()
    await watched.until(lambda: watched.told[-1].error.startswith("the engine's relay door"))
    await door.open()
    await door.until(lambda: len(door.taken) > 1 and len(tags(bytes(door.taken[-1]))) > 60)
    first, second = tags(bytes(door.taken[0])), tags(bytes(door.taken[-1]))
    bodies = [body for tag in second if tag.kind == VIDEO and (body := video_body(tag.payload))]
    assert bodies[0].is_header
    assert bodies[1].is_key
    before = [tag.dts_ms for tag in first if tag.kind == VIDEO]
    after = [tag.dts_ms for tag in second if tag.kind == VIDEO][1:]
    # The pictures since the last key frame come again; none is missing in between.
    assert after[0] <= before[-1] + 40
    assert {b - a for a, b in pairwise(after)} == {40}
    await watched.until(lambda: watched.told[-1].error == "")


async def test_engine_that_takes_nothing_holds_the_worker_back_and_nothing_piles_up(
    web: Web, sample: MakeSample, tmp_path: Path, workers: Workers
) -> None:
    path = tmp_path / "slow.sock"
    arrived = asyncio.Event()

    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        arrived.set()
        await asyncio.Event().wait()

    async with await asyncio.start_unix_server(never_read, str(path)):
        watched = Watched()
        await watched.start(workers, job(web.add("a", sample()), door=str(path), loops=None))
        await asyncio.wait_for(arrived.wait(), 15)
        began = time.monotonic()
        await workers.stop(RELAY)
        assert time.monotonic() - began < 4
    assert watched.why is None


async def test_source_that_fails_is_the_reason_of_the_end(
    web: Web, sample: MakeSample, door: CollectingDoor, workers: Workers
) -> None:
    watched = Watched()
    gone = job(web.add("a", sample(seconds=1.0)), f"{web.url}/gone", door=door.path)
    await watched.start(workers, gone)
    assert await watched.exit() == "clip 2: the server answers 404"
    assert watched.told[-1].error == "clip 2: the server answers 404"
    assert not watched.told[-1].is_finished
    # What there was went out all the same.
    assert len([tag for tag in tags(bytes(door.taken[0])) if tag.kind == VIDEO]) == 26


async def test_wrong_watermark_is_the_reason_of_the_end(web: Web, door: CollectingDoor, workers: Workers) -> None:
    watched = Watched()
    await watched.start(workers, job(f"{web.url}/a", door=door.path, overlay=Overlay(b"GIF89a", 0.1, 0.1, 0.1)))
    assert "must be PNG or JPEG" in await watched.exit()


async def test_killed_worker_says_so_and_another_goes_on_where_it_was(
    web: Web, sample: MakeSample, door: CollectingDoor, workers: Workers
) -> None:
    watched = Watched()
    made = job(Clip(web.add("a", sample(seconds=6.0))), door=door.path)
    pid = await watched.start(workers, made)
    await watched.until(lambda: bool(watched.told) and watched.told[-1].position.offset_s > 1)
    os.kill(pid, signal.SIGKILL)
    assert await watched.exit() == "the worker was killed by SIGKILL"
    assert not workers.pids
    again = Watched()
    at = watched.told[-1].position
    await again.start(workers, msgspec.structs.replace(made, start=at))
    assert await again.exit() == ""
    pictures = [tag for tag in tags(bytes(door.taken[-1])) if tag.kind == VIDEO]
    frames = [body for tag in pictures if (body := video_body(tag.payload)) and body.is_frame]
    assert len(frames) == 150 - math.ceil((at.offset_s - 0.0005) * 25)


async def test_stopped_worker_tells_nothing_any_more(
    web: Web, sample: MakeSample, door: CollectingDoor, workers: Workers
) -> None:
    watched = Watched()
    pid = await watched.start(workers, job(web.add("a", sample()), door=door.path, loops=None))
    await watched.until(lambda: bool(watched.told))
    await workers.stop(RELAY)
    told = len(watched.told)
    assert not is_there(pid)
    assert watched.why is None
    assert len(watched.told) == told
    await workers.stop(RELAY)  # again is nothing


async def test_frozen_worker_is_killed(web: Web, sample: MakeSample, door: CollectingDoor, workers: Workers) -> None:
    watched = Watched()
    pid = await watched.start(workers, job(web.add("a", sample()), door=door.path, loops=None))
    await watched.until(lambda: bool(watched.told))
    os.kill(pid, signal.SIGSTOP)
    await workers.stop(RELAY)
    assert not is_there(pid)


PARENT = """
import asyncio, sys, msgspec
from penstock.link.relaying import RelayJob
from penstock.workers.door import Door
from penstock.workers.frames import Frame
from penstock.workers.pace import Buffer, Pace
from penstock.workers.relay import SILENT_S, Sender, Told
from penstock.workers.remote import Meter
from penstock.workers.supervisor import Workers
async def main():
    workers = Workers()
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=RelayJob)
    await workers.start(job, lambda told: print(workers.pids[job.id], flush=True), lambda why: None)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_worker_is_gone_when_its_parent_was_killed(web: Web, sample: MakeSample, door: CollectingDoor) -> None:
    made = job(web.add("a", sample()), door=door.path, loops=None)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(msgspec.json.encode(made) + b"\n")
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    gone = os.pidfd_open(pid)
    try:
        parent.kill()
        await parent.wait()
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(gone, ended.set)
        await asyncio.wait_for(ended.wait(), 5)
    finally:
        asyncio.get_running_loop().remove_reader(gone)
        os.close(gone)


async def test_memory_has_an_end(web: Web, sample: MakeSample, door: CollectingDoor) -> None:
    """It is told as such, and takes nothing else with it."""
    small = Workers(memory_mib=48)
    watched = Watched()
    big = bytearray(sample())
    moov = bytes(big).rfind(b"stsz")
    big[moov + 12 : moov + 16] = (40_000_000).to_bytes(4, "big")  # a table of so many frames
    await watched.start(small, job(web.add("a", bytes(big)), door=door.path))
    why = await watched.exit()
    await small.close()
    assert why
    assert not watched.told or not watched.told[-1].is_finished


async def test_worker_is_bounded_and_nice(web: Web, sample: MakeSample, door: CollectingDoor, workers: Workers) -> None:
    watched = Watched()
    pid = await watched.start(workers, job(web.add("a", sample()), door=door.path, loops=None))
    await watched.until(lambda: bool(watched.told))
    limits = told_of(pid, "limits")
    data = next(line.split() for line in limits.splitlines() if line.startswith("Max data size"))
    assert data[3:5] == [str(768 * 1024 * 1024)] * 2
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 5
    assert "NoNewPrivs:\t1" in told_of(pid, "status")
    words = told_of(pid, "cmdline").split("\0")
    assert not any("http" in word or RELAY in word for word in words)


def test_no_job_is_told_by_the_exit_code() -> None:
    command = [sys.executable, "-m", "penstock.workers.relay", "--parent", str(os.getpid()), "--memory-mib", "512"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, input=b"{}\n", env=environ, capture_output=True, timeout=30, check=False)
    assert done.returncode == 2
    assert b"no job" in done.stderr


class Silent(Buffer):
    """No frame comes, though each look at it sees more bytes."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter
        self.looks = 0

    def get(self, timeout_s: float) -> Frame | None:
        self.looks += 1
        self._meter.bytes_in += 1000
        # The first file is downloaded meanwhile, which may take long.
        self._meter.fetched_bytes, self._meter.fetch_size_bytes = min(self.looks, 1000), 1000
        return None


def test_source_of_bytes_without_a_frame_is_given_up_but_no_download(tmp_path: Path) -> None:
    meter, stop = Meter(), threading.Event()
    door = Door(str(tmp_path / "none"), RELAY, stop.wait, lambda _: None)
    buffer = Silent(meter)
    sender = Sender(buffer, Pace(SystemClock()), door, Told(meter, Position()), meter, stop)
    with pytest.raises(MediaError, match=r"sent bytes for 300 s, and no frame"):
        sender.run()
    assert buffer.looks == 999 + SILENT_S
