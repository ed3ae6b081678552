"""Asking again until something is so: what the waiters of all clouds share."""

from __future__ import annotations

from penstock.errors import CallError, ConfigError
from penstock.model import Clock
from penstock.sdk.options import Options


class WaitTimeout(CallError, TimeoutError):
    """What was waited for did not come in time; every call on the way was answered."""


class Wait:
    """One wait: how long the next pause is, and when it is over."""

    def __init__(self, clock: Clock, what: str, timeout_s: float, poll_s: float) -> None:
        if not (timeout_s > 0 and poll_s > 0):
            raise ConfigError(f"timeout_s is {timeout_s!r} and poll_s {poll_s!r}; both must be above 0")
        self._clock = clock
        self._what = what
        self._timeout_s = timeout_s
        self._poll_s = poll_s
        self._end_s = clock.monotonic() + timeout_s

    def options(self, timeout_s: float) -> Options:
        """Return what a call on the way is given: never longer than the wait, nor than `timeout_s`."""
        left_s = self._end_s - self._clock.monotonic()
        return {"timeout_s": min(timeout_s, max(left_s, 0.001))}

    def pause(self) -> float:
        """Return the seconds until the next look.

        Raises:
            WaitTimeout: there is no time for one.
        """
        left_s = self._end_s - self._clock.monotonic()
        if left_s <= 0:
            raise WaitTimeout(f"{self._what} within {self._timeout_s:g} s")
        return min(self._poll_s, left_s)
