"""What the link's tests share: an end that remembers, and messages of every kind."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from penstock.link.channel import Channel
from penstock.link.messages import AnyMessage, UsageTaken

WAIT_S = 5.0


class End:
    """A channel and all that it brought, in order: messages, and texts for losses."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.log: list[AnyMessage | str] = []
        self._news = asyncio.Event()
        channel.on_message = self._take
        channel.on_lost = self._take

    @property
    def got(self) -> list[AnyMessage]:
        return [one for one in self.log if not isinstance(one, str)]

    @property
    def lost(self) -> list[str]:
        return [one for one in self.log if isinstance(one, str)]

    def send(self, *messages: AnyMessage) -> None:
        for message in messages:
            self.channel.send(message)

    def _take(self, one: AnyMessage | str) -> None:
        self.log.append(one)
        self._news.set()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not done():
                self._news.clear()
                await self._news.wait()

    async def until_got(self, count: int) -> list[AnyMessage]:
        await self.until(lambda: len(self.got) >= count)
        return self.got

    async def until_lost(self) -> None:
        await self.until(lambda: bool(self.lost))


def numbered(count: int, start: int = 0) -> list[UsageTaken]:
    """Small messages that can be told apart."""
    return [UsageTaken(number) for number in range(start, start + count)]


async def turn_the_loop(times: int = 10) -> None:
    """Let everything happen that is on its way already."""
    for _ in range(times):
        await asyncio.sleep(0)


async def shut(*ends: End) -> None:
    """Close both ends of a link, and wait until nothing is left of it."""
    for end in ends:
        end.channel.close()
    for end in ends:
        await end.until_lost()
    await turn_the_loop()


# One sample of every message, full and bare, made from its declaration: a message that is added is tested.


def samples() -> list[AnyMessage]:
    return [_made(kind, full) for kind in get_args(AnyMessage) for full in (True, False)]


def _made(hint: Any, full: bool) -> Any:
    """A value of a declared type: `full` has every optional part and texts beyond ASCII, bare has none."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return hint(**{field.name: _made(field.type, full) for field in msgspec.structs.fields(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return list(hint)[-1 if full else 0]
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if types.NoneType in args and not full:
            return None
        return _made(next(arg for arg in args if arg is not types.NoneType), full)
    if origin is tuple:
        return (_made(args[0], True), _made(args[0], False)) if full else ()
    if origin is dict:
        return {"rtmp": _made(args[1], True), "": _made(args[1], False)} if full else {}
    values: dict[Any, tuple[Any, Any]] = {
        str: ("流/<demo>\x00\u2028", ""),
        int: (2**63 - 1, 0),
        float: (0.1, -1.5),
        bool: (True, False),
        datetime: (datetime(2026, 2, 28, 23, 59, 59, 999_999, UTC), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(1)),
    }
    return values[hint][0 if full else 1]
