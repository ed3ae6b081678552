"""Relays: groups, tasks, and how these stand."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select

from penstock.storage.queries.mapping import columns_of, containing, first_of, matching, ordered, page_of, rows_of
from penstock.storage.relay_rows import GroupQuery, RelayGroup, RelayProgress, RelayQuery, RelayTask
from penstock.storage.rows import Page
from penstock.storage.schema import relay_groups, relay_pictures, relay_progress, relay_tasks
from penstock.storage.sqlite import insert_missing, upsert

FIND_GROUP = select(relay_groups).where(
    relay_groups.c.account == bindparam("of_account"), relay_groups.c.name == bindparam("of_name")
)
PICTURE_OF = select(relay_tasks.c.picture).where(relay_tasks.c.id == bindparam("of_id"))
FIND_TASK = select(relay_tasks).where(relay_tasks.c.id == bindparam("of_id"))


def put_group(connection: Connection, group: RelayGroup) -> None:
    connection.execute(upsert(relay_groups, "account", "name"), columns_of(group))


def find_group(connection: Connection, account: str, name: str) -> RelayGroup | None:
    return first_of(connection, RelayGroup, FIND_GROUP, of_account=account, of_name=name)


def list_groups(connection: Connection, query: GroupQuery) -> Page[RelayGroup]:
    conditions = matching(relay_groups, query, "account")
    if not query.available:
        conditions.append(relay_groups.c.deleted_at.is_not(None))
    if not query.deleted:
        conditions.append(relay_groups.c.deleted_at.is_(None))
    order = ordered((relay_groups.c.created_at, relay_groups.c.account, relay_groups.c.name), descending=True)
    return page_of(connection, RelayGroup, relay_groups, conditions, order, offset=query.offset, limit=query.limit)


def put_task(connection: Connection, task: RelayTask) -> None:
    picture = task.watermark.picture if task.watermark is not None else None
    columns = columns_of(task) | {"title_folded": task.title.casefold(), "picture": picture}
    before = connection.scalar(PICTURE_OF, {"of_id": task.id})
    connection.execute(upsert(relay_tasks, "id"), columns)
    _drop_picture(connection, before)


def remove_task(connection: Connection, task: str) -> None:
    before = connection.scalar(PICTURE_OF, {"of_id": task})
    connection.execute(relay_tasks.delete().where(relay_tasks.c.id == task))
    connection.execute(relay_progress.delete().where(relay_progress.c.task == task))
    _drop_picture(connection, before)


def _drop_picture(connection: Connection, name: str | None) -> None:
    """Take a picture away that no task lays over its frames any more."""
    is_used = select(relay_tasks.c.id).where(relay_tasks.c.picture == name).exists()
    if name is not None:
        connection.execute(relay_pictures.delete().where(relay_pictures.c.name == name, ~is_used))


def find_task(connection: Connection, task: str) -> RelayTask | None:
    return first_of(connection, RelayTask, FIND_TASK, of_id=task)


def list_tasks(connection: Connection, query: RelayQuery) -> Page[RelayTask]:
    part = query.title_part.casefold() if query.title_part else None
    conditions = (
        *matching(relay_tasks, query, "account", "group"),
        *containing(relay_tasks.c.title_folded, part),
    )
    order = ordered((relay_tasks.c.created_at, relay_tasks.c.id), descending=True)
    return page_of(connection, RelayTask, relay_tasks, conditions, order, offset=query.offset, limit=query.limit)


def due_tasks(connection: Connection, now: datetime) -> list[RelayTask]:
    is_due = or_(relay_tasks.c.ends_at > now, relay_tasks.c.is_settled.is_(False))
    statement = select(relay_tasks).where(relay_tasks.c.is_stopped.is_(False), is_due)
    return rows_of(connection, RelayTask, statement.order_by(relay_tasks.c.created_at, relay_tasks.c.id))


def count_tasks(
    connection: Connection, *, ending_after: datetime, account: str | None = None, group: str | None = None
) -> int:
    table = relay_tasks.c
    conditions: list[ColumnElement[bool]] = [table.is_stopped.is_(False), table.ends_at > ending_after]
    conditions += [table.account == account] if account is not None else []
    conditions += [table.group == group] if group is not None else []
    return connection.scalar(select(func.count()).select_from(relay_tasks).where(*conditions)) or 0


def settle_task(connection: Connection, task: RelayTask) -> bool:
    same = (relay_tasks.c.id == task.id, relay_tasks.c.changed_at == task.changed_at)
    found: Any = connection.execute(relay_tasks.update().where(*same), {"is_settled": True})
    return bool(found.rowcount)


def put_progress(connection: Connection, progress: RelayProgress) -> None:
    if find_task(connection, progress.task) is not None:
        connection.execute(upsert(relay_progress, "task"), columns_of(progress))


def find_progress(connection: Connection, tasks: Collection[str]) -> dict[str, RelayProgress]:
    statement = select(relay_progress).where(relay_progress.c.task.in_(list(tasks)))
    return {row.task: row for row in rows_of(connection, RelayProgress, statement)}


def put_picture(connection: Connection, name: str, data: bytes) -> None:
    connection.execute(insert_missing(relay_pictures), {"name": name, "data": data})


def find_picture(connection: Connection, name: str) -> bytes | None:
    return connection.scalar(select(relay_pictures.c.data).where(relay_pictures.c.name == name))
