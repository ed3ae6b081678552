"""What must be written down, in the order in which it happened, without keeping anybody waiting.

One task writes. What came while it wrote goes into the next transaction together, so that a storm of
publishes costs few of them. A write that fails is told in the log and given up: streams go on without a
store, and memory does not fill.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from penstock.errors import PenstockError
from penstock.storage.base import Records, Store

log = logging.getLogger("penstock.journal")

Write = Callable[[Records], Awaitable[object]]

# Writes of one transaction: others' writes wait for its end.
BATCH: Final = 500


class Journal:
    """Writes to the store, one after the other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[Write, asyncio.Future[bool]]] = []
        self._in_work = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        """How many writes were put, and are not over."""
        return len(self._waiting) + self._in_work

    def put(self, write: Write) -> asyncio.Future[bool]:
        """Have `write` done after all that was put before.

        The future tells when it is over: True once it is durable, False when it failed (and was logged).
        Nobody has to wait for it.
        """
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, done))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return done

    async def written(self) -> None:
        """Wait until everything that was put until now is over."""
        if self._task is not None:
            await self.put(_nothing)

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                self._in_work = len(batch)
                await self._write(batch)
        finally:
            self._in_work = 0
            self._task = None

    async def _write(self, batch: Sequence[tuple[Write, asyncio.Future[bool]]]) -> None:
        try:
            async with self._store.transaction() as records:
                for write, _ in batch:
                    await write(records)
        except Exception as error:
            if len(batch) > 1:
                # One of them is at fault; the others are to be kept.
                for one in batch:
                    await self._write([one])
                return
            # A fault of our own must not keep those waiting who wait for what comes behind it.
            is_ours = not isinstance(error, PenstockError)
            log.error("could not be written down: %s", error, exc_info=is_ours)
            _tell(batch, False)
        else:
            _tell(batch, True)


def _tell(batch: Sequence[tuple[Write, asyncio.Future[bool]]], is_kept: bool) -> None:
    for _, done in batch:
        if not done.done():
            done.set_result(is_kept)


async def _nothing(records: Records) -> None:
    del records
