"""Builds control's half of relays: the loop that has them run, their workers, and what delivers their callbacks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from penstock.app.relaying import SOCKET_NAME
from penstock.app.timers import every
from penstock.clouds.volcengine import callbacks as volcengine
from penstock.config import Config
from penstock.domain import callbacks
from penstock.domain.callbacks import Callbacks
from penstock.domain.engines import EngineLink
from penstock.domain.live import Live
from penstock.domain.relays import running
from penstock.domain.relays.board import Limits
from penstock.domain.relays.crew import Workers
from penstock.domain.relays.orders import Workshop
from penstock.domain.relays.running import Relays
from penstock.model import SystemClock
from penstock.net.guard import Guard
from penstock.net.http import AsyncGuardedClient, HttpPolicy, open_async_client
from penstock.net.tls import client_context
from penstock.storage.relay_rows import Notice

CACHE: Final = "relay-cache"
MIB: Final = 1024 * 1024
# An answer's body is of no interest, and a redirect is no 200.
_POSTING: Final = HttpPolicy(
    connect_timeout_s=callbacks.TIMEOUT_S,
    head_timeout_s=callbacks.TIMEOUT_S,
    read_timeout_s=callbacks.TIMEOUT_S,
    total_timeout_s=callbacks.TIMEOUT_S,
    max_redirects=0,
    max_connections=callbacks.MAX_AT_ONCE,
)


class RelayOffice:
    """Everything that control does for relays by itself."""

    def __init__(self, live: Live, engine: EngineLink, config: Callable[[], Config], workers: Workers) -> None:
        settings = config()
        live.guard = Guard(settings.network.allow_private)
        live.relays.limits = limits_of(settings)
        self._live = live
        self._config = config
        shake = random.SystemRandom().random
        self.relays = Relays(live, engine, workers, workshop_of(settings), shake)
        self._poster = Poster(live.guard, settings)
        self.callbacks = Callbacks(live, self._poster, self._encode, SystemClock(), shake)
        self._timers: list[asyncio.Task[None]] = []
        engine.relays = self.relays

    async def load(self) -> None:
        await self.relays.load()

    def start(self) -> None:
        self._timers = [
            asyncio.create_task(every(running.ROUND_S, self.relays.step)),
            asyncio.create_task(every(callbacks.ROUND_S, self.callbacks.step)),
        ]

    def reload(self) -> None:
        """The settings are others."""
        self._live.relays.limits = limits_of(self._config())

    async def close(self) -> None:
        """End all workers and deliveries; what waits in the store goes on with the next start."""
        for timer in self._timers:
            timer.cancel()
        await self.relays.close()
        await self.callbacks.close()
        await self._poster.close()

    def _encode(self, notice: Notice, now: datetime) -> bytes:
        facts = msgspec.json.decode(notice.facts, type=volcengine.RelayFacts)
        key = next((each.callback_key for each in self._config().accounts if each.id == notice.account), "")
        return volcengine.encode(facts, notice.event, notice.sequence, key, now)


class Poster:
    """Posts JSON through the guard. Its client is made when the first callback is due: roots of trust take a while."""

    def __init__(self, guard: Guard, config: Config) -> None:
        self._guard = guard
        self._ca_file = config.network.ca_file
        self._client: AsyncGuardedClient | None = None

    async def __call__(self, url: str, body: bytes) -> int:
        """Return the answer's status.

        Raises:
            PeerError, NetworkRefused: there is none.
        """
        if self._client is None:
            self._client = open_async_client(self._guard, _POSTING, client_context(self._ca_file))
        headers = {"Content-Type": "application/json"}
        async with self._client.stream("POST", url, content=body, headers=headers) as answer:
            return answer.status_code

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def limits_of(config: Config) -> Limits:
    relay = config.relay
    return Limits(tasks=relay.max_tasks, account_tasks=relay.max_account_tasks, workers=relay.max_workers)


def workshop_of(config: Config) -> Workshop:
    relay = config.relay
    return Workshop(
        door=str(config.data_dir / SOCKET_NAME),
        cache=str(config.data_dir / CACHE) if relay.cache_mib else "",
        cache_bytes=relay.cache_mib * MIB,
        allow_private=config.network.allow_private,
    )
