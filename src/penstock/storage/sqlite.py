"""SQLite, and all that is particular to it: another database gets a file like this one.

WAL lets readers go on while one writes. With synchronous NORMAL a commit is in the kernel's hands, which
a killed process does not change; a power cut may take the last commits, but never breaks the file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, QueuePool, StaticPool, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import Insert

from penstock.storage.errors import StorageError

BUSY_TIMEOUT_MS = 5000  # another process has the file: an old control process that is about to end
JOURNAL_KIB = 65_536  # what is left of the write-ahead log after a burst

# Text of SQLite's error → what it means to the owner of the file. The first that fits counts.
MEANINGS = {
    sqlite3.SQLITE_NOTADB: "is not a database",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked by another process",
    sqlite3.SQLITE_READONLY: "cannot be written",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error",
    sqlite3.SQLITE_PERM: "may not be opened",
    sqlite3.SQLITE_AUTH: "may not be opened",
}


def connect(path: Path | None, *, writes: bool) -> Engine:
    """Return an engine of one file, or of memory; its connections read, or are the one that writes.

    In memory there is nothing beyond the one connection.

    Raises:
        StorageError: the file cannot be made or may not be touched.
    """
    if path is not None and writes:
        _prepare(path)
    engine = create_engine(
        "sqlite://",
        creator=lambda: _open(path, writes=writes),
        poolclass=StaticPool if path is None or writes else QueuePool,
        # Errors are logged, and bound parameters hold secrets.
        hide_parameters=True,
    )
    # The driver's own transactions would begin at the first change, after what was read to decide on it.
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _open(path: Path | None, *, writes: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path or ":memory:", isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
    )
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        f"journal_size_limit = {JOURNAL_KIB * 1024}",
        "trusted_schema = OFF",
        f"query_only = {'OFF' if path is None or writes else 'ON'}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _prepare(path: Path) -> None:
    """Make the file, for its owner alone: the log beside it takes over its mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # Never opened here: closing it again would drop the locks of a connection that this process has.
        if not path.is_file():
            raise StorageError(f"{path} is not a file") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {error.strerror}") from error
    try:
        path.chmod(0o600)
    except OSError as error:
        raise StorageError(f"the mode of {path} cannot be set to 0600: {error.strerror}") from error


@contextmanager
def said_plainly(name: str) -> Iterator[None]:
    """Turn what the database raises into one line about `name`.

    Raises:
        StorageError: the database raised.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        # The primary code is in the low byte; errors of the driver itself have none.
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        text = " ".join(str(cause).split())
        raise StorageError(f"{name} {MEANINGS.get(code, 'failed')} ({text})") from error


def touch(connection: Connection) -> None:
    """Write a page as it was: whatever keeps a file from being written keeps this."""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")


@cache
def upsert(table: Table, *key: str) -> Insert:
    """Insert rows; one that is there with the same `key` is replaced."""
    statement = insert(table)
    others = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(key), set_=others)


@cache
def insert_missing(table: Table) -> Insert:
    """Insert rows; one whose key is there already stays as it is."""
    return insert(table).on_conflict_do_nothing()
