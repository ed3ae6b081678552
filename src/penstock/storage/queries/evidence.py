"""What was refused: publishes turned away, and requests with the rule that answered them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from penstock.storage.queries.mapping import columns_of, first_of, matching, ordered, page_of
from penstock.storage.rows import ExplainEntry, Page, Refusal, RefusalQuery
from penstock.storage.schema import explained, refusals
from penstock.storage.sqlite import upsert

FIND_EXPLAINED = select(explained).where(explained.c.request_id == bindparam("of_request"))


def put_refusals(connection: Connection, rows: Sequence[Refusal]) -> None:
    if rows:
        connection.execute(refusals.insert(), [columns_of(row) for row in rows])


def list_refusals(connection: Connection, query: RefusalQuery) -> Page[Refusal]:
    c = refusals.c
    conditions = (
        *matching(refusals, query, "account", "vhost", "app", "domain", "stream"),
        c.at >= query.since,
        c.at < query.until,
    )
    order = ordered((c.at, c.id), descending=query.newest_first)
    return page_of(connection, Refusal, refusals, conditions, order, offset=query.offset, limit=query.limit)


def put_explained(connection: Connection, entries: Sequence[ExplainEntry]) -> None:
    if entries:
        connection.execute(upsert(explained, "request_id"), [columns_of(entry) for entry in entries])


def find_explained(connection: Connection, request_id: str) -> ExplainEntry | None:
    return first_of(connection, ExplainEntry, FIND_EXPLAINED, of_request=request_id)
