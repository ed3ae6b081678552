"""Who holds which name: a session is a lease that control gave, and only its end gives the name back.

Leases carry a rising epoch. What an engine tells of an older epoch than the one in force is about
a publish that is over, and changes nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable
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
    account: str = ""
    push_domain: str = ""
    began_at: datetime | None = None
    stats: StreamStats | None = None
    reason: EndReason | None = None
    ended_at: datetime | None = None


class Sessions:
    """All sessions in force, by stream."""

    def __init__(self, clock: Clock, highest_epoch: int = 0) -> None:
        """`highest_epoch` is the highest one that was ever given out, as far as the store knows."""
        self._clock = clock
        # The wall clock in microseconds starts each control process above all epochs of the one before, even
        # above those that never came into the store.
        self._last_epoch = max(int(clock.now().timestamp() * 1_000_000), highest_epoch)
        # Nearly always one; while one takes over, the holder and who was let in to replace it.
        self._by_stream: dict[StreamId, list[Session]] = {}
        self._by_epoch: dict[int, Session] = {}
        self.bytes_in = 0  # media that publishers sent since this control process knows of them

    def __len__(self) -> int:
        return len(self._by_stream)

    def holder(self, stream: StreamId) -> Session | None:
        """Who was last given `stream`, of those whose session is not over."""
        sessions = self._by_stream.get(stream)
        return sessions[-1] if sessions else None

    def on_air(self) -> list[Session]:
        """The sessions that send media now, in the order in which they were admitted."""
        return [session for session in self._by_epoch.values() if session.began_at is not None]

    def admit(self, stream: StreamId, client: Client, *, account: str = "", push_domain: str = "") -> Session:
        """Lease `stream` to a publisher. A holder that it replaces is told of by its own end."""
        self._last_epoch += 1
        lease = Lease(stream, uuid.uuid4().hex, self._last_epoch)
        return self._put(Session(lease, client, self._clock.now(), account, push_domain))

    def began(self, lease: Lease, at: datetime) -> None:
        session = self._by_epoch.get(lease.epoch)
        if session is not None:
            session.began_at = at

    def update(self, stats: StreamStats) -> Session | None:
        """Keep the latest facts; returns the session, or None for one that is over."""
        session = self._by_epoch.get(stats.epoch)
        if session is not None:
            self._take_stats(session, stats)
        return session

    def _take_stats(self, session: Session, stats: StreamStats) -> None:
        before = session.stats.bytes_in if session.stats is not None else 0
        self.bytes_in += max(0, stats.bytes_in - before)
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
        if last is not None:
            self._take_stats(session, last)
        return session

    def adopt(self, session: Session) -> None:
        """Take over a session that an earlier control process admitted, until an engine says what became of it."""
        if session.lease.epoch not in self._by_epoch:
            self._put(session)
            self._last_epoch = max(self._last_epoch, session.lease.epoch)

    def rebuild(self, on_air: Iterable[OnAir], still_to_come: Collection[int] = ()) -> list[Session]:
        """An engine connected and says what is on air; returns the sessions that are not, now ended.

        Sessions with an epoch in `still_to_come` wait for the end that the engine is about to tell.
        """
        told = {status.lease.epoch: status for status in on_air}
        for epoch, status in told.items():
            self.adopt(Session(status.lease, status.stats.client, status.stats.began_at))
            session = self._by_epoch[epoch]
            session.began_at, session.stats = status.stats.began_at, status.stats
        known = (*told, *still_to_come)
        return self._lose([session for epoch, session in self._by_epoch.items() if epoch not in known])

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
