"""Builds the control plane from the settings: store, domain, the link to the engine, and the APIs over them."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from penstock.api.operator.desk import Desk
from penstock.api.watch import Readiness
from penstock.app.doors import Doors
from penstock.app.relays import RelayOffice
from penstock.app.reloading import Reloaded, differences, reloaded
from penstock.app.timers import every
from penstock.config import Config, load
from penstock.domain import accounts, recording_schedule, records, retention
from penstock.domain.audience import Audiences
from penstock.domain.bantable import BanTable
from penstock.domain.clock import DomainClock
from penstock.domain.engines import EngineLink
from penstock.domain.explain import Explanations
from penstock.domain.journal import Journal
from penstock.domain.live import Live, Rules
from penstock.domain.recording_urls import KEY_NAME, FileUrls
from penstock.domain.registry import Registry
from penstock.domain.relays.crew import Workers
from penstock.domain.sessions import Sessions
from penstock.domain.usage import UsageLedger
from penstock.errors import ConfigError, Conflict, PenstockError
from penstock.forms import parse_listen
from penstock.link import socket as link_socket
from penstock.model import Clock, SystemClock
from penstock.storage.sql import SqlStore
from penstock.workers import supervisor as workers

log = logging.getLogger("penstock.control")

DATABASE: Final = "penstock.db"
CLOCK: Final = "clock"
# An engine that was just started listens within this time, or control tries again.
RECONNECT_S: Final = 0.05
# Reasons of refusals wait so long for their disk: asking for one looks at what waits too.
EXPLAIN_S: Final = 1.0
SWEEP_S: Final = 60.0
# Recordings begin and end by the clock so late at most.
TICK_S: Final = 1.0
# How long what is to be written down may take at the end; more than this and the disk is gone.
LAST_WORDS_S: Final = 3.0


class Control:
    """The control plane: decides, remembers, and follows the engine wherever it goes."""

    def __init__(
        self,
        config: Config,
        store: SqlStore,
        clock: DomainClock,
        highest_epoch: int,
        file: Path | None,
        relay_workers: Workers,
    ) -> None:
        self.config = config
        self._file = file
        self.store = store
        self.engine = EngineLink()
        self.live = Live(
            clock=clock,
            rules=rules_of(config),
            store=store,
            journal=Journal(store),
            registry=Registry(),
            bans=BanTable(),
            sessions=Sessions(clock, highest_epoch),
            audiences=Audiences(),
            usage=UsageLedger(),
            engine=self.engine,
            recorder=self.engine.recorder,
        )
        self.relays = RelayOffice(self.live, self.engine, lambda: self.config, relay_workers)
        self.explanations = Explanations(self.live.registry)
        store.on_write(self.live.tallies.wrote)
        self._timers: list[asyncio.Task[None]] = []
        self._doors: Doors | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._readiness = Readiness(self.live, self.engine, SystemClock().monotonic)

    @classmethod
    async def open(
        cls,
        config: Config,
        *,
        file: Path | None = None,
        clock: Clock | None = None,
        dev: bool = False,
        in_memory: bool = False,
        relay_workers: Workers | None = None,
    ) -> Control:
        """Open the store in `data_dir` (or one in memory) and know again what was known before.

        `file` is where a reload reads; `dev` lets the domain's clock be turned; `relay_workers` are processes where
        nothing else is given.

        Raises:
            StorageError, ConfigError: the data folder cannot be used, or does not fit the settings.
        """
        store = await SqlStore.open(None if in_memory else config.data_dir / DATABASE)
        try:
            domain_clock = DomainClock(clock or SystemClock(), is_turnable=dev, path=config.data_dir / CLOCK)
            epoch = await store.highest_epoch()
            control = cls(config, store, domain_clock, epoch, file, relay_workers or workers.Workers())
            await control._remember()
        except BaseException:
            await store.close()
            raise
        return control

    async def _remember(self) -> None:
        live = self.live
        await self._seed(self.config)
        await live.bans.load(live.store, live.clock.now())
        await live.recordings.load(live.store)
        live.file_urls = FileUrls(await live.store.secret(KEY_NAME))
        for row in await live.store.open_sessions():
            live.sessions.adopt(records.session_of(row))
        await self.relays.load()

    async def _seed(self, config: Config) -> None:
        try:
            await accounts.seed(self.live, accounts.seed_of(config))
        except Conflict as error:
            raise ConfigError(f"the configuration is at odds with what was added by hand: {error}") from error

    def start(self, listeners: Mapping[str, socket.socket]) -> None:
        """Answer the APIs on sockets that listen already, and begin what is done again and again."""
        doors = self._doors = Doors(self.live, self.config, self.explanations)
        doors.open_api(listeners)
        if (admin := listeners.get("admin")) is not None:
            doors.open_admin(admin, Desk.of(self.live, self.explanations, self.reload, self.config, listeners))
        if (watch := listeners.get("watch")) is not None:
            doors.open_watch(watch, self._readiness, self.engine)
        self._timers = [
            asyncio.create_task(every(EXPLAIN_S, partial(self.explanations.flush, self.live))),
            asyncio.create_task(every(SWEEP_S, self._sweep)),
            asyncio.create_task(every(TICK_S, partial(recording_schedule.tick, self.live))),
        ]
        self.relays.start()

    async def _sweep(self) -> None:
        await retention.sweep(self.live, self.config.retention)
        await retention.sweep_files(self.live, self.config.retention)

    async def follow(self, path: Path) -> None:
        """Stay connected to the engine that listens at `path`; returns when cancelled."""
        while True:
            lost = asyncio.Event()
            try:
                channel = await link_socket.connect(path, partial(self.engine.attach, live=self.live, on_lost=lost.set))
            except OSError:
                await asyncio.sleep(RECONNECT_S)
                continue
            try:
                await lost.wait()
            finally:
                channel.close()
            await asyncio.sleep(RECONNECT_S)

    def drain(self) -> None:
        """The engine lets nobody in any more: say so to those who ask whether anybody should come."""
        self._readiness.is_draining = True

    def reload_soon(self) -> None:
        """Reload, and say in the log what came of it."""
        self._reloading = asyncio.create_task(self._reload_and_say())

    async def _reload_and_say(self) -> None:
        try:
            done = await self.reload()
        except PenstockError as error:
            log.error("the configuration was not reloaded: %s", error)
            return
        log.info("the configuration was reloaded; applied: %s", ", ".join(done.applied) or "nothing")
        if done.needs_restart:
            log.warning("changed, and in force only after a restart: %s", ", ".join(done.needs_restart))

    async def reload(self) -> Reloaded:
        """Apply what changed in the configuration file; no stream is disturbed.

        Raises:
            ConfigError: the file cannot be used; nothing was changed.
        """
        fresh = load(self._file, os.environ)
        after = reloaded(self.config, fresh)
        applied = list(differences(self.config, after))
        await self._seed(after)
        self.config = after
        self.live.rules = rules_of(after)
        self.relays.reload()
        self.engine.tell_vhosts(self.live)
        return Reloaded(applied, list(differences(after, fresh)))

    async def close(self) -> None:
        """Write down what is still to be written, and let go of the store."""
        for timer in self._timers:
            timer.cancel()
        if self._doors is not None:
            await self._doors.close()
        await self.relays.close()
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self.live.journal.written()
                await self.explanations.flush(self.live)
        except TimeoutError:
            log.error("not everything could be written down within %g s", LAST_WORDS_S)
        await self.store.close()


def rules_of(config: Config) -> Rules:
    """What of the settings decides who may publish."""
    return Rules(
        default_vhost=config.media.default_vhost,
        on_conflict=config.media.on_conflict,
        replace_after_silent_s=config.media.replace_after_silent_s,
        node=_node(config),
    )


def _node(config: Config) -> str:
    address = parse_listen(config.media.rtmp_listen) or parse_listen(config.media.rtmps_listen)
    return config.media.public_host or (address[0] if address is not None else "")
