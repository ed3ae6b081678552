"""The workers of all tasks: one for a task at most, and the next one once the last is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from penstock.link.relaying import RelayJob, WorkerTold

log = logging.getLogger("penstock.relays")


class Workers(Protocol):
    """Processes around libav."""

    async def start(self, job: RelayJob, on_told: Callable[[WorkerTold], None], on_exit: Callable[[str], None]) -> None:
        """Start one; `on_exit` is called once, with why it ended, or "" when it was done."""

    async def stop(self, id: str) -> None:
        """End one; returns when it is gone."""

    async def close(self) -> None:
        """End all."""


class Hand:
    """One worker, from its hiring until it left or was dismissed; who was is not heard any more."""

    def __init__(self, id: str, told: Callable[[WorkerTold], None], left: Callable[[str], None]) -> None:
        self.id = id
        self.told = told
        self.left = left
        self.starting: asyncio.Task[None] | None = None


class Crew:
    """`on_room` is called when a worker that was dismissed is gone."""

    def __init__(self, workers: Workers, on_room: Callable[[], None]) -> None:
        self._workers = workers
        self._on_room = on_room
        self._hands: dict[str, Hand] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """How many processes there are, or may be."""
        return len(self._hands) + len(self._leaving)

    def has(self, id: str) -> bool:
        return id in self._hands

    def is_leaving(self, id: str) -> bool:
        """True while a task's last worker is not gone yet."""
        return id in self._leaving

    def hire(
        self,
        id: str,
        job: Callable[[], Awaitable[RelayJob]],
        told: Callable[[WorkerTold], None],
        left: Callable[[str], None],
    ) -> None:
        """Start a worker for a task that has none; `left` is called once, unless it is dismissed."""
        assert id not in self._hands, f"task {id} has a worker"
        assert id not in self._leaving, f"the last worker of task {id} is not gone"
        hand = self._hands[id] = Hand(id, told, left)
        hand.starting = asyncio.create_task(self._start(hand, job))

    def dismiss(self, id: str) -> None:
        """End a task's worker, if it has one."""
        hand = self._hands.pop(id, None)
        if hand is not None:
            task = self._leaving[id] = asyncio.create_task(self._stop(hand))
            task.add_done_callback(partial(self._gone, id))

    async def close(self) -> None:
        """End all at once; nobody is heard any more."""
        starting = [hand.starting for hand in self._hands.values() if hand.starting is not None]
        self._hands.clear()
        for task in starting:
            task.cancel()
        await self._workers.close()
        if left := [*starting, *self._leaving.values()]:
            await asyncio.wait(left)

    async def _start(self, hand: Hand, job: Callable[[], Awaitable[RelayJob]]) -> None:
        try:
            made = await job()
            if self._is_at_work(hand):
                await self._workers.start(made, partial(self._told, hand), partial(self._left, hand))
        except Exception as error:
            log.exception("relay %s: its worker could not be started", hand.id)
            self._left(hand, f"the worker could not be started: {error}")

    async def _stop(self, hand: Hand) -> None:
        if hand.starting is not None:
            await asyncio.wait([hand.starting])
        await self._workers.stop(hand.id)

    def _gone(self, id: str, task: asyncio.Task[None]) -> None:
        self._leaving.pop(id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("relay %s: its worker could not be ended", id, exc_info=error)
        self._on_room()

    def _is_at_work(self, hand: Hand) -> bool:
        return self._hands.get(hand.id) is hand

    def _told(self, hand: Hand, told: WorkerTold) -> None:
        if self._is_at_work(hand):
            hand.told(told)

    def _left(self, hand: Hand, why: str) -> None:
        if self._is_at_work(hand):
            del self._hands[hand.id]
            hand.left(why)
