"""Asking again until something is so: what the waiters of all clouds share."""

from __future__ import annotations

from typing import Final

from penstock.errors import ConfigError, TransportError, WaitTimeout
from penstock.model import Clock
from penstock.sdk.options import Options

LAST_LOOK_S: Final = 1.0  # what a call has that begins when the time is nearly over


class Wait:
    """One wait: how long the next pause is, and when it is over."""

    def __init__(self, clock: Clock, what: str, timeout_s: float, poll_s: float) -> None:
        if not (timeout_s > 0 and poll_s > 0):
            raise ConfigError(f"timeout_s is {timeout_s!r} and poll_s {poll_s!r}; both must be above 0")
        self._clock = clock
        self._told = f"{what} within {timeout_s:g} s"
        self._poll_s = poll_s
        self._end_s = clock.monotonic() + timeout_s

    def options(self, timeout_s: float) -> Options:
        """Return what a call on the way is given: what is left of the wait, and never more than `timeout_s`."""
        return {"timeout_s": min(timeout_s, max(self._left_s(), LAST_LOOK_S))}

    def unanswered(self, failure: TransportError) -> None:
        """Take note of a call without an answer.

        Raises:
            WaitTimeout: the time is over, which is what ended the call.
        """
        if self._left_s() <= 0:
            raise WaitTimeout(f"{self._told}; the last look: {failure}") from failure

    def pause(self) -> float:
        """Return the seconds until the next look.

        Raises:
            WaitTimeout: there is no time for one.
        """
        left_s = self._left_s()
        if left_s <= 0:
            raise WaitTimeout(self._told)
        return min(self._poll_s, left_s)

    def _left_s(self) -> float:
        return self._end_s - self._clock.monotonic()
