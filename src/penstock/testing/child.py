"""A child process that says lines, each of which somebody waits for with a deadline."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Final

END_S: Final = 10.0  # from the end of its input until it is killed


class Child:
    """One process of ours. It ends by itself when its input ends, so when we do, however that comes."""

    def __init__(self, module: str, *arguments: str, cwd: Path, log: IO[bytes] | None = None) -> None:
        """Start `python -m module`; its lines come from stdout when `log` takes stderr, else from stderr."""
        self.lines: list[str] = []
        self._news: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if log is not None else subprocess.DEVNULL,
            stderr=log if log is not None else subprocess.PIPE,
            env=environment(),
            text=True,
            errors="replace",
            # Ctrl-C is for pytest, which then ends us in order.
            start_new_session=True,
        )
        pipe = self._process.stdout if log is not None else self._process.stderr
        assert pipe is not None
        self._pipe = pipe
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._pipe:
            self._news.put(line.rstrip("\n"))
        self._news.put(None)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def next_line(self, deadline_s: float) -> str | None:
        """Return its next line, or None after its last; `deadline_s` is on the monotonic clock.

        Raises:
            TimeoutError: neither came in time.
        """
        try:
            line = self._news.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if line is None:
            self._news.put(None)  # for whoever asks again
        else:
            self.lines.append(line)
        return line

    def close(self) -> int:
        """End it, whatever state it is in; return its exit code. Once more changes nothing."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(END_S)
        self._pipe.close()
        return code


def environment() -> dict[str, str]:
    """Return ours without what would change a server's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
