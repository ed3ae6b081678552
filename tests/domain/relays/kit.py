"""What the tests of relays share: a control plane whose engine and workers the test plays by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from penstock.domain.caller import Caller
from penstock.domain.engines import EngineLink
from penstock.domain.live import Live
from penstock.domain.relays import tasks
from penstock.domain.relays.board import Limits
from penstock.domain.relays.orders import Workshop
from penstock.domain.relays.running import Relays
from penstock.domain.relays.wishes import Wish
from penstock.link import local
from penstock.link.messages import VERSION, AnyMessage, Hello
from penstock.link.relaying import (
    Position,
    RelayJob,
    RelayOrder,
    RelayState,
    RelayTold,
    StartRelay,
    StopRelay,
    WorkerTold,
)
from penstock.storage.relay_rows import Notice, NoticeQuery, RelayProgress, RelayTask, Source
from tests.clock import START, ManualClock
from tests.domain.kit import opened

ME = Caller(account="1", access_key="AKone", cloud="volcengine")
SUB = Caller(account="1", access_key="AKsub", cloud="volcengine", sub_account=True)
STRANGER = Caller(account="2", access_key="AKtwo", cloud="volcengine")

SOURCE = "rtmp://source.test/live/a"
TARGET = "rtmp://target.test/live/b"
FILES = (Source("http://files.test/1.mp4"), Source("http://files.test/2.mp4"))
CALLBACK = "http://receiver.test/hook"
HOUR = timedelta(hours=1)


def wish(**changes: Any) -> Wish:
    """A live source, from now for an hour."""
    made = Wish(starts_at=START, ends_at=START + HOUR, kind="live", sources=(Source(SOURCE),), target=TARGET)
    return replace(made, **changes)


def files(**changes: Any) -> Wish:
    """Two files, played until the end."""
    return wish(**({"kind": "files", "sources": FILES, "cycle_mode": -1} | changes))


class FakeWorkers:
    """Starts nothing; a test says what the workers tell and when they leave."""

    def __init__(self) -> None:
        self.jobs: list[RelayJob] = []
        self.stopped: list[str] = []
        self.fails: Exception | None = None
        self._there: dict[str, tuple[Callable[[WorkerTold], None], Callable[[str], None]]] = {}
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.may_stop = asyncio.Event()
        self.may_stop.set()

    async def start(self, job: RelayJob, on_told: Callable[[WorkerTold], None], on_exit: Callable[[str], None]) -> None:
        await self.may_start.wait()
        if self.fails is not None:
            raise self.fails
        assert job.id not in self._there, "two workers for one task"
        self.jobs.append(job)
        self._there[job.id] = (on_told, on_exit)

    async def stop(self, id: str) -> None:
        await self.may_stop.wait()
        self.stopped.append(id)
        if (ears := self._there.pop(id, None)) is not None:
            ears[1]("stopped")

    async def close(self) -> None:
        for id in list(self._there):
            await self.stop(id)

    @property
    def at_work(self) -> list[str]:
        return list(self._there)

    def tell(self, id: str, loop: int = 0, clip: int = 0, offset_s: float = 0.0, **more: Any) -> None:
        self._there[id][0](WorkerTold(Position(loop, clip, offset_s), **more))

    def leave(self, id: str, why: str = "") -> None:
        self._there.pop(id)[1](why)


class FakeEngine:
    """The far end of one connection: knows its orders, and tells what the test says."""

    def __init__(self, link: EngineLink, live: Live, name: str = "engine-1") -> None:
        self.name = name
        self.orders: dict[str, RelayOrder] = {}
        self.heard: list[AnyMessage] = []
        self._mine, theirs = local.pair()
        self._mine.on_message = self._hear
        link.attach(theirs, live)

    def _hear(self, message: AnyMessage) -> None:
        self.heard.append(message)
        match message:
            case StartRelay(order):
                self.orders[order.id] = order
            case StopRelay(id):
                self.orders.pop(id, None)

    def greet(self, *relays: str) -> None:
        self._mine.send(Hello(VERSION, self.name, (), relays=relays))

    def tell(self, id: str, state: RelayState, **more: Any) -> None:
        self._mine.send(RelayTold(id, state, **more))

    def leave(self) -> None:
        self._mine.close()


class Plant:
    """Everything at once. `random` is what the pauses are shaken by."""

    def __init__(self, live: Live, clock: ManualClock, link: EngineLink) -> None:
        self.live, self.clock, self.link = live, clock, link
        self.workers = FakeWorkers()
        self.random = 1.0
        workshop = Workshop(door="/run/relay.sock", cache="/var/cache", cache_bytes=1000, allow_private=("10.0.0.0/8",))
        self.relays = Relays(live, link, self.workers, workshop, lambda: self.random)
        link.relays = self.relays

    async def engine(self, name: str = "engine-1", *known: str) -> FakeEngine:
        engine = FakeEngine(self.link, self.live, name)
        engine.greet(*known)
        await settle()
        return engine

    async def make(self, wish: Wish, caller: Caller = ME) -> str:
        task = await tasks.create(self.live, caller, wish)
        await settle()
        return task.id

    async def later(self, seconds: float) -> None:
        """Let time pass, a round each half of a second; the last one at its end."""
        while seconds > 0:
            part = min(0.5, seconds)
            self.clock.advance(part)
            seconds -= part
            self.relays.step()
            await settle()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Let what the store's threads do come to its end."""
        async with asyncio.timeout(5):
            while not is_so():
                self.relays.step()
                await asyncio.sleep(0)

    def progress(self, id: str) -> RelayProgress:
        return self.live.relays.progress[id]

    async def kept(self, id: str) -> RelayProgress:
        """How a task stands as it was written down."""
        await self.live.journal.written()
        return (await self.live.store.relay_progress([id]))[id]

    async def task(self, id: str) -> RelayTask:
        await self.live.journal.written()
        found = await self.live.store.find_relay(id)
        assert found is not None
        return found

    async def events(self, id: str) -> list[str]:
        return [str(notice.event) for notice in await self.notices(id)]

    async def notices(self, id: str) -> list[Notice]:
        await self.live.journal.written()
        return (await self.live.store.notices(NoticeQuery(subject=id))).rows[::-1]


async def settle() -> None:
    """Let what was begun go on until it waits for time."""
    for _ in range(12):
        await asyncio.sleep(0)


@asynccontextmanager
async def plant(limits: Limits | None = None) -> AsyncIterator[Plant]:
    clock, link = ManualClock(), EngineLink()
    async with opened(clock, engine=link) as live:
        if limits is not None:
            live.relays.limits = limits
        made = Plant(live, clock, link)
        await made.relays.load()
        yield made
        await made.relays.close()
