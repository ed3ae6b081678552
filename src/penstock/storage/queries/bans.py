"""Bans: one for a stream, in force until just before its end."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, select

from penstock.model import StreamId
from penstock.storage.queries.mapping import columns_of, containing, first_of, matching, ordered, page_of
from penstock.storage.rows import Ban, BanQuery, Page
from penstock.storage.schema import bans
from penstock.storage.sqlite import upsert

OF_STREAM = (
    bans.c.vhost == bindparam("of_vhost"),
    bans.c.app == bindparam("of_app"),
    bans.c.stream == bindparam("of_stream"),
)
FIND = select(bans).where(*OF_STREAM, bans.c.until > bindparam("now"))
LIFT = bans.delete().where(*OF_STREAM)


def put_ban(connection: Connection, ban: Ban) -> Ban:
    before = find_ban(connection, ban.stream, ban.changed_at)
    if before is not None:
        ban = msgspec.structs.replace(ban, since=before.since)
    connection.execute(upsert(bans, "vhost", "app", "stream"), columns_of(ban))
    return ban


def lift_ban(connection: Connection, stream: StreamId, now: datetime) -> Ban | None:
    found = find_ban(connection, stream, now)
    if found is not None:
        connection.execute(LIFT, _of(stream))
    return found


def find_ban(connection: Connection, stream: StreamId, now: datetime) -> Ban | None:
    return first_of(connection, Ban, FIND, **_of(stream), now=now)


def list_bans(connection: Connection, query: BanQuery) -> Page[Ban]:
    conditions = (
        *matching(bans, query, "account", "vhost", "app", "stream", "push_domain"),
        *containing(bans.c.stream, query.stream_part),
        bans.c.until > query.now,
    )
    order = ordered((bans.c.until, bans.c.vhost, bans.c.app, bans.c.stream), descending=not query.ends_first)
    return page_of(connection, Ban, bans, conditions, order, offset=query.offset, limit=query.limit)


def _of(stream: StreamId) -> dict[str, str]:
    return {"of_vhost": stream.vhost, "of_app": stream.app, "of_stream": stream.stream}
