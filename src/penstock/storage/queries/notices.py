"""Callbacks: what waits to be delivered, what became of it, and every try."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, func, or_, select

from penstock.storage.queries.mapping import columns_of, matching, ordered, page_of, rows_of
from penstock.storage.relay_rows import Delivery, Notice, NoticeQuery
from penstock.storage.rows import Page
from penstock.storage.schema import deliveries, notice_counts, notices
from penstock.storage.sqlite import upsert

WAITING: Final = "waiting"
GIVEN_UP: Final = "given up"
MAX_WAITING: Final = 50  # of one subject


def put_notice(connection: Connection, notice: Notice) -> Notice:
    of_subject = notice_counts.c.subject == notice.subject
    last = connection.scalar(select(notice_counts.c.sequence).where(of_subject)) or 0
    count = {"subject": notice.subject, "sequence": last + 1, "at": notice.made_at}
    connection.execute(upsert(notice_counts, "subject"), count)
    values = columns_of(notice) | {"sequence": last + 1}
    del values["id"]
    key = connection.execute(notices.insert(), values).inserted_primary_key
    assert key is not None
    _give_up_the_oldest(connection, notice.subject)
    return msgspec.structs.replace(notice, id=key[0], sequence=last + 1)


def update_notice(connection: Connection, notice: Notice, delivery: Delivery | None = None) -> None:
    values = columns_of(notice)
    del values["id"]
    connection.execute(notices.update().where(notices.c.id == notice.id), values)
    if delivery is not None:
        connection.execute(deliveries.insert(), columns_of(delivery))


def find_notice(connection: Connection, id: int) -> Notice | None:
    found = rows_of(connection, Notice, select(notices).where(notices.c.id == id))
    return found[0] if found else None


def waiting_notices(connection: Connection, now: datetime, *, per_account: int) -> list[Notice]:
    c = notices.c
    first = (select(func.min(c.id).label("id")).where(c.state == WAITING).group_by(c.subject)).subquery()
    place = func.row_number().over(partition_by=c.account, order_by=c.id).label("place")
    is_due = or_(c.next_try_at.is_(None), c.next_try_at <= now)
    due = select(c.id, place).join(first, c.id == first.c.id).where(is_due).subquery()
    statement = select(notices).join(due, c.id == due.c.id).where(due.c.place <= per_account).order_by(c.id)
    return rows_of(connection, Notice, statement)


def _give_up_the_oldest(connection: Connection, subject: str) -> None:
    """Let no more than MAX_WAITING of a subject wait: a receiver that is gone for good would have the disk filled."""
    c = notices.c
    waits = (c.subject == subject) & (c.state == WAITING)
    kept_from = connection.scalar(select(c.id).where(waits).order_by(c.id.desc()).offset(MAX_WAITING - 1).limit(1))
    if kept_from is not None:
        given_up = {"state": GIVEN_UP, "next_try_at": None, "answer": f"more than {MAX_WAITING} waited"}
        connection.execute(notices.update().where(waits, c.id < kept_from), given_up)


def list_notices(connection: Connection, query: NoticeQuery) -> Page[Notice]:
    conditions = matching(notices, query, "account", "subject", "state")
    order = ordered((notices.c.id,), descending=True)
    return page_of(connection, Notice, notices, conditions, order, offset=query.offset, limit=query.limit)


def list_deliveries(connection: Connection, notice_ids: Sequence[int]) -> list[Delivery]:
    statement = select(deliveries).where(deliveries.c.notice.in_(list(notice_ids))).order_by(deliveries.c.id)
    return rows_of(connection, Delivery, statement)
