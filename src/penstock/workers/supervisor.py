"""Workers from the side of whoever starts them: one process for each relay, watched to its end.

A worker gets its job as a line on its standard input, which then stays open: its end is the order to stop, and
comes by itself when this process is gone, however that went. Nothing that a user wrote is on a command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from penstock.link.relaying import RelayJob, WorkerTold
from penstock.logs import LogFormat

log = logging.getLogger("penstock.workers")

# How long a worker has after each word: its standard input ends, SIGTERM, and then it is killed.
ASKED_S: Final = 2.0
TOLD_S: Final = 1.0
MAX_LINE: Final = 64 * 1024

MEMORY_MIB: Final = 768
NICE: Final = 5

# `penstock.workers.relay` has the same; it is not imported here, as it loads libav.
_EXITS: Final = {
    1: "the worker failed by a fault of its own",
    2: "the worker was given no job",
    3: "the source failed",
    4: "the worker needs more memory than it may take",
}


class _Worker:
    """One process and what it said last."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.task: asyncio.Task[None] | None = None
        self.told: WorkerTold | None = None
        self.is_stopped = False


class Workers:
    """All workers of this process, by the ids of their relays."""

    def __init__(
        self,
        *,
        memory_mib: int = MEMORY_MIB,
        nice: int = NICE,
        ca_file: Path | None = None,
        log_level: str = "INFO",
        log_format: LogFormat = "human",
    ) -> None:
        """`ca_file` is `network.ca_file`: certificates that servers may have besides the system's."""
        self._arguments: tuple[str, ...] = (
            *("--memory-mib", str(memory_mib), "--nice", str(nice)),
            *("--log-level", log_level, "--log-format", log_format),
            *(("--ca-file", str(ca_file.absolute())) if ca_file is not None else ()),
        )
        self._workers: dict[str, _Worker] = {}

    @property
    def pids(self) -> dict[str, int]:
        """The process of each relay that has one."""
        return {relay: worker.process.pid for relay, worker in self._workers.items()}

    async def start(self, job: RelayJob, on_told: Callable[[WorkerTold], None], on_exit: Callable[[str], None]) -> None:
        """Start a worker; one that runs under this id is stopped first.

        `on_exit` is called once, with the reason, which is empty for a job that is finished; not for a worker that
        is told to stop.
        """
        await self.stop(job.id)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "penstock.workers.relay", "--parent", str(os.getpid())),
            *self._arguments,
            stdin=PIPE,
            stdout=PIPE,
            limit=MAX_LINE,
            start_new_session=True,
        )
        worker = self._workers[job.id] = _Worker(process)
        worker.task = asyncio.create_task(self._watch(job, worker, on_told, on_exit))

    async def stop(self, id: str) -> None:
        """End a relay's worker, if there is one: politely, then not. It tells nothing any more."""
        worker = self._workers.pop(id, None)
        if worker is None:
            return
        worker.is_stopped = True
        process = worker.process
        assert process.stdin is not None
        process.stdin.close()
        if not await _ends(process, ASKED_S):
            _signal(process, signal.SIGTERM)
            if not await _ends(process, TOLD_S):
                log.warning("the worker of relay %s does not end and is killed", id)
                _signal(process, signal.SIGKILL)
        assert worker.task is not None
        await worker.task

    async def close(self) -> None:
        """End all workers, at the same time."""
        await asyncio.gather(*(self.stop(relay) for relay in list(self._workers)))

    async def _watch(
        self, job: RelayJob, worker: _Worker, on_told: Callable[[WorkerTold], None], on_exit: Callable[[str], None]
    ) -> None:
        process = worker.process
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            await process.stdin.drain()
        await self._read(worker, on_told)
        code = await process.wait()
        if not worker.is_stopped:
            if self._workers.get(job.id) is worker:
                del self._workers[job.id]
            on_exit(_reason(code, worker.told))

    async def _read(self, worker: _Worker, on_told: Callable[[WorkerTold], None]) -> None:
        assert worker.process.stdout is not None
        while True:
            try:
                line = await worker.process.stdout.readline()
                told = msgspec.json.decode(line, type=WorkerTold) if line else None
            except ValueError as error:  # a line without end, or none of ours
                log.error("a worker says what is no line of a worker: %s", error)
                _signal(worker.process, signal.SIGKILL)
                return
            if told is None:
                return
            worker.told = told
            if not worker.is_stopped:
                on_told(told)


def _reason(code: int, told: WorkerTold | None) -> str:
    """Say why a worker that nobody stopped has ended; nothing for one that is through."""
    if code == 0:
        return "" if told is not None and told.is_finished else "the worker ended before its job was finished"
    if told is not None and told.error and code > 0:
        return told.error
    if code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}"
    return _EXITS.get(code, f"the worker ended with exit code {code}")


async def _ends(process: Process, within_s: float) -> bool:
    try:
        await asyncio.wait_for(process.wait(), within_s)
    except TimeoutError:
        return False
    return True


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
