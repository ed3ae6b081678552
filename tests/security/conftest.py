"""The attacks strike a whole server, which must not meet a fault of its own, nor let go of a stream on air."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from penstock.model import Kind
from tests.engine.kit import inter_body
from tests.servers.client import HttpClient, RtmpClient
from tests.servers.conftest import open_house
from tests.servers.house import DEMO, House, OpenHouse

__all__ = ["open_house"]


class Bystander:
    """A publisher and a player that have nothing to do with the attack."""

    def __init__(self, house: House, publisher: RtmpClient, player: HttpClient) -> None:
        self._house = house
        self._publisher = publisher
        self._player = player
        self._at_ms = 0

    async def plays_on(self) -> None:
        """One more picture goes in, and comes out."""
        self._at_ms += 40
        picture = inter_body(b"picture at %d" % self._at_ms)
        await self._publisher.send_media(Kind.VIDEO, self._at_ms, picture)
        while (await self._player.tags(1))[0].payload != picture:
            pass


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    return await open_house()


@pytest.fixture
async def bystander(house: House) -> AsyncIterator[Bystander]:
    """Checked once more when the attack is over: its stream is on air as before."""
    publisher = await house.on_air()
    bystander = Bystander(house, publisher, await house.flv_player())
    await bystander.plays_on()
    yield bystander
    await bystander.plays_on()
    assert DEMO in [status.lease.stream for status in house.engine.hub.on_air()]
