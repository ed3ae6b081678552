"""Brings a database to the tables of `storage.schema`, step by step; no ini file, run at every start.

A new step: change `schema.py`, then ``python -m penstock.storage.migrations "what changes"`` writes a draft
into `versions/`, to be read and completed by hand.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from penstock.storage.errors import StorageError

FOLDER = Path(__file__).parent


def upgrade(connection: Connection, name: str) -> None:
    """Bring the database to the newest tables, in the transaction that `connection` is in.

    Raises:
        StorageError: `name` was written by a newer Penstock, or by something else.
    """
    config = configuration(connection)
    current = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(config)
    if current == scripts.get_current_head():
        return
    if current is None and (tables := inspect(connection).get_table_names()):
        raise StorageError(f"{name} is another program's database: it has a table {tables[0]!r}, and no mark of ours")
    if current is not None and current not in (script.revision for script in scripts.walk_revisions()):
        raise StorageError(
            f"{name} was written by a newer Penstock: its tables are of version {current!r}, "
            f"this one knows them up to {scripts.get_current_head()!r}"
        )
    command.upgrade(config, "head")


def configuration(connection: Connection) -> Config:
    """Alembic's settings, made here."""
    config = Config()
    # Alembic expands "%" in settings.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
