"""What an API answered survives `kill -9` of any process right behind it, over and over."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from penstock.model import Kind
from tests.e2e.world import World, eventually
from tests.engine.kit import key_body
from tests.servers.client import Refused, RtmpClient

ROUNDS: Final = 100
SEED: Final = 20261125
# Of ten kills so many hit each process: control is the one whose promises these are.
VICTIMS: Final = ("control",) * 6 + ("engine",) * 3 + ("supervisor",)
ACTIONS: Final = ("ban", "ban", "lift", "kick", "leave", "nothing")


class Killed(World):
    """The server, and what has to be true of it by what was answered."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_banned: set[str] = set()
        self.publishers: dict[str, RtmpClient] = {}
        self.ended: set[str] = set()
        self.was_refused: set[str] = set()

    async def close(self) -> None:
        for publisher in self.publishers.values():
            publisher.close()
        await super().close()

    async def kill(self, victim: str) -> None:
        await super().kill(victim)
        if victim != "control":
            # Its sockets are closed, and nobody else sends.
            for name, publisher in self.publishers.items():
                publisher.close()
                self.ended.add(name)
            self.publishers.clear()

    async def act(self, action: str, name: str) -> None:
        """Do one thing to a stream that is on air, and note what its answer promises."""
        if action in ("ban", "lift"):
            await self.ban(name)
        if action == "ban":
            self.is_banned.add(name)
        elif action == "lift":
            await self.lift(name)
        elif action == "kick":
            await self.kick(name)
        elif action == "leave":
            self.publishers[name].close()
        if action != "nothing":
            self.publishers.pop(name).close()
            self.ended.add(name)

    async def check(self) -> None:
        await eventually(self.banned, lambda bans: bans == self.is_banned, "bans")
        # At most one of each: a stream that is over must not be listed, one that sends must be.
        await eventually(self.on_air, lambda names: names == set(self.publishers), "on air")
        await eventually(self.history, lambda names: names == sorted(self.ended), "history")
        await eventually(self.refused, lambda names: self.was_refused <= names, "refusals")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Killed]:
    world = Killed(tmp_path)
    try:
        yield world
    finally:
        await world.close()


@pytest.mark.timeout(300)
async def test_no_ban_no_history_and_no_truth_is_lost_over_a_hundred_kills(world: Killed) -> None:
    dice = random.Random(SEED)
    for number in range(ROUNDS):
        name = f"s{number}"
        world.publishers[name] = await world.publish(name)
        await eventually(world.on_air, lambda names, name=name: name in names, "on air")  # type: ignore[misc]
        action, victim = dice.choice(ACTIONS), dice.choice(VICTIMS)
        await world.act(action, name)
        await world.kill(victim)
        if world.is_banned:
            banned = dice.choice(sorted(world.is_banned))
            with pytest.raises(Refused, match="is banned until"):
                await world.publish(banned)
            world.was_refused.add(banned)
        try:
            await world.check()
        except AssertionError as error:
            raise AssertionError(f"round {number} ({action}, then kill {victim}): {error}") from error
        for publisher in world.publishers.values():
            # Who lives on has to be heard of: silence for 10 s would end it.
            await publisher.send_media(Kind.VIDEO, number, key_body())
