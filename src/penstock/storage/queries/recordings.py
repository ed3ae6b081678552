"""Recordings: asked for, noted, over."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, func, select

from penstock.model import StreamId
from penstock.storage.queries.mapping import columns_of, first_of, matching, ordered, page_of, rows_of
from penstock.storage.recordings import Recording, RecordingNote, RecordingQuery, StateWord
from penstock.storage.rows import Page
from penstock.storage.schema import recordings

c = recordings.c
FIND = select(recordings).where(c.number == bindparam("of_number"))
OF_ID = select(recordings).where(c.id == bindparam("of_id"))
WANTED = select(recordings).where(c.ended_at.is_(None)).order_by(c.number)
NOTE = recordings.update().where(c.number == bindparam("of_number"))
END = NOTE.where(c.ended_at.is_(None))


def add_recording(connection: Connection, recording: Recording) -> Recording:
    values = columns_of(recording)
    del values["number"]
    key = connection.execute(recordings.insert(), values).inserted_primary_key
    assert key is not None
    return msgspec.structs.replace(recording, number=key[0])


def note_recording(connection: Connection, note: RecordingNote) -> None:
    values: dict[str, Any] = {"state": note.state, "error": note.error, "next_try": note.next_try}
    statement = NOTE.values(began_at=func.coalesce(c.began_at, bindparam("first_bytes", type_=c.began_at.type)))
    connection.execute(statement, {"of_number": note.number, "first_bytes": note.began_at, **values})


def end_recording(connection: Connection, number: int, at: datetime, state: StateWord, why: str) -> bool:
    values = {"ended_at": at, "state": state, "why": why, "next_try": None}
    changed: Any = connection.execute(END, {"of_number": number, **values})
    return bool(changed.rowcount)


def find_recording(connection: Connection, number: int) -> Recording | None:
    return first_of(connection, Recording, FIND, of_number=number)


def recording_of(connection: Connection, id: str) -> Recording | None:
    return first_of(connection, Recording, OF_ID, of_id=id)


def wanted_recordings(connection: Connection) -> list[Recording]:
    return rows_of(connection, Recording, WANTED)


def last_always(connection: Connection, stream: StreamId) -> Recording | None:
    of_stream = (c.vhost == stream.vhost, c.app == stream.app, c.stream == stream.stream)
    statement = select(recordings).where(*of_stream, c.always.is_(True)).order_by(c.number.desc()).limit(1)
    return first_of(connection, Recording, statement)


def list_recordings(connection: Connection, query: RecordingQuery) -> Page[Recording]:
    order = ordered((c.from_at, c.number), descending=query.newest_first)
    return page_of(connection, Recording, recordings, _conditions(query), order, offset=query.offset, limit=query.limit)


def _conditions(query: RecordingQuery) -> list[ColumnElement[bool]]:
    conditions = matching(recordings, query, "account", "vhost", "app", "push_domain", "stream")
    if query.is_wanted is not None:
        conditions.append(c.ended_at.is_(None) if query.is_wanted else c.ended_at.is_not(None))
    if query.states is not None:
        conditions.append(c.state.in_(query.states))
    if query.is_planned is not None:
        planned = c.until.is_not(None)
        conditions.append(planned if query.is_planned else ~planned)
    if query.since is not None:
        conditions.append(c.from_at >= query.since)
    if query.until is not None:
        conditions.append(c.from_at < query.until)
    return conditions
