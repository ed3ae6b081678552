"""Puts on air, into the history and onto the blacklist what KLS's operations are asked about."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from penstock.domain.live import Live
from penstock.domain.sessions import Session
from penstock.link.messages import Audience, AudioFacts, Client, StreamStats, VideoFacts
from penstock.model import StreamId
from penstock.storage.rows import Refusal
from tests.clock import START
from tests.domain.kit import CLIENT, make_stats
from tests.storage import kit as rows

NOW = int(START.timestamp())
DAY = 86_400
SENT = replace(
    make_stats(0),
    bitrate_kbps=2100.5,
    bytes_in=1,
    video=VideoFacts(
        codec="avc",
        width=1280,
        height=720,
        declared_fps=25.0,
        fps=23.9,
        bitrate_kbps=2000.4,
        frame_loss_percent=4.4,
    ),
    audio=AudioFacts(codec="aac", sample_rate=44_100, channels=2, bitrate_kbps=128.1),
)

_epochs = itertools.count(1)


def ago(**span: float) -> datetime:
    return START - timedelta(**span)


def on_air(
    live: Live,
    name: str,
    *,
    vhost: str = "demo",
    app: str = "live",
    domain: str = "push.demo.test",
    at: datetime = START,
    stats: StreamStats | None = SENT,
    client: Client = CLIENT,
) -> Session:
    stream = StreamId(vhost, app, name)
    session = live.sessions.admit(stream, client, account=live.registry.account_of(vhost), push_domain=domain)
    live.sessions.began(session.lease, at)
    session.stats = stats
    return session


def watched(live: Live, session: Session, *audience: Audience, after_s: float = 0) -> None:
    """The engine counts its players: now, or so many seconds later."""
    stats = make_stats(session.lease.epoch, audience=audience)
    live.audiences.see(session.lease.stream, stats, live.clock.monotonic() + after_s)


async def published(
    live: Live,
    name: str,
    began: datetime,
    ended: datetime,
    *,
    vhost: str = "demo",
    app: str = "live",
    account: str = "1",
    **changes: Any,
) -> None:
    """A publish that is over."""
    stream = StreamId(vhost, app, name)
    await rows.publish(live.store, next(_epochs), began, ended, stream=stream, account=account, **changes)


async def turned_away(live: Live, name: str, at: datetime, code: int = 423, **changes: Any) -> None:
    refusal = rows.refusal(at=at, code=code, stream=name, account="1")
    await live.store.put_refusals([Refusal(**{**_members(refusal), **changes})])


def _members(row: Refusal) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}
