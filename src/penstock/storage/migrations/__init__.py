"""Brings a database to the tables of `storage.schema`, step by step; no ini file, run at every start.

A new step: change `schema.py` and `HEAD`, then ``python -m penstock.storage.migrations "what changes"`` writes a draft
into `versions/`, to be read and completed by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, text

from penstock.storage.errors import StorageError

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent
# The newest step. A database that has it needs none, and a start without Alembic is a quarter shorter.
HEAD: Final = "0003"


def upgrade(connection: Connection, name: str) -> None:
    """Bring the database to the newest tables, in the transaction that `connection` is in.

    Raises:
        StorageError: `name` was written by a newer Penstock, or by something else.
    """
    tables = connection.dialect.get_table_names(connection)
    current = None
    if "alembic_version" in tables:
        current = connection.scalar(text("SELECT version_num FROM alembic_version"))
    elif tables:
        raise StorageError(f"{name} is another program's database: it has a table {tables[0]!r}, and no mark of ours")
    if current != HEAD:
        _climb(connection, name, current)


def _climb(connection: Connection, name: str, current: str | None) -> None:
    from alembic import command  # noqa: PLC0415  see HEAD
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = configuration(connection)
    scripts = ScriptDirectory.from_config(config)
    if current is not None and current not in (script.revision for script in scripts.walk_revisions()):
        raise StorageError(
            f"{name} was written by a newer Penstock: its tables are of version {current!r}, "
            f"this one knows them up to {HEAD!r}"
        )
    command.upgrade(config, "head")


def configuration(connection: Connection) -> Config:
    """Alembic's settings, made here."""
    from alembic.config import Config  # noqa: PLC0415  see HEAD

    config = Config()
    # Alembic expands "%" in settings.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
