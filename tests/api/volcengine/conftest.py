from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.volcengine.front import Front, opened_front


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    async with opened_front() as front:
        yield front
