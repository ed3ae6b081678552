"""Bytes that players' sockets took, by everything that a report may ask for.

Nothing is counted a second time here: each outlet adds up what its sends took, and a look at it now and
then gives what came since the last look. So the sum of all rows is the sum of all sends, to the byte.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Final

from msgspec import Struct

from penstock.engine.outlet import Outlet
from penstock.link.messages import Client, Usage, UsageRow
from penstock.model import StreamId

# With nobody to take them, reports of more rows than this are merged into one.
MAX_ROWS_KEPT: Final = 200_000


class Player(Struct, eq=False):
    """One play: an outlet, and under which headings its bytes are counted."""

    outlet: Outlet
    stream: StreamId
    format: str
    client: Client
    domain: str
    earlier_bytes: int = 0  # what its outlet took for the plays before this one
    counted_play: bool = False

    @property
    def sent_bytes(self) -> int:
        return self.outlet.sent_bytes - self.earlier_bytes


_Key = tuple[StreamId, str, str, str, bool]


class UsageMeter:
    """Counts for all players of an engine, and keeps each report until it was taken."""

    def __init__(self, now: datetime) -> None:
        self.untaken: deque[Usage] = deque()
        self.sent_number = 0  # control may have this report, and all before it, though it did not say so
        self._players: set[Player] = set()
        self._ended: dict[_Key, tuple[int, int]] = {}  # bytes and plays of players that went
        self._since = now
        self._number = 0

    def open(self, player: Player) -> None:
        self._players.add(player)

    def close(self, player: Player) -> None:
        """The player is gone: count what it took since the last report.

        Its connection may still take what waits; closing again counts that.
        """
        self._players.discard(player)
        self._count(player, self._ended)

    def report(self, now: datetime) -> Usage | None:
        """Everything since the last report, to be sent now; None if there was nothing."""
        sums, self._ended = self._ended, {}
        for player in self._players:
            self._count(player, sums)
        since, self._since = self._since, now
        rows = tuple(
            UsageRow(stream, form, address, domain, tls, bytes_down, plays)
            for (stream, form, address, domain, tls), (bytes_down, plays) in sums.items()
            if bytes_down or plays
        )
        if not rows:
            return None
        self._number += 1
        usage = Usage(self._number, since, now, rows)
        self.untaken.append(usage)
        if sum(len(report.rows) for report in self.untaken) > MAX_ROWS_KEPT:
            self._merge()
        return usage

    def taken(self, number: int) -> None:
        """Control has all reports up to `number`."""
        while self.untaken and self.untaken[0].number <= number:
            self.untaken.popleft()

    def _merge(self) -> None:
        """Make one report of all that were never sent: times become coarser, no byte is lost."""
        unsent = [report for report in self.untaken if report.number > self.sent_number]
        if len(unsent) < 2:
            return
        sums: dict[_Key, tuple[int, int]] = {}
        for report in unsent:
            for row in report.rows:
                key = (row.stream, row.format, row.address, row.domain, row.tls)
                before = sums.get(key, (0, 0))
                sums[key] = (before[0] + row.bytes_down, before[1] + row.plays)
            self.untaken.remove(report)
        rows = tuple(UsageRow(*key, *total) for key, total in sums.items())
        self.untaken.append(Usage(unsent[-1].number, unsent[0].since, unsent[-1].until, rows))

    @staticmethod
    def _count(player: Player, sums: dict[_Key, tuple[int, int]]) -> None:
        outlet = player.outlet
        # Kept at the outlet, as one connection may play several times: each byte counts for one play.
        fresh = outlet.sent_bytes - outlet.counted_bytes
        plays = 0 if player.counted_play else 1
        outlet.counted_bytes, player.counted_play = outlet.sent_bytes, True
        if not fresh and not plays:
            return
        key = (player.stream, player.format, player.client.address, player.domain, player.client.tls)
        before = sums.get(key, (0, 0))
        sums[key] = (before[0] + fresh, before[1] + plays)
