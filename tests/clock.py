"""Time that a test turns by hand: a clock, and the timers that go by it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class ManualTimer:
    """What `ManualClock.later` returns."""

    def __init__(self, due_s: float, action: Callable[[], None]) -> None:
        self.due_s = due_s
        self.action = action
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualClock:
    """A `Clock` that stands still until it is turned; `later` serves as an event loop's `call_later`."""

    def __init__(self, start: datetime = START) -> None:
        self._wall = start
        self._monotonic_s = 1000.0  # not 0: nothing may take that for "never"
        self._order = itertools.count()
        self._timers: list[tuple[float, int, ManualTimer]] = []

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic_s

    def later(self, seconds: float, action: Callable[[], None]) -> ManualTimer:
        timer = ManualTimer(self._monotonic_s + seconds, action)
        heapq.heappush(self._timers, (timer.due_s, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass: what falls due on the way is called at its own moment, in order."""
        end_s = self._monotonic_s + seconds
        while self._timers and self._timers[0][0] <= end_s:
            due_s, _, timer = heapq.heappop(self._timers)
            if not timer.is_cancelled:
                self.spend(max(0.0, due_s - self._monotonic_s))
                timer.action()
        self.spend(max(0.0, end_s - self._monotonic_s))

    def spend(self, seconds: float) -> None:
        """Let time pass inside a call: no timer fires, as on a loop that is busy."""
        self._monotonic_s += seconds
        self._wall += timedelta(seconds=seconds)

    def step_wall(self, by: timedelta) -> None:
        """Set the wall clock; the monotonic one does not notice."""
        self._wall += by

    def waiting(self) -> list[float]:
        """In how many seconds each timer is due that was not cancelled, the next one first."""
        return [
            round(due_s - self._monotonic_s, 6) for due_s, _, timer in sorted(self._timers) if not timer.is_cancelled
        ]
