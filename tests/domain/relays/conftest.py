from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.domain.relays import kit


@pytest.fixture
async def plant() -> AsyncIterator[kit.Plant]:
    async with kit.plant() as made:
        yield made
