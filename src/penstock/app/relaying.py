"""Builds what relays run on: the guard, the callers behind it, and the door for workers."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from penstock.config import Config
from penstock.engine.relaying.relay import RelayPolicy, RelayRooms
from penstock.engine.relaying.relays import Relays
from penstock.engine.stream import FlushPolicy
from penstock.errors import ConfigError
from penstock.link import socket as link_socket
from penstock.model import Clock
from penstock.net.guard import RTMP, Address, Guard
from penstock.net.tls import client_context
from penstock.net.urls import DEFAULT_PORTS, Url
from penstock.servers.callers import Callers
from penstock.servers.calling import CallPolicy, Exchange
from penstock.servers.relay_door import RelayDoor

SOCKET_NAME: Final = "relay.sock"
KIB: Final = 1024
# A batch leaves so often at most: a target is a server, and nobody sees a tenth of a second behind it.
FLUSH_EVERY_S: Final = 0.1
# A relay's cached GOP is there for a target that comes back; a longer one waits for the next key frame.
GOP_KIB: Final = 4096


class RelayPlane:
    """Relays of one engine with all that is theirs."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        is_ours: Callable[[str], bool] = lambda host: False,
        rtmp_door: tuple[str, int] | None = None,
    ) -> None:
        """Opens nothing by itself. `is_ours` tells of a host whether it is this server's; `rtmp_door` is where.

        Raises:
            ConfigError: `network.ca_file` cannot be used.
        """
        media, network = config.media, config.network
        if network.ca_file is not None:
            client_context(network.ca_file)  # now, not at the first call
        policy = CallPolicy(
            max_message_bytes=media.max_message_kib * KIB, notsent_lowat_bytes=media.notsent_lowat_kib * KIB
        )
        self._exchange = Exchange(
            Guard(network.allow_private),
            policy,
            clock,
            lambda: client_context(network.ca_file),
            partial(_own_door, is_ours, rtmp_door),
        )
        self._door: RelayDoor | None = None
        self._socket: Path | None = None
        rooms = RelayRooms(
            caller=Callers(self._exchange),
            clock=clock,
            later=asyncio.get_running_loop().call_later,
            random=random.SystemRandom().random,
            policy=_policy(config),
        )
        self.relays = Relays(rooms)

    def listen(self, data_dir: Path) -> None:
        """Open the door for workers: `relay.sock` in the data folder, for this user alone.

        Raises:
            ConfigError: there can be no socket.
        """
        folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # However long the folder's path is, an open folder has a short one.
            listener = link_socket.bind(Path(f"/proc/self/fd/{folder}") / SOCKET_NAME)
        except OSError as error:
            raise ConfigError(f"data_dir holds the socket {data_dir / SOCKET_NAME}: {error.strerror}") from error
        finally:
            os.close(folder)
        self._door, self._socket = RelayDoor(listener, self._exchange, self.relays.bring), data_dir / SOCKET_NAME

    def close(self) -> None:
        """End all relays; targets are told, and have a moment to read it."""
        self.relays.close()
        if self._door is not None:
            self._door.close()
            self._door = None
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
            self._socket = None

    def hang_up(self) -> None:
        """Close the connections whose peers are still being told."""
        self._exchange.close()


def _own_door(is_ours: Callable[[str], bool], door: tuple[str, int] | None, url: Url) -> Address | None:
    """Where RTMP of one of our own domains goes: to our own door, as nobody else needs to know the name."""
    if door is None or url.scheme not in RTMP or not is_ours(url.host):
        return None
    if url.port not in (DEFAULT_PORTS[url.scheme], door[1]):
        return None
    # An address that means every address of a machine is none to connect to.
    return Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(door[0], door[0]), door[1])


def _policy(config: Config) -> RelayPolicy:
    media = config.media
    return RelayPolicy(
        flush=FlushPolicy(
            every_s=FLUSH_EVERY_S,
            audio_s=media.audio_flush_ms / 1000,
            gop_cache_bytes=min(media.gop_cache_kib, GOP_KIB) * KIB,
        ),
        idle_timeout_s=media.idle_timeout_s,
        stall_s=media.player_stall_s,
        keep_target_s=media.keep_players_s,
        buffer_bytes=media.player_buffer_kib * KIB,
    )
