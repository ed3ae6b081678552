"""How often an account may call an operation: exact sliding windows, as the contract has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from penstock.clouds.contract import Operation, Rate
from penstock.errors import LimitExceeded

# Accounts and operations are few; what was not used for a while is let go above this number.
MAX_WINDOWS: Final = 10_000


class RateLimits:
    """The calls of each account and operation in its last span of time."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._windows: dict[tuple[str, str, str], deque[float]] = {}

    def count(self, cloud: str, account: str, operation: type[Operation[Any]]) -> None:
        """Count one call.

        Raises:
            LimitExceeded: it is one too many, and is not counted.
        """
        rate = operation.about.rate
        if rate is None:
            return
        now_s = self._monotonic()
        window = self._window((cloud, account, operation.about.action), now_s)
        while window and window[0] <= now_s - rate.per_s:
            window.popleft()
        if len(window) >= rate.calls:
            raise LimitExceeded(f"{operation.about.action} may be called {_words(rate)} by an account")
        window.append(now_s)

    def _window(self, key: tuple[str, str, str], now_s: float) -> deque[float]:
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= MAX_WINDOWS:
                # No window is longer than a minute.
                self._windows = {at: calls for at, calls in self._windows.items() if calls and calls[-1] > now_s - 60}
            window = self._windows[key] = deque()
        return window


def _words(rate: Rate) -> str:
    span = {1: "a second", 60: "a minute"}.get(rate.per_s, f"in {rate.per_s} s")
    return f"{rate.calls} times {span}"
