"""What Alembic runs for each command, on the connection that `configuration` was given."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import TypeDecorator

from penstock.storage.schema import metadata


def render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """A step names the database's own types: what our types do today is nothing that it may depend on."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{type(item.impl_instance).__name__}()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=render,
    # A step is done whole or not at all: SQLite has transactions for tables too.
    transactional_ddl=True,
    # SQLite changes a column by copying its table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
