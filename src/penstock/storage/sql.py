"""The store on SQL: each call as a piece of work for the database's threads.

What the calls mean stands in `base`, what they do in `queries`.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from penstock.model import StreamId
from penstock.storage import migrations, sqlite
from penstock.storage.base import Records, Store
from penstock.storage.queries import bans, evidence, files, owners, recordings, seeding, sessions, sweeping
from penstock.storage.recordings import (
    FileEnd,
    FileSum,
    RecordedFile,
    Recording,
    RecordingNote,
    RecordingQuery,
    StateWord,
)
from penstock.storage.relay_sql import SqlRelayRecords
from penstock.storage.rows import (
    AccessKey,
    Account,
    Ban,
    BanQuery,
    Domain,
    DomainKind,
    ExplainEntry,
    HistoryQuery,
    Page,
    Refusal,
    RefusalQuery,
    Retention,
    Seed,
    SessionEnd,
    SessionRow,
    Span,
    Swept,
    Vhost,
)
from penstock.storage.threads import Threads, Transaction

P = ParamSpec("P")
T = TypeVar("T")

Query = Callable[Concatenate[Connection, P], T]


class SqlRecords(SqlRelayRecords, Records):
    """Every call but the store's own; `_read` and `_write` say where it is done."""

    @abstractmethod
    async def _read(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    @abstractmethod
    async def _write(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def seed(self, seed: Seed) -> None:
        await self._write(seeding.seed, seed)

    async def put_account(self, account: Account, *, new: bool = False) -> None:
        await self._write(owners.put_account, account, new=new)

    async def remove_account(self, account: str) -> None:
        await self._write(owners.remove_account, account)

    async def accounts(self) -> list[Account]:
        return await self._read(owners.list_accounts)

    async def put_key(self, key: AccessKey, *, new: bool = False) -> None:
        await self._write(owners.put_key, key, new=new)

    async def remove_key(self, access_key: str) -> None:
        await self._write(owners.remove_key, access_key)

    async def find_key(self, access_key: str) -> AccessKey | None:
        return await self._read(owners.find_key, access_key)

    async def keys(self, account: str | None = None) -> list[AccessKey]:
        return await self._read(owners.list_keys, account)

    async def put_vhost(self, vhost: Vhost, *, new: bool = False) -> None:
        await self._write(owners.put_vhost, vhost, new=new)

    async def remove_vhost(self, vhost: str) -> None:
        await self._write(owners.remove_vhost, vhost)

    async def find_vhost(self, vhost: str) -> Vhost | None:
        return await self._read(owners.find_vhost, vhost)

    async def vhosts(self, account: str | None = None) -> list[Vhost]:
        return await self._read(owners.list_vhosts, account)

    async def put_domain(self, domain: Domain, *, new: bool = False) -> Domain:
        return await self._write(owners.put_domain, domain, new=new)

    async def remove_domain(self, name: str, kind: DomainKind) -> None:
        await self._write(owners.remove_domain, name, kind)

    async def domains(self, *, vhost: str | None = None, account: str | None = None) -> list[Domain]:
        return await self._read(owners.list_domains, vhost=vhost, account=account)

    async def put_ban(self, ban: Ban) -> Ban:
        return await self._write(bans.put_ban, ban)

    async def lift_ban(self, stream: StreamId, now: datetime) -> Ban | None:
        return await self._write(bans.lift_ban, stream, now)

    async def find_ban(self, stream: StreamId, now: datetime) -> Ban | None:
        return await self._read(bans.find_ban, stream, now)

    async def bans(self, query: BanQuery) -> Page[Ban]:
        return await self._read(bans.list_bans, query)

    async def admit_session(self, session: SessionRow) -> None:
        await self._write(sessions.admit_session, session)

    async def begin_session(self, epoch: int, at: datetime) -> bool:
        return await self._write(sessions.begin_session, epoch, at)

    async def note_session(self, epoch: int, facts: str, bytes_in: int) -> bool:
        return await self._write(sessions.note_session, epoch, facts, bytes_in)

    async def end_session(self, end: SessionEnd) -> SessionRow | None:
        return await self._write(sessions.end_session, end)

    async def reopen_session(self, epoch: int, reason: str) -> bool:
        return await self._write(sessions.reopen_session, epoch, reason)

    async def end_open_sessions(
        self, at: datetime, reason: str, detail: str = "", *, keep: Collection[int] = ()
    ) -> list[SessionRow]:
        return await self._write(sessions.end_open_sessions, at, reason, detail, keep=keep)

    async def open_sessions(self) -> list[SessionRow]:
        return await self._read(sessions.open_sessions)

    async def find_session(self, epoch: int) -> SessionRow | None:
        return await self._read(sessions.find_session, epoch)

    async def history(self, query: HistoryQuery) -> Page[SessionRow]:
        return await self._read(sessions.history, query)

    async def spans(self, query: HistoryQuery) -> list[Span]:
        return await self._read(sessions.spans, query)

    async def highest_epoch(self) -> int:
        return await self._read(sessions.highest_epoch)

    async def put_refusals(self, refusals: Sequence[Refusal]) -> None:
        await self._write(evidence.put_refusals, refusals)

    async def refusals(self, query: RefusalQuery) -> Page[Refusal]:
        return await self._read(evidence.list_refusals, query)

    async def put_explained(self, entries: Sequence[ExplainEntry]) -> None:
        await self._write(evidence.put_explained, entries)

    async def explained(self, request_id: str) -> ExplainEntry | None:
        return await self._read(evidence.find_explained, request_id)

    async def add_recording(self, recording: Recording) -> Recording:
        return await self._write(recordings.add_recording, recording)

    async def note_recording(self, note: RecordingNote) -> None:
        await self._write(recordings.note_recording, note)

    async def end_recording(self, number: int, at: datetime, state: StateWord, why: str) -> bool:
        return await self._write(recordings.end_recording, number, at, state, why)

    async def find_recording(self, number: int) -> Recording | None:
        return await self._read(recordings.find_recording, number)

    async def recording_of(self, id: str) -> Recording | None:
        return await self._read(recordings.recording_of, id)

    async def wanted_recordings(self) -> list[Recording]:
        return await self._read(recordings.wanted_recordings)

    async def last_always(self, stream: StreamId) -> Recording | None:
        return await self._read(recordings.last_always, stream)

    async def recordings(self, query: RecordingQuery) -> Page[Recording]:
        return await self._read(recordings.list_recordings, query)

    async def begin_file(self, file: RecordedFile) -> None:
        await self._write(files.begin_file, file)

    async def end_file(self, end: FileEnd) -> None:
        await self._write(files.end_file, end)

    async def remove_file(self, recording: int, path: str, at: datetime) -> None:
        await self._write(files.remove_file, recording, path, at)

    async def find_file(self, number: int) -> RecordedFile | None:
        return await self._read(files.find_file, number)

    async def files_of(self, recording: int) -> list[RecordedFile]:
        return await self._read(files.files_of, recording)

    async def open_files(self) -> list[RecordedFile]:
        return await self._read(files.open_files)

    async def sum_files(self, recordings: Sequence[int]) -> dict[int, FileSum]:
        return await self._read(files.sum_files, recordings)

    async def files_to_remove(
        self, ended_before: datetime | None, max_bytes: int | None, limit: int
    ) -> list[RecordedFile]:
        return await self._read(files.files_to_remove, ended_before, max_bytes, limit)

    async def secret(self, name: str) -> str:
        return await self._write(owners.secret, name)


class SqlTransaction(SqlRecords):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def _read(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._write(query, *args, **kwargs)

    async def _write(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._transaction.run(lambda connection: query(connection, *args, **kwargs))


class SqlStore(SqlRecords, Store):
    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    @classmethod
    async def open(cls, path: Path | None) -> SqlStore:
        """Open the file at `path`, or memory; makes it, or brings its tables up to date.

        Raises:
            StorageError: it is damaged, locked, not ours, of a newer Penstock, or cannot be written.
        """
        store = cls(await asyncio.to_thread(Threads, path))
        try:
            await store._write(migrations.upgrade, store._threads.name)
        except BaseException:
            await store.close()
            raise
        return store

    def on_write(self, told: Callable[[float, bool], None]) -> None:
        """Have every write told when it is over: the seconds since it was asked for, and whether it is durable."""
        self._threads.on_write = told

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Records]:
        async with self._threads.transaction() as transaction:
            yield SqlTransaction(transaction)

    async def sweep(self, retention: Retention) -> Swept:
        return Swept(
            sessions=await self._sweep(sweeping.sweep_sessions, retention),
            bans=await self._sweep(sweeping.sweep_bans, retention),
            refusals=await self._sweep(sweeping.sweep_refusals, retention),
            explained=await self._sweep(sweeping.sweep_explained, retention),
            relays=await self._sweep(sweeping.sweep_relays, retention),
            notices=await self._sweep(sweeping.sweep_notices, retention),
            recordings=await self._sweep(sweeping.sweep_recordings, retention),
        )

    async def _sweep(self, step: Callable[[Connection, Retention], int], retention: Retention) -> int:
        total = swept = await self._write(step, retention)
        while swept == sweeping.STEP:
            swept = await self._write(step, retention)
            total += swept
        return total

    async def check_writable(self) -> None:
        await self._write(sqlite.touch)

    async def close(self) -> None:
        await self._threads.close()

    async def _read(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._threads.read(lambda connection: query(connection, *args, **kwargs))

    async def _write(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._threads.write(lambda connection: query(connection, *args, **kwargs))
