"""Takes away what is past its time, or the oldest above a number, in steps that are soon done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select, true, tuple_

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
    relay_pictures,
    relay_progress,
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
    swept = _sweep(connection, relay_tasks, relay_tasks.c.ends_at, retention.relayed_before, None)
    connection.execute(relay_progress.delete().where(relay_progress.c.task.not_in(select(relay_tasks.c.id))))
    _sweep_pictures(connection)
    return swept


def _sweep_pictures(connection: Connection) -> None:
    """Take away pictures that no task lays over its frames any more."""
    used = select(relay_tasks.c.picture).where(relay_tasks.c.picture.is_not(None))
    connection.execute(relay_pictures.delete().where(relay_pictures.c.name.not_in(used)))


def sweep_notices(connection: Connection, retention: Retention) -> int:
    before = retention.noticed_before
    over = notices.c.state != "waiting"
    swept = _sweep(connection, notices, notices.c.made_at, before, retention.max_notices, over)
    connection.execute(deliveries.delete().where(deliveries.c.notice.not_in(select(notices.c.id))))
    if before is not None:
        gone = notice_counts.c.subject.not_in(select(notices.c.subject)) & (notice_counts.c.at < before)
        connection.execute(notice_counts.delete().where(gone))
    return swept


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
