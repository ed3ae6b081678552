"""What is written down of publishes: sessions and refusals, as rows."""

from __future__ import annotations

from datetime import datetime

import msgspec

from penstock.domain.live import Live
from penstock.domain.sessions import Session
from penstock.errors import DomainError
from penstock.link.messages import Client, Lease, PublishAsked, StreamStats, TurnedAway
from penstock.storage.rows import Refusal, SessionEnd, SessionRow


def row_of(session: Session) -> SessionRow:
    """An admitted publish."""
    client, lease = session.client, session.lease
    return SessionRow(
        epoch=lease.epoch,
        session=lease.session,
        stream=lease.stream,
        account=session.account,
        push_domain=session.push_domain,
        address=client.address,
        port=client.port,
        tls=client.tls,
        agent=client.agent,
        admitted_at=session.admitted_at,
        began_at=session.began_at,
        facts=facts_of(session.stats),
    )


def session_of(row: SessionRow) -> Session:
    """The session behind the row of an open one; facts are left for its engine to tell."""
    client = Client(row.address, row.port, row.tls, row.agent)
    lease = Lease(row.stream, row.session, row.epoch)
    return Session(lease, client, row.admitted_at, row.account, row.push_domain)


def end_of(session: Session, detail: str) -> SessionEnd:
    """How a session ended."""
    assert session.ended_at is not None
    assert session.reason is not None
    return SessionEnd(
        epoch=session.lease.epoch,
        at=session.ended_at,
        reason=str(session.reason),
        detail=detail,
        began_at=session.began_at,
        facts=facts_of(session.stats),
        bytes_in=session.stats.bytes_in if session.stats is not None else 0,
    )


def facts_of(stats: StreamStats | None) -> str:
    """A session's last facts as JSON; empty when nothing was measured."""
    return "" if stats is None or not stats.bytes_in else msgspec.json.encode(stats).decode()


def refusal_of(live: Live, asked: PublishAsked, error: DomainError) -> Refusal:
    """A publish that control refused."""
    stream, client = asked.stream, asked.client
    return Refusal(
        at=live.clock.now(),
        code=error.code,
        why=str(error),
        vhost=stream.vhost,
        app=stream.app,
        stream=stream.stream,
        account=live.registry.account_of(stream.vhost),
        domain=live.registry.domain_for(stream.vhost, "push", asked.domain),
        address=client.address,
        port=client.port,
        agent=client.agent,
    )


def turned_away(live: Live, told: TurnedAway, at: datetime) -> Refusal:
    """A publish that the engine refused by itself."""
    client = told.client
    return Refusal(
        at=at,
        code=told.code,
        why=told.why,
        vhost=told.vhost,
        app=told.app,
        stream=told.name,
        account=live.registry.account_of(told.vhost),
        domain=live.registry.domain_for(told.vhost, "push", told.domain),
        address=client.address,
        port=client.port,
        agent=client.agent,
    )
