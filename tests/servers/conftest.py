"""A server for a test; it is closed when the test is over, and must not have met a fault of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.servers.house import House, OpenHouse


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here runs on both loops: the server takes uvloop wherever it is installed."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def open_house(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[OpenHouse]:
    """Opens servers with settings of `[media]` as arguments."""
    houses: list[House] = []
    caplog.set_level(logging.INFO, "penstock")

    async def open_one(**options: Any) -> House:
        houses.append(await House.open(tmp_path, **options))
        return houses[-1]

    yield open_one
    for house in houses:
        await house.close()
    faults = [record.getMessage() for record in caplog.records if "fault of our own" in record.getMessage()]
    assert not faults


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    return await open_house()
