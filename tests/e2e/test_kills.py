"""What an API answered survives `kill -9` of any process right behind it, over and over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypedDict, TypeVar

import pytest

from penstock.errors import ApiError, Conflict, NotBanned, NotOnAir, TransportError
from penstock.model import Kind
from penstock.sdk.kingsoft import AsyncKingsoft
from tests.e2e.server import Server, Watch, write_settings
from tests.engine.kit import AVC_HEADER, key_body
from tests.servers.client import Refused, RtmpClient

T = TypeVar("T")

ROUNDS: Final = 100
SEED: Final = 20261125
# Of ten kills so many hit each process: control is the one whose promises these are.
VICTIMS: Final = ("control",) * 6 + ("engine",) * 3 + ("supervisor",)
ACTIONS: Final = ("ban", "ban", "lift", "kick", "leave", "nothing")
# A process that was killed is back within this time, with a core to itself or not.
BACK_S: Final = 20.0
PAUSE_S: Final = 0.02

# What tells that nobody answers right now.
AWAY: Final = (TransportError, ConnectionError, EOFError, TimeoutError, OSError)


class Place(TypedDict):
    unique_name: str
    app: str
    pubdomain: str


PLACE: Final = Place(unique_name="demo", app="live", pubdomain="push.demo.test")


class Model:
    """What has to be true, by what was answered."""

    def __init__(self) -> None:
        self.banned: set[str] = set()
        self.on_air: dict[str, RtmpClient] = {}
        self.ended: set[str] = set()
        self.refused: set[str] = set()


class World:
    """A server that is killed and comes back, and what its customer knows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settings = write_settings(folder)
        self.model = Model()
        self.server = self._start()
        keys = tomllib.loads((folder / "data" / "credentials.toml").read_text())["2000000001"]
        self._keys = {"access_key": keys["access_key"], "secret_key": keys["secret_key"]}
        self.cloud = self._client()

    def _start(self) -> Server:
        environ = {"PENSTOCK_API__RATE_LIMITS": "false"}
        return Server.started(self._folder, ["--config", str(self._settings)], environ=environ)

    def _client(self) -> AsyncKingsoft:
        found = re.search(r"API\s+(http://\S+)", self.server.log.text())
        assert found is not None
        return AsyncKingsoft(**self._keys, endpoint=found[1], retries=0, timeout_s=5)

    async def close(self) -> None:
        await self.cloud.aclose()
        for publisher in self.model.on_air.values():
            publisher.close()
        self.server.close()

    # Publishing

    async def publish(self, name: str) -> RtmpClient:
        """Raises:
        Refused: the server said no.
        """

        async def attempt() -> RtmpClient:
            port = int(self.server.rtmp_url("").split(":")[2].partition("/")[0])
            client = await RtmpClient.open(port)
            try:
                await client.publish(name)
                await client.send_media(Kind.VIDEO, 0, AVC_HEADER)
                await client.send_media(Kind.VIDEO, 0, key_body())
            except BaseException:
                client.close()
                raise
            return client

        return await persistently(attempt)

    # Killing

    async def kill(self, victim: str) -> None:
        """End a process at once, and wait until there is another one."""
        if victim == "supervisor":
            children = Watch(self.server.children())
            self.server.send_signal(signal.SIGKILL)
            await self.server.exit_code(within_s=5)
            await children.until_all_ended(within_s=10)
            await self.cloud.aclose()
            self.server = await asyncio.to_thread(self._start)
            self.cloud = self._client()
        else:
            os.kill(self.server.child(victim), signal.SIGKILL)
        if victim != "control":
            # Its sockets are closed, and nobody else sends.
            for name, publisher in self.model.on_air.items():
                publisher.close()
                self.model.ended.add(name)
            self.model.on_air.clear()

    # What has to hold

    async def check(self) -> None:
        model = self.model
        await eventually(self._bans, lambda bans: bans == model.banned, "bans")
        # At most one of each: a stream that is over must not be listed, one that sends must be.
        await eventually(self._on_air, lambda names: names == set(model.on_air), "on air")
        await eventually(self._history, lambda names: names == sorted(model.ended), "history")
        await eventually(self._refusals, lambda names: model.refused <= names, "refusals")

    async def _bans(self) -> set[str]:
        listed = await self.cloud.get_blacklist(**PLACE)
        return {rec.stream for rec in listed.recs}

    async def _on_air(self) -> set[str]:
        listed = await self.cloud.list_realtime_pub_streams_info(**PLACE, limit=5000)
        return {row.stream for row in listed.result}

    async def _history(self) -> list[str]:
        page = await self.cloud.list_history_pub_streams_info(**PLACE, limit=5000)
        return sorted(row.stream for row in page.result for _ in row.detail)

    async def _refusals(self) -> set[str]:
        page = await self.cloud.list_history_pub_streams_err_info(**PLACE, limit=5000)
        return {row.stream for row in page.result if any(each.status_code == 423 for each in row.detail)}


