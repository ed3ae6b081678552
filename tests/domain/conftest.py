from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from penstock.domain.live import Live
from tests.clock import ManualClock
from tests.domain.kit import ScriptedEngine, opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def live(clock: ManualClock, engine: ScriptedEngine) -> AsyncIterator[Live]:
    """A control plane whose engine does as it is told."""
    async with opened(clock, engine=engine) as live:
        engine.live = live
        yield live
