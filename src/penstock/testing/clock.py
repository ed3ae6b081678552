"""The server's clock in a test's hand: what bans, histories and schedules go by."""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock.admin.server import ResetClock, ShowClock, TurnClock
from penstock.testing.server import Server


class Clock:
    """Turns the server's time ahead. Signatures and time-outs go by the real one, so that clients still get in.

    It is one clock for the whole server; the fixture resets it after the test.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._is_turned = False

    def now(self) -> datetime:
        """Return the server's time, in UTC."""
        return self._server.ask(ShowClock()).now

    def turn(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Turn the clock ahead by so much; return the new time. It goes on from there.

        Raises:
            AdminError: by nothing, backwards, or further than a server's clock goes.
        """
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return self._turned(TurnClock(by_s=span.total_seconds()))

    def turn_to(self, at: datetime) -> datetime:
        """Turn the clock to an aware time; return the new one."""
        return self._turned(TurnClock(to=at))

    def _turned(self, ask: TurnClock) -> datetime:
        shown = self._server.ask(ask)
        self._is_turned = True
        return shown.now

    def reset(self) -> None:
        """Set the clock to the real time again, if it was turned."""
        if self._is_turned:
            self._server.ask(ResetClock())
            self._is_turned = False
