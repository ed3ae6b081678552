"""Work that is done again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

log = logging.getLogger("penstock.app")


async def every(seconds: float, action: Callable[[], Awaitable[object] | None]) -> None:
    """Do `action` after each span of `seconds`; a round that fails is logged and must not be the last."""
    while True:
        await asyncio.sleep(seconds)
        try:
            waiting = action()
            if waiting is not None:
                await waiting
        except Exception:
            log.exception("a fault of our own in %s", action.__qualname__)


def each(actions: Iterable[Callable[[], object]]) -> None:
    """Do all of `actions`; one that fails is logged, and keeps none of the others from being done."""
    for action in actions:
        try:
            action()
        except Exception:
            log.exception("a fault of our own in %s", action.__qualname__)
