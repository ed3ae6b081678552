"""What monitoring asks: is the server alive, can it work, and what has it counted?

An ASGI app for a listener of its own. Nobody signs anything here, so it answers what is asked often and by
anybody: nothing that it does may be made expensive by asking more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from penstock.api.exposition import CONTENT_TYPE
from penstock.api.metrics import Metrics
from penstock.domain.engines import EngineLink
from penstock.domain.live import Live
from penstock.storage.errors import StorageError

log = logging.getLogger("penstock.watch")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Page = Callable[[], Awaitable[tuple[int, str, str]]]  # status, content type, text

TEXT: Final = "text/plain; charset=utf-8"
# A store that takes longer keeps publishers waiting beyond what they do.
WITHIN_S: Final = 2.0
# An answer is good for so long, however often it is asked for: each new one is a write to the disk.
GOOD_FOR_S: Final = 1.0


class Readiness:
    """Whether publishers can be let in, and what is promised be written down."""

    def __init__(
        self, live: Live, engine: EngineLink, monotonic: Callable[[], float], *, within_s: float = WITHIN_S
    ) -> None:
        self.is_draining = False
        self._live = live
        self._engine = engine
        self._monotonic = monotonic
        self._within_s = within_s
        self._turn = asyncio.Lock()
        self._checked_at: float | None = None
        self._fault = ""

    async def why_not(self) -> str:
        """What the server lacks, as one line; empty when it lacks nothing."""
        if self.is_draining:
            return "the server is ending: it takes no new publishers and players"
        if not self._engine.connected.is_set():
            return "no engine is connected"
        return await self._store_fault()

    async def _store_fault(self) -> str:
        # Whoever comes while one looks gets what that one finds.
        async with self._turn:
            if self._checked_at is None or self._monotonic() - self._checked_at >= GOOD_FOR_S:
                self._fault = await self._try_store()
                self._checked_at = self._monotonic()
            return self._fault

    async def _try_store(self) -> str:
        try:
            async with asyncio.timeout(self._within_s):
                await self._live.store.check_writable()
        except TimeoutError:
            return f"the store has not answered within {self._within_s:g} s"
        except StorageError as error:
            return str(error)
        return ""


class WatchApp:
    """Serves `/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, readiness: Readiness, metrics: Metrics) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._pages: dict[str, Page] = {"/healthz": self._health, "/readyz": self._ready, "/metrics": self._numbers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        status, kind, text = await self._answer(scope["method"], scope["path"])
        body = text.encode()
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, path: str) -> tuple[int, str, str]:
        page = self._pages.get(path)
        if page is None:
            return 404, TEXT, f"nothing is here; there is {', '.join(self._pages)}\n"
        if method not in ("GET", "HEAD"):
            return 405, TEXT, f"{path} is read by GET\n"
        try:
            return await page()
        except Exception:
            log.exception("a fault of our own in %s", path)
            return 500, TEXT, "a fault of the server's own; its log has more\n"

    async def _health(self) -> tuple[int, str, str]:
        return 200, TEXT, "ok\n"

    async def _ready(self) -> tuple[int, str, str]:
        why_not = await self._readiness.why_not()
        return (503, TEXT, f"{why_not}\n") if why_not else (200, TEXT, "ready\n")

    async def _numbers(self) -> tuple[int, str, str]:
        return 200, CONTENT_TYPE, self._metrics.text()
