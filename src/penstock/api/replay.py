"""The same request twice: what creates something is done once, and answered as often as it is asked.

A client that lost the answer sends the very same bytes again, within seconds. Reads and operations that set
a state are simply done again: they must see the truth of that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Struct

from penstock.clouds.contract import Effect, Operation
from penstock.clouds.http import HttpResponse
from penstock.errors import Unavailable

REMEMBERED_S: Final = 10.0
# Answers that are kept at most; above, the oldest go early.
MAX_REMEMBERED: Final = 10_000


class _Memory(Struct, frozen=True):
    at_s: float
    answer: asyncio.Future[HttpResponse]


class Replays:
    """Answers to what was created a moment ago, by who asked, with which signature, for which body."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._memories: dict[tuple[str, str, bytes], _Memory] = {}

    async def once(
        self,
        operation: type[Operation[Any]],
        key: tuple[str, str, bytes],
        act: Callable[[], Awaitable[HttpResponse]],
    ) -> HttpResponse:
        """The answer of `act`, or the one that the same request had.

        `key` is access key, signature, and a digest of the body. A request that failed is not remembered: it
        raises, and may be tried again.
        """
        if operation.about.effect is not Effect.CREATES:
            return await act()
        self._forget()
        known = self._memories.get(key)
        if known is not None:
            return await asyncio.shield(known.answer)
        answer: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self._memories[key] = _Memory(self._monotonic(), answer)
        try:
            made = await act()
        except BaseException as error:
            self._memories.pop(key, None)
            if isinstance(error, Exception):
                answer.set_exception(error)
            else:
                answer.set_exception(Unavailable("the same request was given up before it was answered; try again"))
            answer.exception()  # nobody may be waiting
            raise
        answer.set_result(made)
        return made

    def _forget(self) -> None:
        oldest_s = self._monotonic() - REMEMBERED_S
        for key, memory in list(self._memories.items()):
            # In the order in which they came: the first that is young enough ends the walk.
            if memory.at_s > oldest_s and len(self._memories) < MAX_REMEMBERED:
                return
            if memory.answer.done():
                del self._memories[key]
