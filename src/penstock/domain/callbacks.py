"""Delivers callbacks: at least once, and those of one subject in their order.

A callback is a row, written together with what it tells of. It is posted until it is answered with 200: at once,
three times more after 3 s each, and then less and less often, until 10 minutes after the first try. What comes
behind it for the same subject waits for it. Every try is written down. All of this goes by the machine's own
clock.
"""

from __future__ import annotations

import asyncio
import logging
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
MAX_PER_HOST: Final = 4
# A host that failed so often in a row is left alone for a while, whosever callbacks these are: it may be a victim.
TRIPS_AT: Final = 10
TRIPPED_S: Final = 30.0
MAX_HOSTS: Final = 10_000  # whose failures are remembered

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
        self._hosts: dict[str, int] = {}  # tries under way, by host
        self._failed: dict[str, int] = {}  # tries that failed in a row
        self._left_alone: dict[str, float] = {}  # until when

    async def step(self) -> None:
        """Begin every delivery that is due."""
        now = self._clock.now()
        for notice in await self._live.store.waiting_notices(limit=500):
            host = _host(notice.url)
            is_due = notice.next_try_at is None or notice.next_try_at <= now
            if is_due and notice.subject not in self._under_way and self._has_room(host):
                self._hosts[host] = self._hosts.get(host, 0) + 1
                task = asyncio.create_task(self._deliver(notice, host))
                self._under_way[notice.subject] = task

    def _has_room(self, host: str) -> bool:
        if len(self._under_way) >= MAX_AT_ONCE or self._hosts.get(host, 0) >= MAX_PER_HOST:
            return False
        return self._left_alone.get(host, 0.0) <= self._clock.monotonic()

    async def _deliver(self, notice: Notice, host: str) -> None:
        try:
            await self._try(notice, host)
        except Exception:
            log.exception("callback %d could not be handled", notice.id)
        finally:
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]
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
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
