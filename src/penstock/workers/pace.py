"""Frames at the speed of time, by the clock that is handed in."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from penstock.model import Clock
from penstock.workers.frames import Frame

# So far ahead of its time a frame goes: what is a burst at the start is what a player has in reserve afterwards.
AHEAD_S: Final = 1.0
# Further behind than this, the clock moves instead of all of it being caught up with.
MAX_LATE_S: Final = 5.0

# What is made ahead of being due: a joint's opening and its requests happen meanwhile.
BUFFER_MS: Final = 4000
BUFFER_BYTES: Final = 16 * 1024 * 1024


class Pace:
    """Says how long a frame has to wait. It counts from the first frame on, so that roundings never add up."""

    def __init__(self, clock: Clock, ahead_s: float = AHEAD_S, max_late_s: float = MAX_LATE_S) -> None:
        self._clock = clock
        self._ahead_s, self._max_late_s = ahead_s, max_late_s
        self._zero_s: float | None = None  # the moment of the line's 0

    def wait_s(self, dts_ms: int) -> float:
        """Return the seconds until the frame of that time goes; 0 or less: now."""
        now, at_s = self._clock.monotonic(), dts_ms / 1000
        if self._zero_s is None or now - self._zero_s - at_s > self._max_late_s:
            self._zero_s = now - at_s
        return self._zero_s + at_s - self._ahead_s - now


class Buffer:
    """Frames between the thread that makes them and the one that sends them, bounded in time and bytes."""

    def __init__(self, most_ms: int = BUFFER_MS, most_bytes: int = BUFFER_BYTES) -> None:
        self._most_ms, self._most_bytes = most_ms, most_bytes
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_ended = False
        self._error: Exception | None = None

    def put(self, frame: Frame) -> None:
        """Add a frame, once there is room."""
        with self._changed:
            while self._is_full():
                self._changed.wait()
            self._frames.append(frame)
            self._bytes += len(frame.tag)
            if len(self._frames) == 1:
                self._changed.notify_all()

    def end(self, error: Exception | None = None) -> None:
        """Say that no frame follows; `error` is raised where the last one would have been followed."""
        with self._changed:
            self._is_ended, self._error = True, error
            self._changed.notify_all()

    def get(self, timeout_s: float) -> Frame | None:
        """Return the next frame; None when none came in time.

        Raises:
            EOFError: there is none any more.
        """
        with self._changed:
            if not self._frames and not self._is_ended:
                self._changed.wait(timeout_s)
            if self._frames:
                frame = self._frames.popleft()
                self._bytes -= len(frame.tag)
                self._changed.notify_all()
                return frame
            if not self._is_ended:
                return None
            raise self._error if self._error is not None else EOFError

    def _is_full(self) -> bool:
        if not self._frames:
            return False
        span_ms = self._frames[-1].dts_ms - self._frames[0].dts_ms
        return span_ms > self._most_ms or self._bytes > self._most_bytes
