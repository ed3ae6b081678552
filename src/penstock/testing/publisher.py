"""A publisher for tests: the moving test pattern with its sound, sent by a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from types import TracebackType
from typing import Final, Self

from penstock.errors import PenstockError

BEGIN_S: Final = 30.0
STOP_S: Final = 8.0


class PublishRefused(PenstockError):
    """The server did not take the stream, or nobody answers there; the text says why."""


class Publisher:
    """Publishes from `with` to the end of it, unless somebody ends it before. It does not come back by itself."""

    def __init__(self, url: str, *, size: str = "320x180", fps: int = 25, bitrate_kbps: int = 400) -> None:
        self.url = url
        self._command = [
            *(sys.executable, "-m", "penstock.workers.testpattern", "--with-parent", "--once"),
            *("--size", size, "--fps", str(fps), "--bitrate-kbps", str(bitrate_kbps), "-"),
        ]
        self._process: subprocess.Popen[str] | None = None
        self._said: list[str] = []
        self._news = threading.Condition()
        self._is_over = False

    def __enter__(self) -> Self:
        """Return as soon as the stream is on air.

        Raises:
            PublishRefused: it is not let in.
        """
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        # A URL may hold a signature, and a command line is everybody's to read.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{self.url}\n")
            self._process.stdin.flush()
        threading.Thread(target=self._read, daemon=True).start()
        with self._news:
            self._news.wait_for(lambda: self._is_over or self._is_on_air(), BEGIN_S)
            if self._is_over or not self._is_on_air():
                why = self.last_words or f"nothing happened within {BEGIN_S:g} s"
                self.stop()
                raise PublishRefused(why)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self._said.append(line.strip().removeprefix("testpattern: "))
                self._news.notify_all()
        self._process.wait()
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def _is_on_air(self) -> bool:
        return any(line.startswith("publishing ") for line in self._said)

    @property
    def is_running(self) -> bool:
        """True until it was stopped, or cut off."""
        return self._process is not None and not self._is_over

    @property
    def last_words(self) -> str:
        """What it said last: why it was refused, or how it ended."""
        return self._said[-1] if self._said else ""

    def wait_ended(self, within_s: float = 5.0) -> str:
        """Wait until the server has cut it off; return what it said.

        Raises:
            TimeoutError: it still publishes.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._is_over, within_s):
                raise TimeoutError(f"it still publishes after {within_s:g} s, to {self.url.partition('?')[0]}")
        return self.last_words

    def stop(self) -> None:
        """End it as an encoder's user would: the stream is unpublished."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
