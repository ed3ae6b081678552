"""Our rows as columns, and back. Fields and columns have the same names; a `StreamId` is three columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, func, select

from penstock.model import StreamId
from penstock.storage.recordings import Recording
from penstock.storage.rows import Ban, Page, Row, SessionRow

R = TypeVar("R", bound=Row)

ALL_ROWS = 2**62  # more than there can be, and still a number that databases take


def columns_of(row: Row) -> dict[str, Any]:
    """The columns of `row`."""
    values = msgspec.structs.asdict(row)
    stream = values.get("stream")
    if isinstance(stream, StreamId):
        values |= msgspec.structs.asdict(stream)
    return values


def row_of(kind: type[R], columns: dict[str, Any]) -> R:
    """The row of type `kind` that has these columns; further columns are left out."""
    values = {name: columns[name] for name in kind.__struct_fields__}
    if issubclass(kind, (Ban, SessionRow, Recording)):
        values["stream"] = stream_of(columns)
    return kind(**values)


def stream_of(columns: dict[str, Any]) -> StreamId:
    return StreamId(columns["vhost"], columns["app"], columns["stream"])


def rows_of(connection: Connection, kind: type[R], statement: Select[Any]) -> list[R]:
    """Everything that `statement` finds."""
    return [row_of(kind, dict(found)) for found in connection.execute(statement).mappings()]


def first_of(connection: Connection, kind: type[R], statement: Select[Any], /, **values: Any) -> R | None:
    """The first that `statement` finds, if it finds any."""
    found = connection.execute(statement, values).mappings().first()
    return None if found is None else row_of(kind, dict(found))


def matching(table: FromClause, query: Row, *names: str) -> list[ColumnElement[bool]]:
    """Conditions: each of these columns is what `query` says, where it says something."""
    return [table.c[name] == value for name in names if (value := getattr(query, name)) is not None]


def containing(column: ColumnElement[str], part: str | None) -> list[ColumnElement[bool]]:
    """Condition: `part` is somewhere in the text, in this spelling; LIKE would not look at upper and lower case."""
    return [func.replace(column, part, "") != column] if part else []


def page_of(
    connection: Connection,
    kind: type[R],
    table: Table,
    conditions: Iterable[ColumnElement[bool]],
    order: Iterable[ColumnElement[Any]],
    *,
    offset: int,
    limit: int | None,
) -> Page[R]:
    """The rows that match, from `offset`, at most `limit`; and how many match."""
    conditions = list(conditions)
    total = connection.scalar(select(func.count()).select_from(table).where(*conditions)) or 0
    if total <= offset or limit == 0:
        return Page([], total)
    statement = select(table).where(*conditions).order_by(*order).limit(within(limit)).offset(within(offset))
    return Page(rows_of(connection, kind, statement), total)


def within(number: int | None) -> int:
    """A number of rows that a database takes, whatever was asked for."""
    return ALL_ROWS if number is None else max(0, min(number, ALL_ROWS))


def ordered(columns: Iterable[ColumnElement[Any]], *, descending: bool) -> list[ColumnElement[Any]]:
    return [column.desc() if descending else column.asc() for column in columns]
