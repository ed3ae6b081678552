"""Usage as the engine hands it over: each report once, however often it is said."""

from __future__ import annotations

from collections import Counter

from penstock.link.messages import Usage
from penstock.model import StreamId


class UsageLedger:
    """Running totals since this control process started; bytes that players' sockets took."""

    def __init__(self) -> None:
        self.bytes_down: Counter[tuple[StreamId, str]] = Counter()  # by stream and format
        self.plays: Counter[tuple[StreamId, str]] = Counter()
        # By format alone, for whoever must not be told the names.
        self.bytes_by_format: Counter[str] = Counter()
        self.plays_by_format: Counter[str] = Counter()
        self._taken: dict[str, int] = {}  # the last report of each engine

    def take(self, engine: str, usage: Usage) -> bool:
        """Count one report; False for one that was counted before."""
        if usage.number <= self._taken.get(engine, 0):
            return False
        self._taken[engine] = usage.number
        for row in usage.rows:
            self.bytes_down[row.stream, row.format] += row.bytes_down
            self.plays[row.stream, row.format] += row.plays
            self.bytes_by_format[row.format] += row.bytes_down
            self.plays_by_format[row.format] += row.plays
        return True

    @property
    def total_bytes_down(self) -> int:
        return self.bytes_down.total()
