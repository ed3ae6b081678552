"""The bans in force, in memory: each publish asks, and must not wait for a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from penstock.model import StreamId
from penstock.storage.base import Records
from penstock.storage.rows import Ban, BanQuery


class BanTable:
    """The bans in force, by stream. `bans` changes it, behind the store."""

    def __init__(self) -> None:
        self._bans: dict[StreamId, Ban] = {}

    async def load(self, records: Records, now: datetime) -> None:
        page = await records.bans(BanQuery(now=now))
        self._bans = {ban.stream: ban for ban in page.rows}

    def find(self, stream: StreamId, now: datetime) -> Ban | None:
        """The ban that is in force."""
        ban = self._bans.get(stream)
        return ban if ban is not None and ban.until > now else None

    def put(self, ban: Ban) -> None:
        self._bans[ban.stream] = ban

    def remove(self, stream: StreamId) -> None:
        self._bans.pop(stream, None)

    def forget(self, now: datetime) -> None:
        """Drop what ran out."""
        self._bans = {stream: ban for stream, ban in self._bans.items() if ban.until > now}

    def in_force(self, now: datetime) -> Iterator[Ban]:
        return (ban for ban in self._bans.values() if ban.until > now)

    def forget_of(self, is_anothers: Callable[[Ban], bool]) -> None:
        """Drop the bans that an owner of before left on a name: whoever has it now starts without them."""
        self._bans = {stream: ban for stream, ban in self._bans.items() if not is_anothers(ban)}
