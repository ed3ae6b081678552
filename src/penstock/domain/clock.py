"""The domain's clock: bans, windows and histories go by it, and a developer may turn it.

Signatures, time-outs and TLS never ask it: they go by the machine's own clock, so that an SDK still gets
in while a test looks at the day after tomorrow.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from penstock.errors import Denied, InvalidField
from penstock.model import Clock

# Far enough for any ban, window or retention; and no date leaves the calendar.
MAX_TURN: Final = timedelta(days=36_500)


class DomainClock:
    """Another clock's time, plus what it was turned by.

    `path` keeps the turn, so that a control process that is started again does not go back in time.
    """

    def __init__(self, base: Clock, *, is_turnable: bool = False, path: Path | None = None) -> None:
        self.is_turnable = is_turnable
        self._base = base
        self._path = path
        self.turned_by = _read(path) if is_turnable and path is not None else timedelta()

    def now(self) -> datetime:
        return self._base.now() + self.turned_by

    def monotonic(self) -> float:
        return self._base.monotonic()

    def real_now(self) -> datetime:
        """The machine's own time, however far this clock was turned."""
        return self._base.now()

    def at(self, real: datetime) -> datetime:
        """The domain's time at a moment of the machine's clock."""
        return real + self.turned_by

    def turn(self, *, by: timedelta | None = None, to: datetime | None = None) -> datetime:
        """Turn the clock by a span, either way, or to a time; return the time that it is now.

        Raises:
            Denied: the server was not started with --dev.
            InvalidField: further than a hundred years.
        """
        if not self.is_turnable:
            raise Denied("the clock goes by itself; start the server with --dev to turn it")
        real = self._base.now()
        try:
            turned = self.turned_by + by if by is not None else (to or real) - real
        except OverflowError:
            turned = timedelta.max
        if abs(turned) > MAX_TURN:
            raise InvalidField("clock", str(to or by), f"within {MAX_TURN.days} days of the machine's clock")
        self.turned_by = turned
        if self._path is not None:
            self._path.write_text(f"{turned.total_seconds()}\n")
        return self.now()

    def reset(self) -> datetime:
        """Go by the machine's clock again."""
        return self.turn(to=None)


def _read(path: Path) -> timedelta:
    with contextlib.suppress(OSError, ValueError, OverflowError):
        turned = timedelta(seconds=float(path.read_text()))
        if abs(turned) <= MAX_TURN:
            return turned
    return timedelta()
