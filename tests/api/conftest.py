from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.door import Door


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    there = Door()
    there.listen()
    yield there
    await there.close()
