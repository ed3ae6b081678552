"""What the domain's tests share: a control plane over a store in memory, without an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import cast

from penstock.domain.audience import Audiences
from penstock.domain.bantable import BanTable
from penstock.domain.caller import Caller
from penstock.domain.clock import DomainClock
from penstock.domain.journal import Journal
from penstock.domain.live import Engine, Live, Rules
from penstock.domain.recording_urls import FileUrls
from penstock.domain.registry import Registry
from penstock.domain.sessions import Sessions
from penstock.domain.usage import UsageLedger
from penstock.link.messages import Audience, Client, EndReason, Holder, Lease, OnAir, PublishAsked, StreamStats
from penstock.model import StreamId
from penstock.storage.base import Records, Store
from penstock.storage.errors import StorageError
from penstock.storage.rows import AccessKey, Account, Domain, Seed, UrlSigning, Vhost
from penstock.storage.sql import SqlStore
from tests.clock import START, ManualClock

DEMO = StreamId("demo", "live", "cam")
OTHER = StreamId("demo", "live", "other")
CLIENT = Client("192.0.2.7", 50000)
RIVAL = Client("192.0.2.8", 50001)
RULES = Rules("", "refuse", 2.0, "192.0.2.1")

KEY = AccessKey(access_key="AKone", secret_key="secret-of-one", account="1")
STRANGER_KEY = AccessKey(access_key="AKtwo", secret_key="secret-of-two", account="2")
ME = Caller(account="1", access_key="AKone", cloud="kingsoft")
STRANGER = Caller(account="2", access_key="AKtwo", cloud="kingsoft")
SEED = Seed(
    accounts=(Account(id="1"), Account(id="2")),
    keys=(KEY, STRANGER_KEY),
    vhosts=(
        Vhost(name="demo", account="1", apps=("live", "studio")),
        Vhost(name="other", account="2"),
        Vhost(name="signed", account="1", publish_auth="signed", publish_key="publish-key", signing=UrlSigning()),
    ),
    domains=(
        Domain(vhost="demo", name="push.demo.test", kind="push"),
        Domain(vhost="demo", name="push2.demo.test", kind="push"),
        Domain(vhost="demo", name="pull.demo.test", kind="pull"),
        Domain(vhost="demo", name="pull2.demo.test", kind="pull"),
        Domain(vhost="other", name="push.other.test", kind="push"),
    ),
)


class NoEngine:
    async def drop(self, stream: StreamId, reason: EndReason, detail: str) -> int | None:
        raise AssertionError("nothing is dropped here")

    def tell_vhosts(self, live: Live) -> None:
        """Nobody has to know."""


class ScriptedEngine(NoEngine):
    """Drops what the sessions have on air, as an engine would: the end comes before the answer."""

    def __init__(self) -> None:
        self.live: Live | None = None
        self.dropped: list[tuple[StreamId, EndReason, str]] = []

    async def drop(self, stream: StreamId, reason: EndReason, detail: str) -> int | None:
        self.dropped.append((stream, reason, detail))
        assert self.live is not None
        session = self.live.sessions.holder(stream)
        if session is None:
            return None
        self.live.sessions.end(session.lease, reason, self.live.clock.now(), None)
        return session.lease.epoch


@asynccontextmanager
async def opened(
    clock: ManualClock | None = None, *, rules: Rules = RULES, engine: Engine | None = None, seed: Seed = SEED
) -> AsyncIterator[Live]:
    """A control plane that knows the owners of `seed`."""
    domain_clock = DomainClock(clock or ManualClock(), is_turnable=True)
    store = await SqlStore.open(None)
    try:
        await store.seed(seed)
        live = Live(
            clock=domain_clock,
            rules=rules,
            store=store,
            journal=Journal(store),
            registry=Registry(),
            bans=BanTable(),
            sessions=Sessions(domain_clock),
            audiences=Audiences(),
            usage=UsageLedger(),
            engine=engine or NoEngine(),
            file_urls=FileUrls("a-secret-of-the-server", "http://penstock.test"),
        )
        await live.registry.load(store)
        yield live
        await live.journal.written()
    finally:
        await store.close()


def asked(
    stream: StreamId = DEMO,
    *,
    ask: int = 1,
    client: Client = CLIENT,
    holder: Holder | None = None,
    domain: str = "push.demo.test",
    query: str = "",
) -> PublishAsked:
    return PublishAsked(ask, stream, domain, query, client, holder)


def make_stats(
    epoch: int, *, client: Client = CLIENT, bytes_in: int = 0, audience: tuple[Audience, ...] = (), at: datetime = START
) -> StreamStats:
    return StreamStats(epoch, client, "push.demo.test", at, 0, 0.0, bytes_in, None, None, audience)


def on_air(lease: Lease, *, client: Client = CLIENT, bytes_in: int = 0) -> OnAir:
    return OnAir(lease, make_stats(lease.epoch, client=client, bytes_in=bytes_in))


class Gate:
    """A store whose transactions wait until they may begin, or fail."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.opened = asyncio.Event()
        self.opened.set()
        self.waiting = asyncio.Event()  # one has come
        self.fails = 0  # so many of the next ones
        self.begun = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Records]:
        self.begun += 1
        self.waiting.set()
        await self.opened.wait()
        async with self._store.transaction() as records:
            yield records
            if self.fails:
                self.fails -= 1
                raise StorageError("the disk is full")


def gated(live: Live) -> Gate:
    """Put a gate between the journal and its store."""
    gate = Gate(live.store)
    live.journal = Journal(cast("Store", gate))
    return gate
