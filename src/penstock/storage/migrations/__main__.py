"""Writes a draft of the next step: what differs between `schema.py` and the steps so far."""

from __future__ import annotations

import sys

from alembic import command
from alembic.script import ScriptDirectory

from penstock.storage import sqlite
from penstock.storage.migrations import configuration, upgrade

if len(sys.argv) != 2:
    sys.exit('usage: python -m penstock.storage.migrations "what changes"')
with sqlite.connect(None, writes=True).begin() as connection:
    upgrade(connection, "memory")
    config = configuration(connection)
    number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
    command.revision(config, sys.argv[1], autogenerate=True, rev_id=f"{number:04}")
