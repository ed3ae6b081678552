"""A process that writes until it is killed, and tells of each write once it is acknowledged."""

from __future__ import annotations

import asyncio
import itertools
from multiprocessing.connection import Connection
from pathlib import Path

from penstock.model import StreamId
from penstock.storage.base import Store
from penstock.storage.sql import SqlStore
from tests.storage.kit import at, ban, session


def write(path: Path, first: int, teller: Connection) -> None:
    """Three kinds of writes at once, numbered from `first`."""
    asyncio.run(_write(path, first, teller))


async def _write(path: Path, first: int, teller: Connection) -> None:
    store = await SqlStore.open(path)
    teller.send(("ready", 0))
    await asyncio.gather(_bans(store, first, teller), _moves(store, first, teller), _pairs(store, first, teller))


async def _bans(store: Store, first: int, teller: Connection) -> None:
    for number in itertools.count(first):
        await store.put_ban(ban(stream=StreamId("demo", "live", f"ban{number}")))
        teller.send(("ban", number))


async def _moves(store: Store, first: int, teller: Connection) -> None:
    """One ban that moves on: the last acknowledged move counts."""
    for number in itertools.count(first):
        await store.put_ban(ban(stream=StreamId("demo", "live", "moving"), changed_at=at(number)))
        teller.send(("move", number))


async def _pairs(store: Store, first: int, teller: Connection) -> None:
    for number in itertools.count(first):
        async with store.transaction() as together:
            await together.put_ban(ban(stream=StreamId("demo", "live", f"pair{number}")))
            await together.admit_session(session(number))
        teller.send(("pair", number))
