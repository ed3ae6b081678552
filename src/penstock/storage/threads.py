"""The threads that wait for the disk, so that the event loop never does.

One thread writes, in the order in which it was asked, and a few read beside it. Whatever happens to who
asked, its work is done whole, or was not begun.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from penstock.storage import sqlite
from penstock.storage.errors import StorageError

T = TypeVar("T")

Work = Callable[[Connection], T]

READERS = 2  # a long page of history, and beside it the short questions


class Threads:
    """A database with its threads. `path` None is a database in memory, which one thread writes and reads."""

    def __init__(self, path: Path | None) -> None:
        self.name = str(path) if path else "the store in memory"
        self._writes_to = sqlite.connect(path, writes=True)
        self._reads_from = self._writes_to if path is None else sqlite.connect(path, writes=False)
        self._writer = ThreadPoolExecutor(1, "store-write")
        self._readers = self._writer if path is None else ThreadPoolExecutor(READERS, "store-read")
        # Held while a transaction is open. Single writes hold it only to queue up.
        self._turn = asyncio.Lock()
        self._holder: asyncio.Task[object] | None = None
        self._is_closed = False
        # Told of every write that is over: the seconds since it was asked for, and whether it is durable.
        self.on_write: Callable[[float, bool], None] = lambda _seconds, _is_kept: None

    async def read(self, work: Work[T]) -> T:
        """What `work` finds; it sees all writes that were finished before."""
        if self._readers is self._writer:
            return await self.write(work)
        return await self._submit(self._readers, lambda: self._read(work))

    async def write(self, work: Work[T]) -> T:
        """Do `work` in a transaction of its own; done and durable on return."""
        assert self._holder is not asyncio.current_task(), "this task has a transaction open: it would wait for itself"
        with self._timed():
            async with self._turn:
                done = self._submit(self._writer, lambda: self._write(work))
            return await done

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """The writer alone, until the block ends; then all of it is durable, or after an exception undone."""
        assert self._holder is not asyncio.current_task(), "this task has a transaction open: it would wait for itself"
        with self._timed():
            async with self._transaction() as transaction:
                yield transaction

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._turn:
            self._holder = asyncio.current_task()
            transaction = Transaction(self)
            try:
                await self._submit(self._writer, lambda: transaction.open(self._writes_to.connect()))
                yield transaction
                await self._submit(self._writer, transaction.commit)
            finally:
                # Behind a commit it does nothing. It is done even if this wait is cancelled too, and before
                # anything that others ask for: the writer keeps the order.
                self._holder = None
                await asyncio.shield(self._submit(self._writer, transaction.close))

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """What is given up or refused by our own rules is no write, and is not told."""
        began = time.perf_counter()
        try:
            yield
        except StorageError:
            self.on_write(time.perf_counter() - began, False)
            raise
        self.on_write(time.perf_counter() - began, True)

    async def close(self) -> None:
        async with self._turn:
            if self._is_closed:
                return
            self._is_closed = True
            await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._readers.shutdown()
        self._reads_from.dispose()
        self._writer.shutdown()
        # The last connection to go folds the log into the file.
        self._writes_to.dispose()

    def _read(self, work: Work[T]) -> T:
        with self._reads_from.begin() as connection:
            return work(connection)

    def _write(self, work: Work[T]) -> T:
        with self._writes_to.begin() as connection:
            return work(connection)

    def inside(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have the writer do `work`, for the transaction that is open."""
        return self._submit(self._writer, work)

    def _submit(self, executor: ThreadPoolExecutor, work: Callable[[], T]) -> asyncio.Future[T]:
        if self._is_closed:
            raise StorageError(f"{self.name} is closed")

        def plainly() -> T:
            with sqlite.said_plainly(self.name):
                return work()

        return asyncio.wrap_future(executor.submit(plainly))


class Transaction:
    """An open transaction; its methods but `run` are called in the writer's thread."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._connection: Connection | None = None

    async def run(self, work: Work[T]) -> T:
        """Do `work` inside; where it raises, this piece is undone and the transaction goes on."""
        return await self._threads.inside(lambda: self._do(work))

    def _do(self, work: Work[T]) -> T:
        assert self._connection is not None, "the transaction is over"
        with self._connection.begin_nested():
            return work(self._connection)

    def open(self, connection: Connection) -> None:
        self._connection = connection
        connection.begin()

    def commit(self) -> None:
        assert self._connection is not None
        self._connection.commit()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
