"""Delivers callbacks: at least once, and those of one subject in their order.

A callback is a row, written together with what it tells of. It is posted until it is answered with 200: at once,
three times more after 3 s each, and then less and less often, until 10 minutes after the first try. What comes
behind it for the same subject waits for it. Every try is written down. All of this goes by the machine's own
clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from msgspec.structs import replace

from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.errors import NetworkRefused, NotFound, PeerError
from penstock.storage.relay_rows import Delivery, Notice

log = logging.getLogger("penstock.callbacks")

ROUND_S: Final = 0.5  # to be called about so often
TIMEOUT_S: Final = 4.0
QUICK_TRIES: Final = 3
QUICK_S: Final = 3.0
FIRST_QUEUED_S: Final = 10.0
LONGEST_QUEUED_S: Final = 120.0
GIVEN_UP_AFTER: Final = timedelta(minutes=10)
MAX_AT_ONCE: Final = 64
LOOKED_AT: Final = 500  # in one round, of each account: what waits behind those is its own affair
MAX_PER_ACCOUNT: Final = 16
MAX_PER_HOST: Final = 4
# A host that failed so often in a row is left alone for a while, whosever callbacks these are: it may be a victim.
TRIPS_AT: Final = 10
TRIPPED_S: Final = 30.0
MAX_HOSTS: Final = 10_000  # whose failures are remembered
# What could not be written down is not posted again before this: else a full disk would make us a hammer.
UNWRITTEN_S: Final = 30.0

Post = Callable[[str, bytes], Coroutine[Any, Any, int]]
Encode = Callable[[Notice, datetime], bytes]


class RealClock(Protocol):
    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class Callbacks:
    """The outbox. `post` sends a body and returns the answer's status, or raises PeerError or NetworkRefused."""

    def __init__(self, live: Live, post: Post, encode: Encode, clock: RealClock, random: Callable[[], float]) -> None:
        self._live = live
        self._post = post
        self._encode = encode
        self._clock = clock
        self._random = random
        self._under_way: dict[str, asyncio.Task[None]] = {}  # by subject
        self._hosts: Counter[str] = Counter()  # tries under way, by host
        self._accounts: Counter[str] = Counter()  # and by account
        self._failed: dict[str, int] = {}  # tries that failed in a row
        self._left_alone: dict[str, float] = {}  # until when
        self._unwritten: dict[str, float] = {}  # subjects whose last try is in no row: until when they rest

    async def step(self) -> None:
        """Begin every delivery that is due."""
        now_s = self._clock.monotonic()
        self._unwritten = {subject: until_s for subject, until_s in self._unwritten.items() if until_s > now_s}
        for notice in await self._live.store.waiting_notices(self._clock.now(), per_account=LOOKED_AT):
            host = _host(notice.url)
            is_free = notice.subject not in self._under_way and notice.subject not in self._unwritten
            if is_free and self._has_room(host, notice.account, now_s):
                self._hosts[host] += 1
                self._accounts[notice.account] += 1
                task = asyncio.create_task(self._deliver(notice, host))
                self._under_way[notice.subject] = task

    def _has_room(self, host: str, account: str, now_s: float) -> bool:
        if len(self._under_way) >= MAX_AT_ONCE or self._accounts[account] >= MAX_PER_ACCOUNT:
            return False
        return self._hosts[host] < MAX_PER_HOST and self._left_alone.get(host, 0.0) <= now_s

    async def _deliver(self, notice: Notice, host: str) -> None:
        try:
            await self._try(notice, host)
        except Exception:
            log.exception("what became of callback %d could not be written down", notice.id)
            self._unwritten[notice.subject] = self._clock.monotonic() + UNWRITTEN_S
        finally:
            _decrease(self._hosts, host)
            _decrease(self._accounts, notice.account)
            del self._under_way[notice.subject]

    async def _try(self, notice: Notice, host: str) -> None:
        at, began_s = self._clock.now(), self._clock.monotonic()
        status, error = 0, ""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._post(notice.url, self._encode(notice, at))
        except TimeoutError:
            error = f"no answer within {TIMEOUT_S:g} s"
        except (PeerError, NetworkRefused) as failure:
            error = str(failure)
        except Exception:
            # It counts as a try, so that this ends.
            log.exception("a fault of our own in callback %d", notice.id)
            error = "a fault in the server"
        took_ms = round((self._clock.monotonic() - began_s) * 1000)
        delivery = Delivery(notice=notice.id, at=at, took_ms=took_ms, status=status, error=error[:500])
        notice = self._after(notice, at, status, error)
        await self._live.store.update_notice(notice, delivery)
        self._remember(host, is_good=status == 200)

    def _after(self, notice: Notice, at: datetime, status: int, error: str) -> Notice:
        """What the row says behind a try that began at `at`."""
        tries, first_try_at = notice.tries + 1, notice.first_try_at or at
        notice = replace(notice, tries=tries, first_try_at=first_try_at, answer=error or f"HTTP {status}")
        if status == 200:
            self._live.tallies.callbacks.add("delivered")
            return replace(notice, state="delivered", next_try_at=None)
        self._live.tallies.callbacks.add("failed")
        next_try_at = self._clock.now() + timedelta(seconds=self._pause_s(tries))
        if next_try_at > first_try_at + GIVEN_UP_AFTER:
            self._live.tallies.callbacks.add("given up")
            log.warning(
                "callback %d (%s) is given up after %d tries: %s", notice.id, notice.event, tries, notice.answer
            )
            return replace(notice, state="given up", next_try_at=None)
        return replace(notice, next_try_at=next_try_at)

    def _pause_s(self, tries: int) -> float:
        if tries <= QUICK_TRIES:
            return QUICK_S
        whole_s = min(LONGEST_QUEUED_S, FIRST_QUEUED_S * 2.0 ** (tries - QUICK_TRIES - 1))
        return whole_s * (0.5 + self._random() / 2)

    def _remember(self, host: str, *, is_good: bool) -> None:
        if is_good:
            self._failed.pop(host, None)
            self._left_alone.pop(host, None)
            return
        if host not in self._failed and len(self._failed) >= MAX_HOSTS:
            self._failed.pop(next(iter(self._failed)))
        self._failed[host] = self._failed.get(host, 0) + 1
        if self._failed[host] >= TRIPS_AT:
            self._left_alone = {each: until for each, until in self._left_alone.items() if each in self._failed}
            self._left_alone[host] = self._clock.monotonic() + TRIPPED_S

    async def close(self) -> None:
        """Give up what is under way; it waits in the store."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def redeliver(live: Live, caller: Caller, id: int) -> Notice:
    """Have a callback delivered again, whatever became of it.

    Raises:
        NotFound: there is none, or it is another account's.
    """
    async with live.store.transaction() as store:
        found = await store.find_notice(id)
        if found is None or found.account != caller.account:
            raise NotFound(f"there is no callback {id}")
        caller.about_to_act()
        again = replace(found, state="waiting", tries=0, first_try_at=None, next_try_at=None)
        await store.update_notice(again)
    return again


def _host(url: str) -> str:
    """Whom a URL calls: all ports of a host are one victim."""
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _decrease(counter: Counter[str], of: str) -> None:
    counter[of] -= 1
    if not counter[of]:
        del counter[of]
