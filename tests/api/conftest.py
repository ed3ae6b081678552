from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.api import kit
from tests.api.kit import Front

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
OVER_SOCKETS = ("test_http.py", "test_connections.py")


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What goes over sockets runs on both loops: the server takes uvloop wherever it is installed."""
    return LOOPS if item.path.name in OVER_SOCKETS else {"asyncio": LOOPS["asyncio"]}


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    async with kit.front() as front:
        yield front
