"""No ghosts: whatever befalls publishers and processes, the API lists who sends, and nobody for longer than allowed.

A customer looks every few milliseconds, while rounds of publishing, falling silent, leaving, resetting, taking over,
banning, lifting, kicking, killing, freezing and restarting go on. What may be seen at a moment is told by a model in
memory. Each look that it forbids is kept, and at the end there must be none.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from penstock.model import Kind
from tests.e2e.server import Watch
from tests.e2e.world import AWAY, World, eventually
from tests.engine.kit import inter_body
from tests.servers.client import Refused, RtmpClient

ROUNDS: Final = 200
SEED: Final = 20261126
NAMES: Final = [f"s{number}" for number in range(8)]

# A server has 10 s and 2 s by itself.
IDLE_S: Final = 0.5
REPLACE_S: Final = 0.2
# How long a stream may be listed, counted from what ended it.
AFTER_AN_ANSWER_S: Final = 0.0  # a ban or a kick is answered when it is over
AFTER_A_CLOSE_S: Final = 2.0
AFTER_SILENCE_S: Final = IDLE_S + 1.0  # what a look at the deadlines may be late by, on a machine that is busy
# Control hears of a stream a moment after its publisher did.
LISTED_WITHIN_S: Final = 1.0
# So many rounds are waited out before the next one, some until silence has ended who is silent. All others fall into
# each other's consequences.
CALM: Final = 0.6
LONG_CALM: Final = 0.15
BEAT_S: Final = 0.1
LOOK_S: Final = 0.02
FROZEN_S: Final = 0.25

STEPS: Final = {
    "publish": 50,
    "fall silent": 25,
    "leave": 15,
    "reset": 15,
    "take over": 30,
    "ban": 15,
    "lift": 15,
    "kick": 10,
    "kill control": 16,
    "kill engine": 6,
    "kill supervisor": 3,
    "freeze control": 6,
    "freeze engine": 4,
    "restart": 3,
}


class Stream(Struct):
    """What is known of one name."""

    publisher: RtmpClient | None = None  # who sends, or fell silent
    is_silent: bool = False
    is_banned: bool = False
    on_since: float | None = None  # it has to be listed by whoever asks later; None: it does not
    gone_by: float = 0.0  # it must not be listed by whoever asks later, unless `on_since` says so

    @property
    def sends(self) -> bool:
        return self.publisher is not None and not self.is_silent


class Sight(Struct, frozen=True):
    """A look at the API that the model forbids."""

    what: str
    name: str
    late_s: float
    step: str


class Haunted(World):
    """The server, the model, and who keeps both alive and apart."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        super().__init__(folder, idle_timeout_s=IDLE_S, replace_after_silent_s=REPLACE_S, keep_players_s=0)
        self.streams = {name: Stream() for name in NAMES}
        self.sights: list[Sight] = []
        self.looks = 0
        self.done: dict[str, int] = dict.fromkeys(STEPS, 0)
        self.step = ""
        self._dice = dice
        self._tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._watch())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for stream in self.streams.values():
            if stream.publisher is not None:
                stream.publisher.close()
        await super().close()

    def failed(self) -> BaseException | None:
        """Why one of those who should go on did not."""
        return next((task.exception() for task in self._tasks if task.done()), None)

    # What goes on all the while

    async def _beat(self) -> None:
        """Who has not fallen silent sends."""
        for number in range(1_000_000):
            for stream in self.streams.values():
                if stream.sends and stream.publisher is not None:
                    # It may have been closed a moment ago; that it was not to be is what `_watch` sees.
                    with contextlib.suppress(*AWAY):
                        await stream.publisher.send_media(Kind.VIDEO, number, inter_body())
            await asyncio.sleep(BEAT_S)

    async def _watch(self) -> None:
        while True:
            asked_at = time.monotonic()
            before = {name: stream.on_since for name, stream in self.streams.items()}
            with contextlib.suppress(*AWAY, RuntimeError):  # its client is closed while the server is started again
                listed = await self.on_air()
                self.looks += 1
                for name, stream in self.streams.items():
                    self._judge(name, stream, asked_at, before[name], is_listed=name in listed)
            await asyncio.sleep(LOOK_S)

    def _judge(self, name: str, stream: Stream, asked_at: float, on_before: float | None, *, is_listed: bool) -> None:
        if on_before is not None and stream.on_since == on_before and not is_listed:
            if asked_at > on_before + LISTED_WITHIN_S:
                self._saw("a stream that sends is not listed", name, asked_at - on_before)
        elif on_before is None and stream.on_since is None and is_listed and asked_at > stream.gone_by:
            self._saw("a ghost", name, asked_at - stream.gone_by)

    def _saw(self, what: str, name: str, late_s: float) -> None:
        self.sights.append(Sight(what, name, round(late_s, 3), self.step))

    # Rounds

    async def round(self) -> None:
        candidates: list[str] = []
        while not candidates:
            self.step = self._dice.choices(list(STEPS), list(STEPS.values()))[0]
            candidates = [name for name, stream in self.streams.items() if self._fits(stream)]
        what, _, process = self.step.partition(" ")
        if process in ("control", "engine", "supervisor"):
            await (self.kill(process) if what == "kill" else self._freeze(process))
        elif what == "restart":
            self._gone(*self.streams, by_s=AFTER_A_CLOSE_S)
            await self.restart()
        else:
            await self._act(self._dice.choice(candidates))
        self.done[self.step] += 1
        if (dots := self._dice.random()) < CALM:
            await self.settles(to_the_name=dots < LONG_CALM)

    def _fits(self, stream: Stream) -> bool:
        match self.step:
            case "fall silent" | "leave" | "reset" | "kick":
                return stream.sends
            case "take over":
                return stream.is_silent and not stream.is_banned
            case "lift":
                return stream.is_banned
            case "publish" | "ban":
                return not stream.is_silent
            case _:
                return True  # what befalls a process befalls them all

    async def _act(self, name: str) -> None:
        stream = self.streams[name]
        match self.step:
            case "publish":
                await self._publish(name, stream)
            case "take over":
                await self._take_over(name, stream)
            case "fall silent":
                stream.is_silent, stream.on_since = True, None
                stream.gone_by = time.monotonic() + AFTER_SILENCE_S
            case "leave" | "reset":
                assert stream.publisher is not None
                publisher = stream.publisher
                self._gone(name, by_s=AFTER_A_CLOSE_S)
                publisher.reset() if self.step == "reset" else publisher.close()
            case "ban":
                stream.on_since = None
                stream.gone_by = float("inf")  # until the answer it may be either
                await self.ban(name)
                stream.is_banned = True
                self._gone(name, by_s=AFTER_AN_ANSWER_S)
            case "kick":
                stream.on_since = None
                stream.gone_by = float("inf")
                await self.kick(name)
                self._gone(name, by_s=AFTER_AN_ANSWER_S)
            case "lift":
                await self.lift(name)
                stream.is_banned = False

    async def _publish(self, name: str, stream: Stream) -> None:
        if stream.is_banned or stream.sends:
            wanted = "is banned until" if stream.is_banned else "has a publisher that sends|was just given"
            with pytest.raises(Refused, match=wanted):
                await self.publish(name)
            return
        await self._take_over(name, stream)

    async def _take_over(self, name: str, stream: Stream) -> None:
        """Publish, as an encoder that tries until it is let in; whoever had the name before is silent or gone."""
        stream.gone_by = float("inf")
        async with asyncio.timeout(AFTER_A_CLOSE_S + AFTER_SILENCE_S):
            while True:
                try:
                    fresh = await self.publish(name)
                    break
                except Refused as refused:
                    if "has a publisher that sends" not in str(refused):
                        raise
        if stream.publisher is not None:
            stream.publisher.close()
        stream.publisher, stream.is_silent, stream.on_since = fresh, False, time.monotonic()

    def _gone(self, *names: str, by_s: float) -> None:
        """Nobody publishes these any more, as of now."""
        for name in names:
            stream = self.streams[name]
            publisher, stream.publisher = stream.publisher, None
            stream.is_silent, stream.on_since = False, None
            if publisher is not None:
                stream.gone_by = time.monotonic() + by_s
                if self.step not in ("leave", "reset"):
                    publisher.close()

    async def kill(self, victim: str) -> None:
        if victim != "control":
            # Its sockets close with it.
            self._gone(*self.streams, by_s=AFTER_A_CLOSE_S)
        await super().kill(victim)

    async def _freeze(self, victim: str) -> None:
        frozen = Watch({victim: await self.process(victim)})
        frozen.send_signal(signal.SIGSTOP)
        await asyncio.sleep(FROZEN_S)
        frozen.send_signal(signal.SIGCONT)
        frozen.close()

    # What it comes to

    async def settles(self, *, to_the_name: bool = False) -> None:
        """Wait until the API tells what the model has; who fell silent may be listed, unless it is `to_the_name`."""
        sending = {name for name, stream in self.streams.items() if stream.sends}
        silent = {name for name, stream in self.streams.items() if stream.is_silent and not to_the_name}
        banned = {name for name, stream in self.streams.items() if stream.is_banned}
        what = f"on air, where {sorted(sending)} should be, and {sorted(silent)} may"
        # A forbidden look ends the wait: the test has its answer.
        await eventually(self.on_air, lambda names: bool(self.sights) or sending <= names <= sending | silent, what)
        await eventually(self.banned, lambda names: names == banned, f"bans, where {sorted(banned)} should be")


@pytest.fixture
async def haunted(tmp_path: Path) -> AsyncIterator[Haunted]:
    haunted = Haunted(tmp_path, random.Random(SEED))
    try:
        yield haunted
    finally:
        await haunted.close()


@pytest.mark.timeout(300)
async def test_nobody_is_listed_who_does_not_send_over_two_hundred_rounds(haunted: Haunted) -> None:
    for number in range(ROUNDS):
        try:
            await haunted.round()
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"round {number}, {haunted.step}: {error!r}") from error
        assert haunted.sights == [], f"round {number}"
        assert haunted.failed() is None
    await haunted.settles(to_the_name=True)
    assert haunted.sights == []
    # Each kind was done, and somebody looked.
    assert min(haunted.done.values()) > 0
    assert haunted.looks > ROUNDS / 4
