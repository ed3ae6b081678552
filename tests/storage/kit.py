"""Rows to test with: complete, and changed where the test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from penstock.model import StreamId
from penstock.storage.base import Store
from penstock.storage.relay_rows import Notice, RelayGroup, RelayTask, Source
from penstock.storage.rows import Ban, ExplainEntry, Refusal, SessionEnd, SessionRow

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
STREAM = StreamId("demo", "live", "s1")
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)

# Texts that would do harm anywhere but in a bound parameter.
HOSTILE = (
    "'; DROP TABLE bans; --",
    '" OR 1=1 --',
    "%_\\",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "a\r\nSet-Cookie: x",
    "直播 📺 \u202e",
    ":now",
    "?1",
    "{}%(now)s$1",
    "",
)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def ban(**changes: Any) -> Ban:
    row = Ban(
        stream=STREAM,
        since=NOW,
        until=NOW + 90 * DAY,
        changed_at=NOW,
        reason="spam",
        account="alice",
        access_key="AK1",
        cloud="kingsoft",
        push_domain="push.demo.test",
    )
    return replace(row, **changes)


def session(epoch: int, **changes: Any) -> SessionRow:
    row = SessionRow(
        epoch=epoch,
        session=f"session-{epoch}",
        stream=STREAM,
        account="alice",
        push_domain="push.demo.test",
        address="192.0.2.1",
        port=50_000,
        agent="FMLE/3.0",
        admitted_at=NOW,
    )
    return replace(row, **changes)


def end(epoch: int, **changes: Any) -> SessionEnd:
    return replace(SessionEnd(epoch=epoch, at=at(60), reason="publisher left"), **changes)


def refusal(**changes: Any) -> Refusal:
    row = Refusal(
        at=NOW,
        code=423,
        why="banned",
        vhost="demo",
        app="live",
        stream="s1",
        account="alice",
        domain="push.demo.test",
        address="192.0.2.1",
        port=50_000,
    )
    return replace(row, **changes)


def entry(request_id: str, **changes: Any) -> ExplainEntry:
    row = ExplainEntry(request_id=request_id, at=NOW, cloud="kingsoft", outcome="SignatureNotMatch", rule="signature")
    return replace(row, **changes)


async def publish(store: Store, epoch: int, began: datetime, ended: datetime | None, **changes: Any) -> None:
    """A publish from its admission to its end."""
    await store.admit_session(session(epoch, admitted_at=began, **changes))
    await store.begin_session(epoch, began)
    if ended is not None:
        await store.end_session(end(epoch, at=ended))


# Files, small and local: a test may wait for them.


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def relay(id: str, **changes: Any) -> RelayTask:
    row = RelayTask(
        id=id,
        account="alice",
        access_key="AK1",
        cloud="volcengine",
        group="default",
        title="news",
        created_at=NOW,
        changed_at=NOW,
        starts_at=NOW,
        ends_at=NOW + DAY,
        kind="live",
        sources=(Source("rtmp://source.test/live/a"),),
        target="rtmp://target.test/live/b",
    )
    return replace(row, **changes)


def group(name: str, **changes: Any) -> RelayGroup:
    return replace(RelayGroup(account="alice", name=name, project="default", created_at=NOW), **changes)


def notice(subject: str = "t1", **changes: Any) -> Notice:
    row = Notice(
        account="alice", subject=subject, event="start", url="http://receiver.test/", facts='{"a":1}', made_at=NOW
    )
    return replace(row, **changes)
