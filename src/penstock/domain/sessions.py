"""Who holds which name: a session is a lease that control gave, and only its end gives the name back.

Leases carry a rising epoch. What an engine tells of an older epoch than the one in force is about
a publish that is over, and changes nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from penstock.link.messages import Client, EndReason, Lease, OnAir, StreamStats
from penstock.model import Clock, StreamId

log = logging.getLogger("penstock.sessions")


class Session(Struct):
    """One admitted publish. `began_at` is None until the engine put it on air."""

    lease: Lease
    client: Client
    admitted_at: datetime
    began_at: datetime | None = None
    stats: StreamStats | None = None
    reason: EndReason | None = None
    ended_at: datetime | None = None


class Sessions:
    """All sessions in force, by stream."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The wall clock in microseconds starts each control process above all epochs of the one before.
        self._last_epoch = int(clock.now().timestamp() * 1_000_000)
        # Nearly always one; while one takes over, the holder and who was let in to replace it.
        self._by_stream: dict[StreamId, list[Session]] = {}
        self._by_epoch: dict[int, Session] = {}

    def __len__(self) -> int:
        return len(self._by_stream)

    def holder(self, stream: StreamId) -> Session | None:
        """Who was last given `stream`, of those whose session is not over."""
        sessions = self._by_stream.get(stream)
        return sessions[-1] if sessions else None

    def on_air(self) -> list[Session]:
        """The sessions that send media now, in the order in which they were admitted."""
        return [session for session in self._by_epoch.values() if session.began_at is not None]

    def admit(self, stream: StreamId, client: Client) -> Session:
        """Lease `stream` to a publisher. A holder that it replaces is told of by its own end."""
        self._last_epoch += 1
        lease = Lease(stream, uuid.uuid4().hex, self._last_epoch)
        return self._put(Session(lease, client, self._clock.now()))

    def began(self, lease: Lease, at: datetime) -> None:
        session = self._by_epoch.get(lease.epoch)
        if session is not None:
            session.began_at = at

    def update(self, stats: StreamStats) -> None:
        session = self._by_epoch.get(stats.epoch)
        if session is not None:
            session.stats = stats

    def end(self, lease: Lease, reason: EndReason, at: datetime, last: StreamStats | None) -> Session | None:
        """The session of `lease` is over; returns it, or None when it was over already."""
        session = self._by_epoch.pop(lease.epoch, None)
        if session is None:
            return None
        sessions = self._by_stream[session.lease.stream]
        sessions.remove(session)
        if not sessions:
            del self._by_stream[session.lease.stream]
        session.reason, session.ended_at = reason, at
        session.stats = last or session.stats
        return session

    def rebuild(self, on_air: Iterable[OnAir]) -> list[Session]:
        """An engine connected and says what is on air; returns the sessions that are not, now ended."""
        told = {status.lease.epoch: status for status in on_air}
        missing = [session for epoch, session in self._by_epoch.items() if epoch not in told]
        for epoch, status in told.items():
            session = self._by_epoch.get(epoch)
            if session is None:
                session = self._put(Session(status.lease, status.stats.client, status.stats.began_at))
            session.began_at, session.stats = status.stats.began_at, status.stats
            self._last_epoch = max(self._last_epoch, epoch)
        return self._lose(missing)

    def engine_lost(self) -> list[Session]:
        """Nobody sends any more: end all sessions and return them."""
        return self._lose(list(self._by_epoch.values()))

    def _lose(self, sessions: list[Session]) -> list[Session]:
        now = self._clock.now()
        return [
            ended
            for session in sessions
            if (ended := self.end(session.lease, EndReason.ENGINE_LOST, now, None)) is not None
        ]

    def _put(self, session: Session) -> Session:
        self._by_stream.setdefault(session.lease.stream, []).append(session)
        self._by_epoch[session.lease.epoch] = session
        return session
