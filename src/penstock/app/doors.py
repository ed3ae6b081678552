"""Control's doors: the clouds' APIs with the recorded files, the operator's socket, and what monitoring asks."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Final

from msgspec import structs

from penstock.api.admin import AdminApp
from penstock.api.asgi import FrontApp, GatewayApp
from penstock.api.dialects import LARGE_TARGETS
from penstock.api.files import FilesApp, is_for_files
from penstock.api.gateway import Gateway
from penstock.api.http import HttpServer
from penstock.api.kingsoft import handlers as kingsoft
from penstock.api.metrics import Metrics
from penstock.api.operator.desk import Desk, url_of
from penstock.api.operator.handlers import HANDLERS
from penstock.api.policy import ANY_TARGET, HttpPolicy
from penstock.api.ratelimit import RateLimits
from penstock.api.volcengine import handlers as volcengine
from penstock.api.watch import Readiness, WatchApp
from penstock.app.certificates import tls_context
from penstock.config import Config
from penstock.domain.engines import EngineLink
from penstock.domain.explain import Explanations
from penstock.domain.live import Live
from penstock.engine.recording.folder import Folder
from penstock.model import SystemClock

# How long calls under way are waited for at the end.
LAST_CALLS_S: Final = 3.0


class Doors:
    """The servers of the control plane, by the sockets that there are."""

    def __init__(self, live: Live, config: Config, explanations: Explanations) -> None:
        self._live = live
        self._config = config
        self._explanations = explanations
        self._servers: list[HttpServer] = []
        self._files: FilesApp | None = None

    def open_api(self, listeners: Mapping[str, socket.socket]) -> None:
        """Answer the dialects, and serve recorded files, in HTTP and in TLS."""
        live, config, clock = self._live, self._config, SystemClock()
        gateway = Gateway(
            kingsoft.HANDLERS | volcengine.HANDLERS,
            live,
            find_key=live.registry.find_key,
            explain=self._explanations.put,
            clock=clock,
            limits=RateLimits(clock.monotonic) if config.api.rate_limits else None,
            tallies=live.tallies,
        )
        host = config.media.public_host
        base = url_of("http", listeners.get("api"), host) or url_of("https", listeners.get("api_tls"), host)
        live.file_urls = structs.replace(live.file_urls, base=base)
        self._files = FilesApp(live, Folder(config.recordings_dir), gateway.account_of)
        proxies = tuple(ipaddress.ip_network(network) for network in config.api.trusted_proxies)
        front = FrontApp(GatewayApp(gateway.answer), self._files, is_for_files)
        server = HttpServer(front, HttpPolicy(trusted_proxies=proxies, large_targets=LARGE_TARGETS))
        self._servers.append(server)
        if (plain := listeners.get("api")) is not None:
            server.listen(plain)
        if (secure := listeners.get("api_tls")) is not None:
            server.listen(secure, tls_context(config))

    def open_admin(self, listener: socket.socket, desk: Desk) -> None:
        """Answer the operator, who may read and change everything."""
        server = HttpServer(AdminApp(desk, HANDLERS), HttpPolicy(large_targets=ANY_TARGET))
        self._servers.append(server)
        server.listen(listener)

    def open_watch(self, listener: socket.socket, readiness: Readiness, engine: EngineLink) -> None:
        """Answer monitoring."""
        metrics = Metrics(self._live, engine, self._config.watch.top_streams, SystemClock().monotonic)
        server = HttpServer(WatchApp(readiness, metrics), HttpPolicy())
        self._servers.append(server)
        server.listen(listener)

    async def close(self) -> None:
        """Let calls under way end, for a while, and close all sockets."""
        for server in self._servers:
            await server.close(LAST_CALLS_S)
        if self._files is not None:
            self._files.close()
