"""Builds every room from the settings: an engine, a control process, and how each passes its time."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from penstock.config import Config
from penstock.domain.engines import EngineLink
from penstock.domain.live import Live, Rules
from penstock.domain.sessions import Sessions
from penstock.domain.usage import UsageLedger
from penstock.engine.control import ControlLink
from penstock.engine.hub import Hub, HubPolicy
from penstock.engine.stream import FlushPolicy
from penstock.engine.usage import UsageMeter
from penstock.errors import ConfigError
from penstock.link import socket as link_socket
from penstock.link.messages import EndReason, Vhost
from penstock.model import Clock, SystemClock
from penstock.servers.door import Connection, Door, DoorPolicy, Guests
from penstock.servers.httpflv import httpflv_connection
from penstock.servers.rtmp import RtmpRooms, rtmp_connection
from penstock.servers.wire import Wire
from penstock.tls import ensure_certificate, server_context

log = logging.getLogger("penstock.app")

# How often the engine looks for what is overdue. Deadlines are seconds; a quarter of one is their error.
TICK_S: Final = 0.25
# An engine that was just started listens within this time, or control tries again.
RECONNECT_S: Final = 0.05
# `latency`: the least time between two batches to a stream's players.
FLUSH_EVERY_S: Final = {"low": 0.0, "normal": 0.1, "max": 0.25}
KIB: Final = 1024

ConnectionMaker = Callable[[Door, Wire, str, int], Connection]


class Listeners(Struct):
    """Sockets that are bound and listen; None where a door is turned off."""

    rtmp: socket.socket | None = None
    rtmps: socket.socket | None = None
    http: socket.socket | None = None
    https: socket.socket | None = None


class Engine:
    """The media plane: doors, hub, and the link to whichever control process is there."""

    def __init__(self, config: Config, listeners: Listeners, clock: Clock | None = None) -> None:
        """Opens the doors at once. `config.media` must name a certificate wherever a TLS door is given."""
        self._loop = asyncio.get_running_loop()
        self._media = config.media
        clock = clock or SystemClock()
        self.meter = UsageMeter(clock.now())
        self.hub = Hub(_hub_policy(config), clock, self._loop.call_later, self.meter)
        self.control = ControlLink(self.hub, self.meter, clock, self._loop.call_later, config.media.admission_timeout_s)
        self.doors: dict[str, Door] = {}
        self._open_doors(config, listeners, clock)
        self._timers: list[asyncio.Task[None]] = [
            asyncio.create_task(_every(TICK_S, self._tick)),
            asyncio.create_task(_every(config.media.stats_interval_s, self.control.send_stats)),
            asyncio.create_task(_every(config.media.usage_flush_s, self.control.send_usage)),
        ]
        self._link: asyncio.Server | None = None

    async def listen_for_control(self, listener: socket.socket) -> None:
        self._link = await link_socket.listen(listener, self.control.attach)

    async def close(self) -> None:
        """End every session and play, hand over the last usage, and close all sockets."""
        for timer in self._timers:
            timer.cancel()
        self.hub.stop(EndReason.ENGINE_STOPPED)
        self.control.send_usage()
        for door in self.doors.values():
            door.close()
        self.control.close()
        if self._link is not None:
            self._link.close()
        # What was sent last is on its way by the loop's next turn.
        await asyncio.sleep(0)

    def _tick(self) -> None:
        self.hub.tick()
        for door in self.doors.values():
            door.sweep()

    def _open_doors(self, config: Config, listeners: Listeners, clock: Clock) -> None:
        media = config.media
        policy = DoorPolicy(
            setup_timeout_s=media.setup_timeout_s,
            max_connections_per_address=media.max_connections_per_address,
            max_pending_per_address=media.max_pending_per_address,
            player_buffer_bytes=media.player_buffer_kib * KIB,
            notsent_lowat_bytes=media.notsent_lowat_kib * KIB,
        )
        guests = Guests(policy)
        rtmp = rtmp_connection(RtmpRooms(self.hub, self.control, media.max_message_kib * KIB))
        flv = httpflv_connection(self.hub)
        plain: dict[str, tuple[socket.socket | None, ConnectionMaker]] = {
            "rtmp": (listeners.rtmp, rtmp),
            "http": (listeners.http, flv),
        }
        tls: dict[str, tuple[socket.socket | None, ConnectionMaker]] = {
            "rtmps": (listeners.rtmps, rtmp),
            "https": (listeners.https, flv),
        }
        context: ssl.SSLContext | None = None
        if any(listener for listener, _ in tls.values()):
            context = tls_context(config)
        for doors, with_context in ((plain, None), (tls, context)):
            for name, (listener, connect) in doors.items():
                if listener is not None:
                    self.doors[name] = Door(
                        name, listener, connect, policy=policy, guests=guests, clock=clock, context=with_context
                    )


class Control:
    """The control plane: decides, remembers, and follows the engine wherever it goes."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.engine = EngineLink()
        self.live = Live(clock, rules_of(config), Sessions(clock), UsageLedger(), self.engine)

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


def rules_of(config: Config) -> Rules:
    """What of the settings decides who may publish."""
    return Rules(
        vhosts=tuple(
            Vhost(vhost.name, tuple(vhost.push_domains), tuple(vhost.pull_domains), tuple(vhost.apps))
            for vhost in config.vhosts
        ),
        default_vhost=config.media.default_vhost,
        on_conflict=config.media.on_conflict,
        replace_after_silent_s=config.media.replace_after_silent_s,
    )


def tls_context(config: Config) -> ssl.SSLContext:
    """What every TLS door shows.

    Raises:
        ConfigError: the certificate that the settings name cannot be used.
    """
    try:
        return server_context(*certificate_of(config))
    except ConfigError as error:
        if config.api.tls_cert is None:
            raise
        wanted = "wanted a certificate chain and its own key, both PEM"
        raise ConfigError(f"api.tls_cert, api.tls_key: {error}; {wanted}") from error


def certificate_of(config: Config) -> tuple[Path, Path]:
    """The certificate given in the settings, or our own authority's."""
    if config.api.tls_cert is not None and config.api.tls_key is not None:
        return config.api.tls_cert, config.api.tls_key
    domains = [domain for vhost in config.vhosts for domain in (*vhost.push_domains, *vhost.pull_domains)]
    hosts = [config.media.public_host] if config.media.public_host else []
    return ensure_certificate(config.data_dir, [*domains, *hosts])


def _hub_policy(config: Config) -> HubPolicy:
    media = config.media
    return HubPolicy(
        flush=FlushPolicy(
            every_s=FLUSH_EVERY_S[media.latency],
            audio_s=media.audio_flush_ms / 1000,
            gop_cache_bytes=media.gop_cache_kib * KIB,
        ),
        idle_timeout_s=media.idle_timeout_s,
        keep_players_s=media.keep_players_s,
        player_stall_s=media.player_stall_s,
    )


async def _every(seconds: float, action: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            action()
        except Exception:
            # One round that fails must not be the last.
            log.exception("a fault of our own in %s", action.__qualname__)
