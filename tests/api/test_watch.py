"""Monitoring's door: alive, ready or why not, on a real socket and over a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio

from penstock.api.metrics import Metrics
from penstock.api.policy import HttpPolicy
from penstock.api.watch import Readiness, WatchApp
from penstock.domain.engines import EngineLink
from penstock.domain.live import Live
from penstock.storage import base
from penstock.storage.errors import StorageError
from tests.api.door import Door, get
from tests.clock import ManualClock
from tests.domain import kit


class Tower:
    """The door, and what it tells about."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.clock = ManualClock()
        self.engine = EngineLink()
        self.engine.connected.set()
        self.readiness = Readiness(live, self.engine, self.clock.monotonic, within_s=0.05)
        self.door = Door(HttpPolicy(), WatchApp(self.readiness, Metrics(live, self.engine, 10, self.clock.monotonic)))
        self.door.listen()

    async def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        client = await self.door.client()
        answer = await client.ask(get(path).replace("GET", method, 1))
        assert answer.headers["cache-control"] == "no-store"
        return answer.status, answer.body.decode()


class Store:
    """Writes nothing; waits for `go_on`, and fails as `fails` says."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def check_writable(self) -> None:
        self.asked += 1
        await self.go_on.wait()
        if self.fails is not None:
            raise self.fails


@pytest_asyncio.fixture
async def tower() -> AsyncIterator[Tower]:
    async with kit.opened() as live:
        tower = Tower(live)
        yield tower
        await tower.door.close()


@pytest_asyncio.fixture
async def store(tower: Tower) -> AsyncIterator[Store]:
    """A store that does as it is told, in the place of the real one."""
    real, store = tower.live.store, Store()
    tower.live.store = cast("base.Store", store)
    yield store
    tower.live.store = real


async def test_a_server_that_answers_is_alive_and_one_that_can_write_is_ready(tower: Tower) -> None:
    assert await tower.ask("/healthz") == (200, "ok\n")
    assert await tower.ask("/readyz") == (200, "ready\n")


async def test_without_an_engine_it_is_alive_and_not_ready(tower: Tower) -> None:
    tower.engine.connected.clear()
    assert await tower.ask("/healthz") == (200, "ok\n")
    assert await tower.ask("/readyz") == (503, "no engine is connected\n")


async def test_one_that_is_ending_is_not_ready(tower: Tower) -> None:
    tower.readiness.is_draining = True
    status, why = await tower.ask("/readyz")
    assert status == 503
    assert "takes no new publishers" in why


async def test_a_store_that_cannot_be_written_is_the_reason(tower: Tower) -> None:
    await tower.live.store.close()
    assert await tower.ask("/readyz") == (503, "the store in memory is closed\n")


async def test_a_store_that_does_not_answer_is_the_reason_within_its_time(tower: Tower, store: Store) -> None:
    store.go_on.clear()
    assert await tower.ask("/readyz") == (503, "the store has not answered within 0.05 s\n")


async def test_whoever_asks_often_makes_one_write_a_second(tower: Tower, store: Store) -> None:
    answers = await asyncio.gather(*(tower.ask("/readyz") for _ in range(20)))
    assert set(answers) == {(200, "ready\n")}
    assert store.asked == 1
    store.fails = StorageError("it cannot grow: the disk is full")
    assert await tower.ask("/readyz") == (200, "ready\n")
    tower.clock.advance(1)
    assert await tower.ask("/readyz") == (503, "it cannot grow: the disk is full\n")
    store.fails = None
    tower.clock.advance(0.9)
    assert (await tower.ask("/readyz"))[0] == 503
    tower.clock.advance(0.1)
    assert await tower.ask("/readyz") == (200, "ready\n")


async def test_a_fault_of_our_own_is_500_without_its_text(
    tower: Tower, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.fails = ZeroDivisionError("secret")
    status, text = await tower.ask("/readyz")
    assert status == 500
    assert "secret" not in text
    assert "a fault of our own in /readyz" in caplog.text


@pytest.mark.parametrize("path", ["/", "/healthz/", "/live/cam", "/healthz%0d%0aX: y"])
async def test_nothing_else_is_there(tower: Tower, path: str) -> None:
    status, text = await tower.ask(path.replace(" ", "%20"))
    assert status == 404
    assert text.startswith("nothing is here; there is /healthz, /readyz, /metrics")


async def test_it_is_read_by_get_and_by_head_and_not_written_to(tower: Tower) -> None:
    client = await tower.door.client()
    await client.say(get("/healthz", "Connection: close").replace("GET", "HEAD", 1))
    rest = await client.rest()
    assert rest.startswith(b"HTTP/1.1 200")
    assert rest.endswith(b"\r\n\r\n")
    client = await tower.door.client()
    answer = await client.ask(get("/healthz").replace("GET", "DELETE", 1))
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
