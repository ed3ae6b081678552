"""Files that recordings made: begun, ended, removed, and which of them have to go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, func, select

from penstock.storage.queries.mapping import columns_of, first_of, rows_of
from penstock.storage.recordings import FileEnd, FileSum, RecordedFile
from penstock.storage.schema import files
from penstock.storage.sqlite import upsert

c = files.c
OF_PATH = (c.recording == bindparam("of_recording"), c.path == bindparam("of_path"))
FIND = select(files).where(c.id == bindparam("of_id"))
FIND_PATH = select(files).where(*OF_PATH)
OPEN = select(files).where(c.ended_at.is_(None)).order_by(c.id)
THERE = (c.removed_at.is_(None), c.ended_at.is_not(None))


def begin_file(connection: Connection, file: RecordedFile) -> None:
    """One that is there goes on: its facts are those of its next end."""
    before = first_of(connection, RecordedFile, FIND_PATH, of_recording=file.recording, of_path=file.path)
    if before is not None:
        file = msgspec.structs.replace(file, session=before.session, began_at=before.began_at)
    values = columns_of(file)
    del values["id"]
    connection.execute(upsert(files, "recording", "path"), values)


def end_file(connection: Connection, end: FileEnd) -> None:
    before = first_of(connection, RecordedFile, FIND_PATH, of_recording=end.recording, of_path=end.path)
    if before is not None and before.ended_at is not None and not before.is_lost:
        return
    values = msgspec.structs.asdict(end)
    values["ended_at"] = values.pop("at")
    by = values.pop("by")
    if before is not None and end.is_lost and by == before.engine:
        connection.execute(files.delete().where(c.id == before.id))
        return
    if before is None:
        # Its beginning was told to a store that failed.
        values |= {"session": "", "engine": "", "began_at": end.at, "removed_at": None}
        connection.execute(files.insert(), values)
        return
    connection.execute(files.update().where(c.id == before.id), values)


def remove_file(connection: Connection, recording: int, path: str, at: datetime) -> None:
    statement = files.update().where(*OF_PATH, c.removed_at.is_(None))
    connection.execute(statement, {"of_recording": recording, "of_path": path, "removed_at": at})


def find_file(connection: Connection, number: int) -> RecordedFile | None:
    return first_of(connection, RecordedFile, FIND, of_id=number)


def files_of(connection: Connection, recording: int) -> list[RecordedFile]:
    return rows_of(connection, RecordedFile, select(files).where(c.recording == recording).order_by(c.id))


def open_files(connection: Connection) -> list[RecordedFile]:
    return rows_of(connection, RecordedFile, OPEN)


def sum_files(connection: Connection, recordings: Sequence[int]) -> dict[int, FileSum]:
    statement = (
        select(
            c.recording,
            func.count(),
            func.sum(c.size_bytes),
            func.sum(c.duration_ms),
            func.sum(func.json_array_length(c.gaps)),
        )
        .where(c.recording.in_(recordings), c.removed_at.is_(None), c.is_lost.is_(False))
        .group_by(c.recording)
    )
    return {row[0]: FileSum(*row[1:]) for row in connection.execute(statement)}


def files_to_remove(
    connection: Connection, ended_before: datetime | None, max_bytes: int | None, limit: int
) -> list[RecordedFile]:
    """The oldest first: those that ended too long ago, and those above so many bytes of all together."""
    due: list[ColumnElement[bool]] = [c.ended_at < ended_before] if ended_before is not None else []
    found = _oldest(connection, due, limit) if due else []
    if max_bytes is None or len(found) == limit:
        return found
    total = connection.scalar(select(func.sum(c.size_bytes)).where(c.removed_at.is_(None))) or 0
    over = total - max_bytes - sum(file.size_bytes for file in found)
    known = {file.id for file in found}
    for file in _oldest(connection, [], limit) if over > 0 else ():
        if over <= 0 or len(found) == limit:
            break
        if file.id not in known:
            found.append(file)
            over -= file.size_bytes
    return found


def _oldest(connection: Connection, due: list[ColumnElement[bool]], limit: int) -> list[RecordedFile]:
    return rows_of(connection, RecordedFile, select(files).where(*THERE, *due).order_by(c.ended_at, c.id).limit(limit))
