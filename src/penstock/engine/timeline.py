"""A publisher's clock laid onto the stream's own line of time.

A publisher counts milliseconds in 32 bits, starts anywhere, wraps every 49 days, and starts anew with
each connection. Players see one line in 64 bits that goes on through all of that.
"""

from __future__ import annotations

from typing import Final

_HALF: Final = 1 << 31
_WRAP: Final = 1 << 32
# Frames of audio and video interleave loosely, so that a step back is common and small. A larger one is
# an encoder that started its clock anew (ffmpeg's -stream_loop, a playlist), not an order of frames.
MAX_STEP_BACK_MS: Final = 3000
# And a larger step ahead is no pause: a publisher silent for ten seconds is gone.
MAX_STEP_AHEAD_MS: Final = 60_000
# What a clock's restart counts as: one frame at 25 a second.
RESTART_STEP_MS: Final = 40


class Timeline:
    """One session's place on the line."""

    def __init__(self, start_ms: int = 0) -> None:
        """The session's first frame comes to stand at `start_ms`."""
        self.now_ms = start_ms  # the latest frame's place; setup packets take it too
        self.highest_ms = start_ms
        self._start_ms = start_ms
        self._last: int | None = None  # the publisher's clock at that frame

    def place(self, timestamp: int) -> int:
        """The place of a frame that the publisher stamped with `timestamp` (ms, modulo 2**32)."""
        if self._last is not None:
            step = timestamp - self._last
            if not -_HALF <= step < _HALF:
                step = (step + _HALF) % _WRAP - _HALF
            if step < -MAX_STEP_BACK_MS or step > MAX_STEP_AHEAD_MS:
                place = self.highest_ms + RESTART_STEP_MS
            else:
                place = self.now_ms + step
                # Nothing stands before the session's start: there, another session's frames may end.
                place = max(place, self._start_ms)
        else:
            place = self._start_ms
        self._last = timestamp
        self.now_ms = place
        self.highest_ms = max(self.highest_ms, place)
        return place
