"""Usage as the engine hands it over: each report once, however often it is said."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Final

from penstock.link.messages import Usage
from penstock.model import StreamId

# Anybody who may publish makes as many names as he likes.
MAX_STREAMS: Final = 1000


class UsageLedger:
    """Running totals since this control process started; bytes that players' sockets took."""

    def __init__(self) -> None:
        # By stream and format, of the latest MAX_STREAMS of them, the one that was heard of last at the end.
        self.bytes_down: dict[tuple[StreamId, str], int] = {}
        self.plays: dict[tuple[StreamId, str], int] = {}
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
            key = row.stream, row.format
            self.bytes_down[key] = self.bytes_down.pop(key, 0) + row.bytes_down
            self.plays[key] = self.plays.pop(key, 0) + row.plays
            self.bytes_by_format[row.format] += row.bytes_down
            self.plays_by_format[row.format] += row.plays
        for key in list(itertools.islice(self.bytes_down, max(0, len(self.bytes_down) - MAX_STREAMS))):
            del self.bytes_down[key], self.plays[key]
        return True

    @property
    def total_bytes_down(self) -> int:
        return self.bytes_by_format.total()
