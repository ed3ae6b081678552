"""Takes away what is past its time, or the oldest above a number, in steps that are soon done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select, true, tuple_

from penstock.storage.queries import relays
from penstock.storage.queries.sessions import EPOCH_MARK, highest_epoch
from penstock.storage.rows import Retention
from penstock.storage.schema import (
    bans,
    deliveries,
    explained,
    files,
    marks,
    notice_counts,
    notices,
    recordings,
    refusals,
    relay_tasks,
    sessions,
)
from penstock.storage.sqlite import upsert

STEP = 2000  # rows; who writes meanwhile waits for one step at most


def sweep_sessions(connection: Connection, retention: Retention) -> int:
    connection.execute(upsert(marks, "name"), {"name": EPOCH_MARK, "value": highest_epoch(connection)})
    ended_at = sessions.c.ended_at
    over = ended_at.is_not(None)
    return _sweep(connection, sessions, ended_at, retention.ended_before, retention.max_sessions, over)


def sweep_bans(connection: Connection, retention: Retention) -> int:
    return _sweep(connection, bans, bans.c.until, retention.ended_before, None)


def sweep_refusals(connection: Connection, retention: Retention) -> int:
    return _sweep(connection, refusals, refusals.c.at, retention.refused_before, retention.max_refusals)


def sweep_explained(connection: Connection, retention: Retention) -> int:
    return _sweep(connection, explained, explained.c.at, retention.explained_before, retention.max_explained)


def sweep_relays(connection: Connection, retention: Retention) -> int:
    before = retention.relayed_before
    if before is None:
        return 0
    ended = select(relay_tasks.c.id).where(relay_tasks.c.ends_at < before).order_by(relay_tasks.c.ends_at).limit(STEP)
    ids = list(connection.scalars(ended))
    for id in ids:
        relays.remove_task(connection, id)
    return len(ids)


def sweep_notices(connection: Connection, retention: Retention) -> int:
    """A count goes when its subject has no callback left, and had none for so long."""
    before, c = retention.noticed_before, notices.c
    over = c.state != "waiting"
    ids: list[int] = []
    if before is not None:
        old = select(c.id).where(c.made_at < before, over).order_by(c.made_at).limit(STEP)
        ids = list(connection.scalars(old))
    if retention.max_notices is not None and len(ids) < STEP:
        number = connection.scalar(select(func.count()).select_from(notices)) or 0
        most = min(max(0, number - len(ids) - retention.max_notices), STEP - len(ids))
        ids += connection.scalars(select(c.id).where(over, c.id.not_in(ids)).order_by(c.id).limit(most))
    if ids:
        connection.execute(deliveries.delete().where(deliveries.c.notice.in_(ids)))
        connection.execute(notices.delete().where(c.id.in_(ids)))
    if before is not None:
        has_notice = select(c.id).where(c.subject == notice_counts.c.subject).exists()
        connection.execute(notice_counts.delete().where(notice_counts.c.at < before, ~has_notice))
    return len(ids)


def sweep_recordings(connection: Connection, retention: Retention) -> int:
    """A recording goes with its files' rows, once none of them is on the disk."""
    before = retention.recorded_before
    if before is None:
        return 0
    c = recordings.c
    of_it = files.c.recording == c.number
    has_file = select(files.c.id).where(of_it, files.c.removed_at.is_(None), files.c.is_lost.is_(False)).exists()
    due = select(c.number).where(c.ended_at < before, ~has_file).order_by(c.ended_at, c.number).limit(STEP)
    numbers = list(connection.scalars(due))
    connection.execute(files.delete().where(files.c.recording.in_(numbers)))
    connection.execute(recordings.delete().where(c.number.in_(numbers)))
    return len(numbers)


def _sweep(
    connection: Connection,
    table: Table,
    time: ColumnElement[datetime],
    before: datetime | None,
    most: int | None,
    condition: ColumnElement[bool] | None = None,
) -> int:
    """Delete up to STEP rows, the oldest first; fewer than STEP means that no more are due."""
    condition = true() if condition is None else condition
    old = 0 if before is None else _delete(connection, table, time, condition & (time < before), STEP)
    if most is None or old == STEP:
        return old
    number = connection.scalar(select(func.count()).select_from(table).where(condition)) or 0
    return old + _delete(connection, table, time, condition, min(number - most, STEP - old))


def _delete(
    connection: Connection, table: Table, time: ColumnElement[datetime], condition: ColumnElement[bool], most: int
) -> int:
    if most <= 0:
        return 0
    key = list(table.primary_key.columns)
    oldest = select(*key).where(condition).order_by(time, *key).limit(most)
    found: Any = connection.execute(table.delete().where(tuple_(*key).in_(oldest)))
    return int(found.rowcount)
