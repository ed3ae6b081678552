from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api import kit
from tests.api.kit import Front


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    async with kit.front() as front:
        yield front
