"""Callbacks: what waits to be delivered, what became of it, and every try."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, func, select

from penstock.storage.queries.mapping import columns_of, matching, ordered, page_of, rows_of
from penstock.storage.relay_rows import Delivery, Notice, NoticeQuery
from penstock.storage.rows import Page
from penstock.storage.schema import deliveries, notice_counts, notices
from penstock.storage.sqlite import upsert

WAITING = "waiting"


def put_notice(connection: Connection, notice: Notice) -> Notice:
    of_subject = notice_counts.c.subject == notice.subject
    last = connection.scalar(select(notice_counts.c.sequence).where(of_subject)) or 0
    count = {"subject": notice.subject, "sequence": last + 1, "at": notice.made_at}
    connection.execute(upsert(notice_counts, "subject"), count)
    values = columns_of(notice) | {"sequence": last + 1}
    del values["id"]
    key = connection.execute(notices.insert(), values).inserted_primary_key
    assert key is not None
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


def waiting_notices(connection: Connection, *, limit: int) -> list[Notice]:
    first = (
        select(func.min(notices.c.id).label("id")).where(notices.c.state == WAITING).group_by(notices.c.subject)
    ).subquery()
    statement = select(notices).join(first, notices.c.id == first.c.id).order_by(notices.c.id).limit(limit)
    return rows_of(connection, Notice, statement)


def list_notices(connection: Connection, query: NoticeQuery) -> Page[Notice]:
    conditions = matching(notices, query, "account", "subject", "state")
    order = ordered((notices.c.id,), descending=True)
    return page_of(connection, Notice, notices, conditions, order, offset=query.offset, limit=query.limit)


def list_deliveries(connection: Connection, notice_ids: Sequence[int]) -> list[Delivery]:
    statement = select(deliveries).where(deliveries.c.notice.in_(list(notice_ids))).order_by(deliveries.c.id)
    return rows_of(connection, Delivery, statement)
