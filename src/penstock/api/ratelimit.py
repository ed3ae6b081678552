"""How often an account may call an operation: exact sliding windows.

`Rate(50, per_s=60)` is kept to the letter: no more than 50 calls in *any* 60 s, not 50 in each minute of
the clock. Of each account and operation the times of the last calls that passed are kept, 50 here; a call
passes when the oldest of them is out of the window. What was refused is not counted, so that a client
that hammers gets its calls as soon as they are due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Final

from penstock.clouds.contract import Rate
from penstock.errors import LimitExceeded

# Accounts and operations are few. Windows of accounts that are gone are thrown out above this number.
MAX_WINDOWS: Final = 10_000


class RateLimits:
    """The calls of all accounts; `monotonic` gives seconds that never go back."""

    def __init__(self, monotonic: Callable[[], float], max_windows: int = MAX_WINDOWS) -> None:
        self._monotonic = monotonic
        self._max_windows = max_windows
        self._windows: dict[Hashable, _Window] = {}

    def __len__(self) -> int:
        return len(self._windows)

    def count(self, key: Hashable, rate: Rate) -> None:
        """Count one more call of `key`, an account and an operation.

        Raises:
            LimitExceeded: it would be one too many; the message says when the next one passes.
        """
        now = self._monotonic()
        window = self._windows.get(key)
        if window is None:
            self._make_room(now)
            window = self._windows[key] = _Window(rate)
        window.count(now)

    def _make_room(self, now: float) -> None:
        if len(self._windows) < self._max_windows:
            return
        self._windows = {key: window for key, window in self._windows.items() if not window.is_over(now)}
        while len(self._windows) >= self._max_windows:
            del self._windows[next(iter(self._windows))]


class _Window:
    """The times of the last calls that passed, the oldest first; never more than the rate has calls."""

    __slots__ = ("_passed", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._passed: deque[float] = deque(maxlen=rate.calls)

    def count(self, now: float) -> None:
        passed, rate = self._passed, self._rate
        if len(passed) == rate.calls and now - passed[0] < rate.per_s:
            wait_s = passed[0] + rate.per_s - now
            raise LimitExceeded(f"at most {rate.calls} calls may be in {rate.per_s} s; the next one in {wait_s:.2f} s")
        passed.append(now)

    def is_over(self, now: float) -> bool:
        return not self._passed or now - self._passed[-1] >= self._rate.per_s
