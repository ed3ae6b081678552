"""Control's half of relays as it is built: what a restart and a reload do, and how callbacks leave."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import md5
from pathlib import Path
from typing import Any, Final

import pytest

from penstock.app.control import Control
from penstock.app.relays import Poster
from penstock.config import Config, load
from penstock.domain.relays import tasks
from penstock.domain.relays.wishes import Wish
from penstock.errors import NetworkRefused, PeerError
from penstock.net.guard import Guard
from penstock.storage.relay_rows import Notice, NoticeQuery, Source
from tests.clock import START, ManualClock
from tests.domain.relays.kit import ME, FakeEngine, FakeWorkers, settle
from tests.e2e.tasks import receiving

FILE: Final = """
data_dir = "{folder}"
[network]
allow_private = ["127.0.0.0/8"]
[[account]]
id = "1"
callback_key = "{key}"
[[account.vhost]]
name = "demo"
push_domains = ["push.demo.test"]
{more}
"""


class Plant:
    """A control plane over files, which can be started again; its engine and workers are the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "penstock.toml"
        self.clock = ManualClock()
        self.write()

    def write(self, key: str = "the-key", more: str = "") -> None:
        self.file.write_text(FILE.format(folder=self.folder, key=key, more=more))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Control, FakeEngine, FakeWorkers]]:
        workers = FakeWorkers()
        control = await Control.open(load(self.file, {}), file=self.file, clock=self.clock, relay_workers=workers)
        try:
            engine = FakeEngine(control.engine, control.live)
            engine.greet()
            await settle()
            yield control, engine, workers
        finally:
            await control.close()


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def files(**changes: Any) -> Wish:
    made: dict[str, Any] = {
        "starts_at": START,
        "ends_at": START + timedelta(hours=1),
        "kind": "files",
        "sources": (Source("http://files.test/1.mp4"),),
        "cycle_mode": -1,
        "target": "rtmp://push.demo.test/live/b",
    }
    return Wish(**made | changes)


async def test_a_task_goes_on_over_a_restart(plant: Plant) -> None:
    async with plant.running() as (control, _, workers):
        id = (await tasks.create(control.live, ME, files())).id
        await settle()
        (job,) = workers.jobs
        assert (job.door, job.cache) == (str(plant.folder / "relay.sock"), str(plant.folder / "relay-cache"))
        assert (job.cache_bytes, job.allow_private) == (4096 << 20, ("127.0.0.0/8",))
    async with plant.running() as (_, engine, workers):
        assert [each.id for each in workers.jobs] == [id]
        assert list(engine.orders) == [id]


async def test_a_reload_moves_the_limits_and_names_what_it_cannot_move(plant: Plant) -> None:
    async with plant.running() as (control, _, _):
        plant.write(more="[relay]\nmax_workers = 3\nmax_tasks = 5\nmax_account_tasks = 4\ncache_mib = 0\n")
        done = await control.reload()
        limits = control.live.relays.limits
        assert (limits.workers, limits.tasks, limits.account_tasks) == (3, 5, 4)
        assert sorted(done.applied) == ["relay.max_account_tasks", "relay.max_tasks", "relay.max_workers"]
        assert done.needs_restart == ["relay.cache_mib"]


async def test_a_callback_is_signed_with_its_accounts_key_of_now(plant: Plant) -> None:
    async with plant.running() as (control, _, _):
        task = await tasks.create(control.live, ME, files(callback_url="http://receiver.test/"))
        await tasks.stop(control.live, ME, task.id)
        (notice,) = (await control.live.store.notices(NoticeQuery())).rows

        def sign(notice: Notice) -> tuple[str, int]:
            data = json.loads(control.relays._encode(notice, START))["data"]
            return data["sign"], data["t"]

        until = int(START.timestamp()) + 600
        assert sign(notice) == (md5(f"the-key{until}".encode(), usedforsecurity=False).hexdigest(), until)
        plant.write(key="another")
        await control.reload()
        assert sign(notice) == (md5(f"another{until}".encode(), usedforsecurity=False).hexdigest(), until)
        plant.write(key="")
        await control.reload()
        assert sign(notice) == ("", 0)


async def test_a_callback_goes_by_the_guard_alone() -> None:
    with receiving() as receiver:
        opened, shut = Poster(Guard(["127.0.0.0/8"]), Config()), Poster(Guard(), Config())
        try:
            assert await opened(receiver.url, b"{}") == 200
            receiver.down = True
            assert await opened(receiver.url, b"{}") == 503
            assert receiver.tries == 2
            with pytest.raises(NetworkRefused):
                await shut(receiver.url, b"{}")
            assert receiver.tries == 2
        finally:
            await opened.close()
            await shut.close()
    with pytest.raises(PeerError):
        await opened_again(receiver.url)


async def opened_again(url: str) -> None:
    poster = Poster(Guard(["127.0.0.0/8"]), Config())
    try:
        await poster(url, b"{}")
    finally:
        await poster.close()
