"""One task inside its window: which order its engine has, how its worker is, and when it is tried again."""

from __future__ import annotations

from typing import Final

from penstock.link.relaying import RelayOrder, WorkerTold
from penstock.storage.relay_rows import RelayTask

# Between two tries: twice as long each time, and somewhere between half of it and all, so that many tasks that
# failed together do not come back together.
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
# Whoever lived for so long starts with a short pause again.
SOUND_S: Final = 30.0
# What was handed over by a worker that is done is pushed within this time, or the target does not take it.
DRAIN_S: Final = 20.0
# Of the same task errors are told to its callback at most so often; an error of a new kind at once.
TELL_AGAIN_S: Final = 60.0
UNKNOWN: Final = -1


class Run:
    """Times are of the real, monotonic clock."""

    def __init__(self, task: RelayTask, order: RelayOrder) -> None:
        self.task = task
        self.order = order
        self.is_ordered = False  # an engine that is connected has the order
        self.order_due_s = 0.0
        self.needs_worker = not order.source
        self.worker_due_s = 0.0
        self.worker_since_s = 0.0
        self.worker_told: WorkerTold | None = None
        self.worker_error = ""
        self.drains_until_s: float | None = None
        self.failures = 0  # as the engine counts them; UNKNOWN: it will say
        self.is_late = False  # its worker waits for a free place
        self.heard_s: float | None = None  # when the engine told the last count of bytes
        self._pauses = 0
        self._told_error = ""
        self._told_error_s: float | None = None

    def pause_s(self, random: float) -> float:
        """How long to wait before the next try; `random` is from 0 to 1."""
        self._pauses += 1
        whole_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._pauses - 1, 10))
        return whole_s * (0.5 + random / 2)

    def recover(self) -> None:
        """It works: the next failure is the first one."""
        self._pauses = 0

    def tells_error(self, error: str, now_s: float) -> bool:
        """True if its callback should hear of this error, which was not told a moment ago."""
        told_s, told = self._told_error_s, self._told_error
        if told_s is not None and told == error and now_s - told_s < TELL_AGAIN_S:
            return False
        if told_s is not None and now_s - told_s < FIRST_PAUSE_S:
            return False
        self._told_error, self._told_error_s = error, now_s
        return True

    def forget_error(self) -> None:
        """Media flows again: the next error is news, whatever it is."""
        self._told_error_s = None
