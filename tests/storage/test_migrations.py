"""The steps lead to the tables that the code means, from nothing and from any version that there was."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from penstock.storage import migrations, sqlite
from penstock.storage.errors import StorageError
from penstock.storage.rows import Vhost
from penstock.storage.schema import metadata
from penstock.storage.sql import SqlStore
from tests.storage.kit import NOW, STREAM, ban, read


def test_steps_and_schema_agree() -> None:
    with sqlite.connect(None, writes=True).begin() as connection:
        migrations.upgrade(connection, "memory")
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_difference_would_be_seen() -> None:
    with sqlite.connect(None, writes=True).begin() as connection:
        migrations.upgrade(connection, "memory")
        connection.exec_driver_sql("DROP INDEX ix_bans_until")
        connection.exec_driver_sql("ALTER TABLE bans ADD COLUMN mood TEXT")
        found: list[Any] = compare_metadata(MigrationContext.configure(connection), metadata)
        assert sorted(difference[0] for difference in found) == ["add_index", "remove_column"]


def test_all_names_fit_every_database() -> None:
    for table in metadata.tables.values():
        names = {table.name, *table.c.keys(), *(str(index.name) for index in table.indexes)}
        assert all(len(name) <= 63 for name in names), names  # PostgreSQL's limit


def test_every_step_starts_from_the_one_before() -> None:
    with sqlite.connect(None, writes=True).begin() as connection:
        config = migrations.configuration(connection)
        scripts = list(ScriptDirectory.from_config(config).walk_revisions())[::-1]
        assert [script.revision for script in scripts] == [f"{number:04}" for number in range(1, len(scripts) + 1)]
        assert scripts[-1].revision == migrations.HEAD
        for script in scripts:
            command.upgrade(config, script.revision)
            assert MigrationContext.configure(connection).get_current_revision() == script.revision


def test_tables_do_not_go_back() -> None:
    with sqlite.connect(None, writes=True).begin() as connection:
        migrations.upgrade(connection, "memory")
        with pytest.raises(NotImplementedError, match="only go forward"):
            command.downgrade(migrations.configuration(connection), "base")
        assert "bans" in inspect(connection).get_table_names()


async def test_a_second_start_changes_nothing(file: Path) -> None:
    await (await SqlStore.open(file)).close()
    before = read(file)
    await (await SqlStore.open(file)).close()
    assert read(file) == before


async def test_a_newer_file_is_refused_and_not_touched(file: Path) -> None:
    store = await SqlStore.open(file)
    await store.put_ban(ban())
    await store.close()
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    with pytest.raises(
        StorageError, match=rf"newer Penstock: its tables are of version '9999', this one .* '{migrations.HEAD}'"
    ):
        await SqlStore.open(file)
    connection.execute("UPDATE alembic_version SET version_num = ?", (migrations.HEAD,))
    connection.commit()
    connection.close()
    store = await SqlStore.open(file)
    assert await store.find_ban(STREAM, NOW) == ban()
    await store.close()


async def test_a_vhost_of_the_first_tables_records_nothing(file: Path) -> None:
    with sqlite.connect(file, writes=True).begin() as connection:
        command.upgrade(migrations.configuration(connection), "0001")
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('alice', 0)")
        connection.exec_driver_sql("INSERT INTO vhosts VALUES ('demo', 'alice', '[\"live\"]', 'none', '', '{}', 0)")
    store = await SqlStore.open(file)
    assert await store.vhosts() == [Vhost(name="demo", account="alice")]
    await store.close()


async def test_a_step_that_fails_leaves_the_file_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = command.upgrade

    def upgrade_and_fail(*args: Any, **kwargs: Any) -> None:
        run(*args, **kwargs)
        raise sqlite3.OperationalError("the power went")

    monkeypatch.setattr(command, "upgrade", upgrade_and_fail)
    with pytest.raises(StorageError, match="the power went"):
        await SqlStore.open(file)
    assert sqlite3.connect(file).execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    monkeypatch.undo()
    await (await SqlStore.open(file)).close()


def test_the_steps_are_beside_the_code_that_runs_them() -> None:
    names = {path.relative_to(migrations.FOLDER).as_posix() for path in migrations.FOLDER.rglob("*") if path.is_file()}
    assert {"env.py", "script.py.mako", "versions/0001_the_first_tables.py"} <= names
