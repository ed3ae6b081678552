"""Child processes of a run: pinned to a core, logged to a file, waited for with a time-out, always ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

Event = dict[str, Any]  # one JSON line of the load generator

_STOP_S = 5.0  # from SIGTERM to SIGKILL
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """A measurement could not be made; the message says what was seen."""


class Child:
    """A process pinned to `core`; leaving its `with` block ends it and all it has started.

    It gets a session of its own, so Ctrl-C reaches the runner alone, which then ends everything in order.
    """

    def __init__(self, command: Sequence[str], *, core: int, log: Path, cwd: Path | None = None, talks: bool = False):
        self.log = log
        self._logfile: IO[bytes] = log.open("wb")
        self._process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else self._logfile,
            stderr=self._logfile,
            cwd=cwd,
            start_new_session=True,
        )
        self._pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def pids(self) -> list[int]:
        """The process and its descendants, parents first; nothing once it has ended."""
        return _tree(self._process.pid) if self.running else []

    def must_run(self) -> None:
        """Nothing, as long as it runs.

        Raises:
            BenchError: it has ended.
        """
        if not self.running:
            raise BenchError(f"{self.log.stem} ended: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log, for an error message."""
        self._logfile.flush()
        return self.log.read_text(errors="replace")[-600:].strip() or "(its log is empty)"

    def event(self, timeout_s: float) -> Event:
        """The next JSON line it prints.

        Raises:
            BenchError: none came in time, or the process ended without one.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise BenchError(f"nothing from {self.log.stem} in {timeout_s:.0f} s: {self.last_words()}")
            data = os.read(descriptor, 65536)
            if not data:
                raise BenchError(f"{self.log.stem} ended: {self.last_words()}")
            self._pending += data
        line, self._pending = self._pending.split(b"\n", 1)
        event: Event = json.loads(line)
        return event

    def interrupt(self) -> None:
        """Ask it to finish; the load generator then still prints its summary."""
        if self.running:
            self._process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL for whatever of its tree is left after some seconds."""
        family = self.pids()
        if family:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_STOP_S)
        _end_all(family[1:])
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._logfile.close()


def _tree(pid: int) -> list[int]:
    family = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                family += _tree(int(child))
    except OSError:
        pass  # a process that has just ended has no children to tell of
    return family


def _end_all(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + _STOP_S
    left = [pid for pid in pids if _send(pid, signal.SIGTERM)]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [pid for pid in left if _alive(pid)]
    for pid in left:
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _alive(pid: int) -> bool:
    """Whether `pid` still runs; one that only waits to be reaped does not."""
    try:
        return _stat_fields(pid)[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on: the second is a name that may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds these processes have used, the kernel's share for them included."""
    total = 0
    for pid in pids:
        fields = _stat_fields(pid)
        total += int(fields[11]) + int(fields[12])  # utime, stime
    return total / _TICKS_PER_S


def core_busy_s(core: int) -> float:
    """Seconds that `core` has been busy since boot, whoever used it."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in fields[:7])
            return (user + nice + system + irq + softirq) / _TICKS_PER_S
    raise BenchError(f"there is no core {core} on this machine")
