"""Builds the media plane from the settings: doors, hub, link, and how they pass their time."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from penstock.app.certificates import tls_context
from penstock.app.recording import open_desk
from penstock.app.relaying import RelayPlane
from penstock.app.timers import each, every
from penstock.config import Config
from penstock.engine.control import ControlLink
from penstock.engine.hub import Hub, HubPolicy
from penstock.engine.segments import SegmentPolicy
from penstock.engine.stream import FlushPolicy
from penstock.engine.usage import UsageMeter
from penstock.engine.viewers import ViewerPolicy, Viewers
from penstock.link import socket as link_socket
from penstock.link.messages import EndReason
from penstock.model import Clock, SystemClock
from penstock.servers.door import Connection, Door, DoorPolicy, Guests
from penstock.servers.play import http_connection
from penstock.servers.rtmp import RtmpRooms, rtmp_connection
from penstock.servers.wire import Wire

log = logging.getLogger("penstock.engine")

# How often the engine looks for what is overdue. Deadlines are seconds; a quarter of one is their error.
TICK_S: Final = 0.25
# `latency`: the least time between two batches to a stream's players.
FLUSH_EVERY_S: Final = {"low": 0.0, "normal": 0.1, "max": 0.25}
KIB: Final = 1024
# How long files may take to be finished at the end: less than the supervisor waits.
FILES_S: Final = 3.0

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
        self.viewers = Viewers(self.hub, _viewer_policy(config), clock)
        self.recordings, self._disks = open_desk(config, self.hub, clock)
        self.control = ControlLink(
            self.hub, self.meter, clock, self._loop.call_later, config.media.admission_timeout_s, self.recordings
        )
        rtmp_door = listeners.rtmp.getsockname()[:2] if listeners.rtmp is not None else None
        self.relaying = RelayPlane(config, clock, self._is_ours, rtmp_door)
        self.control.speak_for(self.relaying.relays)
        self.doors: dict[str, Door] = {}
        self._open_doors(config, listeners, clock)
        self._timers: list[asyncio.Task[None]] = [
            asyncio.create_task(every(TICK_S, self._tick)),
            asyncio.create_task(every(config.media.stats_interval_s, self.control.send_stats)),
            asyncio.create_task(every(config.media.usage_flush_s, self.control.send_usage)),
        ]
        self._link: asyncio.Server | None = None
        self._is_draining = False
        self._drained = asyncio.Event()

    def _is_ours(self, host: str) -> bool:
        return self.hub.vhosts.has_domain(host)

    async def listen_for_control(self, listener: socket.socket) -> None:
        self._link = await link_socket.listen(listener, self.control.attach)

    async def drain(self, within_s: float) -> None:
        """Let nobody in, and streams end at a key frame; returns when all are gone, or after `within_s`."""
        self._is_draining = True
        self.relaying.close()
        for door in self.doors.values():
            door.drain()
        self.hub.drain(EndReason.ENGINE_STOPPED)
        self._tick()
        try:
            async with asyncio.timeout(within_s):
                await self._drained.wait()
        except TimeoutError:
            left = sum(map(len, self.doors.values()))
            log.warning("%d connections are cut: they were not done within %g s", left, within_s)

    async def close(self) -> None:
        """End every session and play, finish files, hand over the last usage, and close all sockets."""
        for timer in self._timers:
            timer.cancel()
        self.relaying.close()
        self.hub.stop(EndReason.ENGINE_STOPPED)
        await self.recordings.close(FILES_S)
        await self._disks.close()
        self.control.send_usage()
        for door in self.doors.values():
            door.close()
        self.control.close()
        if self._link is not None:
            self._link.close()
        # What was sent last is on its way by the loop's next turn.
        await asyncio.sleep(0)
        self.relaying.hang_up()

    def _tick(self) -> None:
        doors = (door.sweep for door in self.doors.values())
        each((self.hub.tick, self.viewers.tick, self.relaying.relays.tick, *doors))
        if self._is_draining and not any(map(len, self.doors.values())):
            self._drained.set()

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
        http = http_connection(self.hub, self.viewers)
        plain: dict[str, tuple[socket.socket | None, ConnectionMaker]] = {
            "rtmp": (listeners.rtmp, rtmp),
            "http": (listeners.http, http),
        }
        tls: dict[str, tuple[socket.socket | None, ConnectionMaker]] = {
            "rtmps": (listeners.rtmps, rtmp),
            "https": (listeners.https, http),
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
        segments=SegmentPolicy(
            target_s=media.hls_target_s,
            listed=media.hls_segments,
            limit_bytes=media.hls_stream_kib * KIB,
            total_bytes=media.hls_total_kib * KIB,
            part_s=media.hls_part_s if media.hls_low_latency else 0.0,
        ),
        hls_always=frozenset(media.hls_always),
    )


def _viewer_policy(config: Config) -> ViewerPolicy:
    media = config.media
    return ViewerPolicy(
        online_s=media.hls_online_s,
        wait_s=media.hls_wait_s,
        max_per_address=media.max_connections_per_address,
    )