async def persistently(call: Callable[[], Awaitable[T]]) -> T:
    """Do what fails only because a process is being started again; whatever else is said counts."""
    async with asyncio.timeout(BACK_S):
        while True:
            try:
                return await call()
            except AWAY:
                await asyncio.sleep(PAUSE_S)
            except Refused as refused:
                if "no control process" not in refused.status.description:
                    raise
            except ApiError as error:
                if error.status < 500:
                    raise
                await asyncio.sleep(PAUSE_S)


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str) -> None:
    seen: T | None = None
    try:
        async with asyncio.timeout(BACK_S):
            while True:
                seen = await persistently(look)
                if holds(seen):
                    return
                await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        raise AssertionError(f"{what}: still {seen} after {BACK_S:g} s") from None


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    try:
        yield world
    finally:
        await world.close()


async def act(world: World, action: str, name: str) -> None:
    """Do one thing to a stream that is on air, and note what its answer promises."""
    model = world.model
    if action == "ban":
        await persistently(lambda: ban(world, name))
        model.banned.add(name)
    elif action == "lift":
        await persistently(lambda: ban(world, name))
        await persistently(lambda: lift(world, name))
    elif action == "kick":
        await persistently(lambda: kick(world, name))
    elif action == "leave":
        model.on_air[name].close()
    if action != "nothing":
        model.on_air.pop(name).close()
        model.ended.add(name)


async def ban(world: World, name: str) -> None:
    # A ban whose answer was lost was made all the same.
    with contextlib.suppress(Conflict):
        await world.cloud.forbid_stream(**PLACE, stream=name)


async def lift(world: World, name: str) -> None:
    with contextlib.suppress(NotBanned):
        await world.cloud.resume_stream(**PLACE, stream=name)


async def kick(world: World, name: str) -> None:
    with contextlib.suppress(NotOnAir):
        await world.cloud.forbid_stream(**PLACE, stream=name, forbid_till_unix_time=1)


@pytest.mark.timeout(300)
async def test_no_ban_no_history_and_no_truth_is_lost_over_a_hundred_kills(world: World) -> None:
    dice = random.Random(SEED)
    for number in range(ROUNDS):
        name = f"s{number}"
        world.model.on_air[name] = await world.publish(name)
        await eventually(world._on_air, lambda names, name=name: name in names, "on air")  # type: ignore[misc]
        action, victim = dice.choice(ACTIONS), dice.choice(VICTIMS)
        await act(world, action, name)
        await world.kill(victim)
        if world.model.banned:
            banned = dice.choice(sorted(world.model.banned))
            with pytest.raises(Refused, match="is banned until"):
                await world.publish(banned)
            world.model.refused.add(banned)
        try:
            await world.check()
        except AssertionError as error:
            raise AssertionError(f"round {number} ({action}, then kill {victim}): {error}") from error
        for publisher in world.model.on_air.values():
            # Who lives on has to be heard of: silence for 10 s would end it.
            await publisher.send_media(Kind.VIDEO, number, key_body())
