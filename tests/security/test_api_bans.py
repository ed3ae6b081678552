"""25. A ban is not got round: not by spelling, by another door, nor by coming at the right moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from penstock.domain.admission import admit
from penstock.errors import Banned, DomainError
from penstock.link.messages import Holder
from penstock.model import StreamId
from tests.api.kingsoft.front import CAM, WHERE
from tests.clock import START
from tests.domain.kit import RIVAL, asked
from tests.security.api import Fort, fort

BANNED = StreamId("demo", "live", "banned")


@pytest.fixture
async def held() -> AsyncIterator[Fort]:
    async with fort() as held:
        yield held


@pytest.mark.parametrize(
    "name", ["banned/", "banned?x=1", "banned%00", "./banned", "banned ", "\uff42anned", "banned\u200b"]
)
async def test_25_no_spelling_bans_or_asks_after_something_else_than_the_stream(held: Fort, name: str) -> None:
    """A name that could be read as the banned one is no name at all, for a ban or for a publisher."""
    for action in ("ForbidStream", "ResumeStream", "CheckBlacklist"):
        assert (await held.front.call(action, {**WHERE, "Stream": name})).code == "1004"
    assert [ban.stream for ban in held.front.live.bans.in_force(START)] == [BANNED]


@pytest.mark.parametrize("domain", ["push.demo.test", "push2.demo.test", "PUSH.demo.test", "127.0.0.1", ""])
@pytest.mark.parametrize("query", ["", "vhost=demo", "x=1", "vhost=push2.demo.test"])
async def test_25_every_way_to_the_stream_is_closed(held: Fort, domain: str, query: str) -> None:
    with pytest.raises(Banned):
        admit(held.front.live, asked(BANNED, domain=domain, query=query))


@pytest.mark.parametrize("silent_s", [0.0, 60.0])
async def test_25_nobody_takes_a_banned_stream_over_from_its_holder(held: Fort, silent_s: float) -> None:
    with pytest.raises(Banned):
        admit(held.front.live, asked(BANNED, client=RIVAL, holder=Holder(5, silent_s)))


async def test_25_until_its_last_moment_and_not_beyond(held: Fort) -> None:
    end = int(START.timestamp()) + 60
    values = {**WHERE, "Stream": "banned", "ForbidTillUnixTime": end}
    assert (await held.front.call("ForbidStream", values)).code == "0"
    held.front.live.clock.turn(by=timedelta(seconds=60, microseconds=-1))
    with pytest.raises(Banned):
        admit(held.front.live, asked(BANNED))
    held.front.live.clock.turn(by=timedelta(microseconds=1))
    admit(held.front.live, asked(BANNED))


async def test_25_what_is_let_in_at_that_moment_and_banned_again_is_cut(held: Fort) -> None:
    assert (await held.front.call("ForbidStream", CAM)).code == "0"
    held.front.live.clock.turn(by=timedelta(days=90))
    session, _ = admit(held.front.live, asked())
    held.front.live.sessions.began(session.lease, held.front.live.clock.now())
    assert (await held.front.call("ForbidStream", CAM)).code == "0"
    assert held.front.live.sessions.holder(session.lease.stream) is None
    with pytest.raises(DomainError):
        admit(held.front.live, asked())
