"""The API as an attacker meets it: one account's streams, over a control plane in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.api.kingsoft.front import WHERE, Front, opened_front
from tests.api.kingsoft.kit import on_air, published, turned_away
from tests.clock import START


class Fort:
    """What is to be held: a stream on air and a banned one, of account 1."""

    def __init__(self, front: Front) -> None:
        self.front = front


@asynccontextmanager
async def fort() -> AsyncIterator[Fort]:
    async with opened_front() as front:
        on_air(front.live, "cam")
        await published(front.live, "cam", START, START)
        await turned_away(front.live, "cam", START)
        assert (await front.call("ForbidStream", {**WHERE, "Stream": "banned"})).code == "0"
        front.acted.clear()
        yield Fort(front)
