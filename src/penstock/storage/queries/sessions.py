"""Sessions: admitted, begun, ended; then history."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select

from penstock.storage.queries.mapping import (
    columns_of,
    containing,
    first_of,
    matching,
    ordered,
    page_of,
    rows_of,
    stream_of,
    within,
)
from penstock.storage.rows import HistoryQuery, Page, SessionEnd, SessionRow, Span
from penstock.storage.schema import marks, sessions
from penstock.storage.sqlite import insert_missing

# The highest epoch that was swept away.
EPOCH_MARK = "epoch"

c = sessions.c
FIND = select(sessions).where(c.epoch == bindparam("of_epoch"))
OPEN = select(sessions).where(c.ended_at.is_(None)).order_by(c.epoch)
CHANGE_OPEN = sessions.update().where(c.epoch == bindparam("of_epoch"), c.ended_at.is_(None))
BEGIN = CHANGE_OPEN.where(c.began_at.is_(None))

REOPEN = (
    sessions.update()
    .where(c.epoch == bindparam("of_epoch"), c.ended_at.is_not(None), c.reason == bindparam("of_reason"))
    .values(ended_at=None, reason="", detail="")
)


def admit_session(connection: Connection, session: SessionRow) -> None:
    connection.execute(insert_missing(sessions), columns_of(session))


def begin_session(connection: Connection, epoch: int, at: datetime) -> bool:
    changed: Any = connection.execute(BEGIN, {"of_epoch": epoch, "began_at": at})
    return bool(changed.rowcount)


def note_session(connection: Connection, epoch: int, facts: str, bytes_in: int) -> bool:
    changed: Any = connection.execute(CHANGE_OPEN, {"of_epoch": epoch, "facts": facts, "bytes_in": bytes_in})
    return bool(changed.rowcount)


def end_session(connection: Connection, end: SessionEnd) -> SessionRow | None:
    row = find_session(connection, end.epoch)
    if row is None or row.ended_at is not None:
        return None
    return _end(connection, [row], end)[0]


def reopen_session(connection: Connection, epoch: int, reason: str) -> bool:
    changed: Any = connection.execute(REOPEN, {"of_epoch": epoch, "of_reason": reason})
    return bool(changed.rowcount)


def end_open_sessions(
    connection: Connection, at: datetime, reason: str, detail: str = "", *, keep: Collection[int] = ()
) -> list[SessionRow]:
    kept = frozenset(keep)
    rows = [row for row in open_sessions(connection) if row.epoch not in kept]
    return _end(connection, rows, SessionEnd(epoch=0, at=at, reason=reason, detail=detail))


def _end(connection: Connection, rows: list[SessionRow], end: SessionEnd) -> list[SessionRow]:
    ended = [
        msgspec.structs.replace(
            row,
            began_at=row.began_at or end.began_at,
            ended_at=end.at,
            reason=end.reason,
            code=end.code,
            detail=end.detail,
            facts=end.facts or row.facts,
            bytes_in=max(row.bytes_in, end.bytes_in),
        )
        for row in rows
    ]
    names = ("began_at", "ended_at", "reason", "code", "detail", "facts", "bytes_in")
    changes = [{"of_epoch": row.epoch, **{name: getattr(row, name) for name in names}} for row in ended]
    if changes:
        connection.execute(CHANGE_OPEN, changes)
    return ended


def open_sessions(connection: Connection) -> list[SessionRow]:
    return rows_of(connection, SessionRow, OPEN)


def find_session(connection: Connection, epoch: int) -> SessionRow | None:
    return first_of(connection, SessionRow, FIND, of_epoch=epoch)


def history(connection: Connection, query: HistoryQuery) -> Page[SessionRow]:
    time = c[query.by]
    conditions = (
        *_matching(query),
        time >= query.since,
        time < query.until,
        c.began_at.is_not(None),
        c.ended_at.is_not(None),
    )
    order = ordered((time, c.epoch), descending=query.newest_first)
    return page_of(connection, SessionRow, sessions, conditions, order, offset=query.offset, limit=query.limit)


def spans(connection: Connection, query: HistoryQuery) -> list[Span]:
    statement = (
        select(c.vhost, c.app, c.stream, c.began_at, c.ended_at)
        .where(*_matching(query), c.began_at < query.until, or_(c.ended_at.is_(None), c.ended_at > query.since))
        .order_by(*ordered((c.began_at, c.epoch), descending=query.newest_first))
        .limit(within(query.limit))
        .offset(within(query.offset))
    )
    found = (dict(row) for row in connection.execute(statement).mappings())
    return [Span(stream_of(row), row["began_at"], row["ended_at"]) for row in found]


def _matching(query: HistoryQuery) -> list[ColumnElement[bool]]:
    return [
        *matching(sessions, query, "account", "vhost", "app", "push_domain", "stream"),
        *containing(c.stream, query.stream_part),
    ]


def highest_epoch(connection: Connection) -> int:
    kept = connection.scalar(select(func.max(c.epoch))) or 0
    swept = connection.scalar(select(marks.c.value).where(marks.c.name == EPOCH_MARK)) or 0
    return max(kept, swept)
