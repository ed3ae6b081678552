"""A relay's worker: one job from standard input, FLV to the engine's door, how it stands to standard output.

    python -m penstock.workers.relay --parent PID --memory-mib 768 --nice 5

The plan: one thread reads, demuxes and encodes ahead, into a buffer of a few seconds; the main thread sends what is
due; a third one tells how it stands, and a fourth waits for the end of standard input, which ends everything.
Exit codes: 0 finished or stopped, 2 no job, 3 the source failed, 4 no memory, 1 a fault of our own.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from typing import Final

import av.logging
import msgspec

from penstock.errors import ConfigError, MediaError, NetworkRefused, PeerError
from penstock.link.relaying import Position, RelayJob, WorkerTold
from penstock.logs import set_up_logging
from penstock.model import Clock, SystemClock
from penstock.net.guard import Guard
from penstock.net.http import HttpPolicy, open_client
from penstock.net.tls import client_context
from penstock.workers import cage
from penstock.workers.door import Door
from penstock.workers.frames import Frame
from penstock.workers.pace import Buffer, Pace
from penstock.workers.program import Program
from penstock.workers.remote import Meter

log = logging.getLogger("penstock.relay")

EXIT_FAULT: Final = 1
EXIT_NO_JOB: Final = 2
EXIT_SOURCE: Final = 3
EXIT_MEMORY: Final = 4

MAX_JOB: Final = 8 * 1024 * 1024  # a watermark in base64, and URLs
TELL_EVERY_S: Final = 1.0
# Frames that are due within this are sent together.
TICK_S: Final = 0.02
# Neither a frame nor a byte for so long: the demuxer is stuck, and no error will come of it.
STUCK_S: Final = 90.0
# No frame for so long, though bytes come that are not downloaded first: what is played has no such place.
SILENT_S: Final = 300.0
STOP_GRACE_S: Final = 1.0
HTTP: Final = HttpPolicy(connect_timeout_s=10, head_timeout_s=20, read_timeout_s=15, max_connections=8)


class Told:
    """How the worker stands, and the lines that say so."""

    def __init__(self, meter: Meter, position: Position) -> None:
        self._meter = meter
        self.position = position
        self.error = ""
        self.is_finished = False
        self._news = threading.Event()
        self._writing = threading.Lock()

    def set_error(self, error: str) -> None:
        if error != self.error:
            self.error = error
            self._news.set()

    def tell(self) -> None:
        """Write a line now."""
        meter = self._meter
        told = WorkerTold(
            position=self.position,
            bytes_in=meter.bytes_in,
            fetched_bytes=meter.fetched_bytes,
            fetch_size_bytes=meter.fetch_size_bytes,
            error=self.error,
            is_finished=self.is_finished,
        )
        line = msgspec.json.encode(told) + b"\n"
        with self._writing, contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), line)

    def tell_for_ever(self) -> None:
        while True:
            self.tell()
            self._news.wait(TELL_EVERY_S)
            self._news.clear()


class Sender:
    """Takes frames out of the buffer when they are due, and puts them through the door."""

    def __init__(self, buffer: Buffer, pace: Pace, door: Door, told: Told, meter: Meter, stop: threading.Event) -> None:
        self._buffer, self._pace, self._door, self._told = buffer, pace, door, told
        self._meter, self._stop = meter, stop

    def run(self) -> None:
        """Send until the source ends or the worker is to stop.

        Raises:
            MediaError, PeerError, NetworkRefused: the source failed.
        """
        due: list[Frame] = []
        while not self._stop.is_set():
            try:
                frame = self._next()
            except EOFError:
                self._hand_over(due)
                return
            except BaseException:
                self._hand_over(due)
                raise
            wait_s = self._pace.wait_s(frame.dts_ms) if frame is not None else 0.0
            if wait_s > 0 or len(due) > 256:
                self._hand_over(due)
                self._stop.wait(max(wait_s, TICK_S) if wait_s > 0 else 0)
            if frame is not None:
                due.append(frame)

    def _next(self) -> Frame | None:
        seen, waited_s, silent_s = self._meter.bytes_in, 0.0, 0.0
        while not self._stop.is_set():
            if (frame := self._buffer.get(TELL_EVERY_S)) is not None:
                return frame
            waited_s, silent_s = waited_s + TELL_EVERY_S, silent_s + TELL_EVERY_S
            if self._meter.bytes_in != seen:
                seen, waited_s = self._meter.bytes_in, 0.0
            if self._meter.is_fetching:
                silent_s = 0.0
            if waited_s >= STUCK_S:
                raise MediaError(f"nothing came of the source for {STUCK_S:g} s")
            if silent_s >= SILENT_S:
                raise MediaError(
                    f"the source sent bytes for {SILENT_S:g} s, and no frame to play; a live stream needs a live task"
                )
        return None

    def _hand_over(self, due: list[Frame]) -> None:
        if due and self._door.send(due):
            self._told.position = due[-1].position
        due.clear()


def run(job: RelayJob, stop: threading.Event, clock: Clock, ca_file: str | None = None) -> int:
    """Work on a job until it is finished, fails, or is stopped; return the exit code."""
    meter = Meter()
    told = Told(meter, job.start)
    door = Door(job.door, job.id, stop.wait, told.set_error)
    threading.Thread(target=told.tell_for_ever, name="tell", daemon=True).start()
    threading.Thread(target=_close_at_stop, args=(stop, door), name="stop", daemon=True).start()
    buffer = Buffer()
    sender = Sender(buffer, Pace(clock), door, told, meter, stop)
    try:
        client = open_client(Guard(job.allow_private), HTTP, client_context(ca_file))
        program = Program(job, client, meter)
        threading.Thread(target=_make, args=(program, buffer), name="make", daemon=True).start()
        sender.run()
    except (MediaError, PeerError, NetworkRefused, ConfigError) as error:
        told.error, code = str(error), EXIT_SOURCE
        log.warning("%s", error)
    except MemoryError:
        told.error, code = "the memory that a relay may take is not enough for this source", EXIT_MEMORY
    else:
        told.is_finished, code = not stop.is_set(), 0
        if told.is_finished:
            told.error = ""
    door.close()
    told.tell()
    return code


def _make(program: Program, buffer: Buffer) -> None:
    try:
        for frame in program.frames():
            buffer.put(frame)
    except Exception as error:
        if not isinstance(error, MediaError | PeerError | NetworkRefused | MemoryError):
            log.exception("making frames failed")
            error = MediaError(f"a fault of our own: {type(error).__name__}")
        buffer.end(error)
    else:
        buffer.end()


def _close_at_stop(stop: threading.Event, door: Door) -> None:
    """Free a send that the engine keeps waiting; then end, whatever hangs."""
    stop.wait()
    door.close()
    time.sleep(STOP_GRACE_S)
    os._exit(0)


def _stop_at_eof(stop: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    stop.set()


def _named(relay: str, record: logging.LogRecord) -> bool:
    record.msg = f"relay {relay}: {record.msg}"
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penstock.workers.relay")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--memory-mib", type=int, required=True)
    parser.add_argument("--nice", type=int, default=5)
    parser.add_argument("--ca-file", default=None)
    parser.add_argument("--log-level", default="INFO")
    parser.add_argument("--log-format", choices=("human", "json"), default="human")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; ending is control's business
    cage.enter(parent=args.parent, memory_mib=args.memory_mib, nice=args.nice)
    set_up_logging(args.log_level, args.log_format, "relay")
    # It tells of each request, with all of its URL, which may be signed.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    av.logging.set_level(None)  # its words hold what files say
    try:
        job = msgspec.json.decode(sys.stdin.buffer.readline(MAX_JOB), type=RelayJob)
    except msgspec.MsgspecError as error:
        log.error("no job: %s", error)
        os._exit(EXIT_NO_JOB)
    log.addFilter(partial(_named, job.id))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_stop_at_eof, args=(stop,), name="stdin", daemon=True).start()
    code = run(job, stop, SystemClock(), args.ca_file)
    logging.shutdown()
    # Threads may hang in libav or in a socket; nobody waits for them.
    os._exit(code)


if __name__ == "__main__":
    main()
