"""The same call twice: what creates something is done once, and answered twice.

A client that lost the answer says its call again; it cannot know whether the first one worked. To read, to
ban, to kick a second time does no harm, and has to see the truth of that moment. To create is another
matter. So a call with the same signature and the same body gets, for 10 s, the answer that the first one
got; if that is not ready yet, it waits for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from penstock.clouds.http import HttpResponse
from penstock.errors import LimitExceeded, Unavailable

# For how long an answer is given again, from when it was ready.
REPLAY_S: Final = 10.0
# Answers of one account that are kept at a time: 100 calls a second that each create something.
MAX_PER_ACCOUNT: Final = 1000


class Call(Struct, frozen=True):
    """What makes two calls the same one."""

    cloud: str
    account: str
    access_key: str
    signature: str
    body: bytes  # its hash is enough


class Replays:
    """Answers that may be asked for again; `monotonic` gives seconds that never go back."""

    def __init__(self, monotonic: Callable[[], float], max_per_account: int = MAX_PER_ACCOUNT) -> None:
        self._monotonic = monotonic
        self._max_per_account = max_per_account
        self._answers: dict[Call, asyncio.Future[HttpResponse]] = {}
        self._ready: dict[Call, float] = {}  # when each was; the oldest first
        self._counts: Counter[str] = Counter()  # answers of each account, under way or ready

    def __len__(self) -> int:
        return len(self._answers)

    async def once(self, call: Call, make: Callable[[], Awaitable[HttpResponse]]) -> HttpResponse:
        """Return what `make` gives, or what it gave to the same call just before.

        A fault of ours (5xx) is told to those that wait for it, and not kept.

        Raises:
            LimitExceeded: the account has too many answers kept.
            Unavailable: the first call was given up half way.
        """
        self._forget_old()
        answer = self._answers.get(call)
        if answer is not None:
            # Shielded: this caller may give up, and the others go on waiting.
            return await asyncio.shield(answer)
        return await self._first(call, make)

    async def _first(self, call: Call, make: Callable[[], Awaitable[HttpResponse]]) -> HttpResponse:
        if self._counts[call.account] >= self._max_per_account:
            raise LimitExceeded(f"at most {self._max_per_account} calls that create something may be in {REPLAY_S:g} s")
        self._counts[call.account] += 1
        answer = self._answers[call] = asyncio.get_running_loop().create_future()
        try:
            made = await make()
        except BaseException:
            answer.set_exception(Unavailable("the first call of two equal ones was given up"))
            answer.exception()  # nobody may be waiting for this one
            self._forget(call)
            raise
        answer.set_result(made)
        if made.status >= 500:
            self._forget(call)
        else:
            self._ready[call] = self._monotonic()
        return made

    def _forget_old(self) -> None:
        oldest = self._monotonic() - REPLAY_S
        while self._ready:
            call, since = next(iter(self._ready.items()))
            if since > oldest:
                return
            del self._ready[call]
            self._forget(call)

    def _forget(self, call: Call) -> None:
        del self._answers[call]
        self._counts[call.account] -= 1
        if not self._counts[call.account]:
            del self._counts[call.account]
