"""The file: who may read it, and what is said when it cannot be used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from penstock.model import StreamId
from penstock.storage import sqlite
from penstock.storage.errors import StorageError
from penstock.storage.rows import AccessKey, Ban, BanQuery
from penstock.storage.sql import SqlStore
from tests.storage.kit import NOW, STREAM, ban, mode, read, write


async def refused(path: Path, match: str) -> str:
    """The one line that opening `path` ends in."""
    with pytest.raises(StorageError, match=match) as caught:
        await SqlStore.open(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path)) or str(path) in text
    return text


async def put_all(store: SqlStore, bans: list[Ban]) -> None:
    for row in bans:
        await store.put_ban(row)


async def test_the_file_is_its_owners_alone(file: Path) -> None:
    before = os.umask(0)
    try:
        store = await SqlStore.open(file)
        await store.put_ban(ban())
        files = sorted(file.parent.iterdir())
        assert [path.name for path in files] == ["penstock.db", "penstock.db-shm", "penstock.db-wal"]
        assert {mode(path) for path in files} == {0o600}
        await store.close()
        assert [path.name for path in file.parent.iterdir()] == ["penstock.db"]
        os.chmod(file, 0o644)
        await (await SqlStore.open(file)).close()
        assert mode(file) == 0o600
    finally:
        os.umask(before)


async def test_the_pragmas_are_in_force(file: Path) -> None:
    store = await SqlStore.open(file)
    for engine in (store._threads._writes_to, store._threads._reads_from):
        with engine.connect() as connection:
            values = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert values == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 5000}
    await store.close()


async def test_rows_are_there_after_a_new_start(file: Path) -> None:
    store = await SqlStore.open(file)
    await store.put_ban(ban())
    await store.close()
    store = await SqlStore.open(file)
    assert await store.find_ban(STREAM, NOW) == ban()
    await store.close()


async def test_a_path_of_any_letters_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "100%(x)s ?mode=ro#直播" / "a b.db"
    path.parent.mkdir()
    await (await SqlStore.open(path)).close()
    assert path.is_file()


async def test_what_is_no_file_is_said(tmp_path: Path, file: Path) -> None:
    await refused(tmp_path, "is not a file")
    await refused(tmp_path / "none" / "penstock.db", "cannot be made: No such file or directory")
    write(file, b"")
    await refused(file / "penstock.db", "cannot be made: Not a directory")


async def test_what_is_no_database_is_said_and_not_touched(file: Path) -> None:
    write(file, b"These are my notes.\n" * 1000)
    await refused(file, "is not a database")
    assert read(file) == b"These are my notes.\n" * 1000


async def test_another_programs_database_is_not_touched(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    await refused(file, "another program's database: it has a table 'recipes'")


async def test_a_damaged_file_is_said(file: Path) -> None:
    store = await SqlStore.open(file)
    for number in range(300):
        await store.put_ban(ban(stream=StreamId("demo", "live", str(number)), reason="x" * 2000))
    await store.close()
    whole = read(file)
    write(file, whole[:4096] + os.urandom(len(whole) - 4096))
    await refused(file, "is damaged")


async def test_a_locked_file_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)
    store = await SqlStore.open(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await refused(file, "is locked by another process")
    with pytest.raises(StorageError, match="is locked by another process"):
        await store.put_ban(ban())
    # Readers do not mind, and the store goes on when the lock is gone.
    assert await store.find_ban(STREAM, NOW) is None
    other.execute("ROLLBACK")
    other.close()
    await store.put_ban(ban())
    await store.close()


async def test_a_full_disk_is_said_and_survived(file: Path) -> None:
    store = await SqlStore.open(file)
    with store._threads._writes_to.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")
    big = [ban(stream=StreamId("demo", "live", str(number)), reason="x" * 2000) for number in range(100)]
    with pytest.raises(StorageError, match="the disk is full"):
        await put_all(store, big)
    kept = (await store.bans(BanQuery(now=NOW))).total
    assert 0 < kept < 100
    # What was acknowledged is there, and there is room for less.
    assert await store.find_ban(big[kept - 1].stream, NOW) == big[kept - 1]
    assert await store.lift_ban(big[0].stream, NOW) == big[0]
    await store.close()


def test_a_file_that_cannot_be_written_is_said(file: Path) -> None:
    sqlite3.connect(file).execute("CREATE TABLE t (x)").connection.close()
    readonly = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    with (
        pytest.raises(StorageError, match=r"^here cannot be written \(attempt to write a readonly"),
        sqlite.said_plainly("here"),
    ):
        readonly.execute("INSERT INTO t VALUES (1)")
    readonly.close()


async def test_an_error_tells_no_secret(file: Path) -> None:
    store = await SqlStore.open(file)
    with pytest.raises(Exception) as caught:
        await store.put_key(AccessKey(access_key="AK", secret_key="hunter2", account=3.5j))  # type: ignore[arg-type]
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in str(error)
        error = error.__cause__ or error.__context__
    await store.close()


async def test_a_file_that_another_process_writes_is_not_writable_until_it_is_done(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 10)
    store = await SqlStore.open(file)
    await store.check_writable()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="is locked by another process"):
            await store.check_writable()
        other.execute("ROLLBACK")
    await store.check_writable()
    await store.close()
