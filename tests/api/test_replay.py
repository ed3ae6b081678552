"""The same call twice, one after the other and both at once."""

from __future__ import annotations

import asyncio

import pytest

from penstock.api.replay import REPLAY_S, Call, Replays
from penstock.clouds.http import Headers, HttpResponse
from penstock.errors import LimitExceeded, Unavailable
from tests.clock import ManualClock


def call(number: int = 0, account: str = "1001") -> Call:
    return Call("kingsoft", account, "AKMAIN", "5" * 64, number.to_bytes(4, "big"))


class Maker:
    """Makes answers; each has the number of how many were made."""

    def __init__(self, status: int = 200) -> None:
        self.made = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self._status = status

    async def __call__(self) -> HttpResponse:
        self.made += 1
        await self.may_end.wait()
        return HttpResponse(status=self._status, headers=Headers(), body=str(self.made).encode())


class Kept:
    def __init__(self, max_per_account: int = 100) -> None:
        self.clock = ManualClock()
        self.replays = Replays(self.clock.monotonic, max_per_account)


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_the_second_call_gets_the_answer_of_the_first(kept: Kept) -> None:
    maker = Maker()
    first = await kept.replays.once(call(), maker)
    kept.clock.advance(REPLAY_S - 0.001)
    assert await kept.replays.once(call(), maker) is first
    assert maker.made == 1


async def test_ten_seconds_later_it_is_another_call(kept: Kept) -> None:
    maker = Maker()
    await kept.replays.once(call(), maker)
    kept.clock.advance(REPLAY_S)
    assert (await kept.replays.once(call(), maker)).body == b"2"
    assert len(kept.replays) == 1


async def test_another_body_is_another_call(kept: Kept) -> None:
    maker = Maker()
    await kept.replays.once(call(1), maker)
    await kept.replays.once(call(2), maker)
    assert maker.made == 2


async def test_two_at_once_wait_for_one_answer(kept: Kept) -> None:
    maker = Maker()
    maker.may_end.clear()
    calls = [asyncio.create_task(kept.replays.once(call(), maker)) for _ in range(5)]
    await asyncio.sleep(0)
    kept.clock.advance(60)  # however long the first one takes
    maker.may_end.set()
    answers = await asyncio.gather(*calls)
    assert maker.made == 1
    assert all(answer is answers[0] for answer in answers)


async def test_one_that_gives_up_waiting_takes_nothing_from_the_others(kept: Kept) -> None:
    maker = Maker()
    maker.may_end.clear()
    first, second, third = [asyncio.create_task(kept.replays.once(call(), maker)) for _ in range(3)]
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    maker.may_end.set()
    assert await first is await third


async def test_a_first_call_that_is_given_up_frees_those_that_wait_for_it(kept: Kept) -> None:
    maker = Maker()
    maker.may_end.clear()
    first, second = [asyncio.create_task(kept.replays.once(call(), maker)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(Unavailable, match="given up"):
        await second
    assert len(kept.replays) == 0


async def test_a_fault_of_ours_is_not_given_again(kept: Kept) -> None:
    maker = Maker(status=500)
    await kept.replays.once(call(), maker)
    assert (await kept.replays.once(call(), maker)).body == b"2"
    assert len(kept.replays) == 0


async def test_a_refusal_is_given_again(kept: Kept) -> None:
    maker = Maker(status=409)
    first = await kept.replays.once(call(), maker)
    assert await kept.replays.once(call(), maker) is first


async def test_an_account_fills_its_own_share_and_no_other() -> None:
    kept = Kept(max_per_account=10)
    maker = Maker()
    for number in range(10):
        await kept.replays.once(call(number), maker)
    with pytest.raises(LimitExceeded, match="at most 10 calls that create something"):
        await kept.replays.once(call(10), maker)
    await kept.replays.once(call(3), maker)  # one that is kept costs nothing
    await kept.replays.once(call(10, account="1002"), maker)
    kept.clock.advance(REPLAY_S)
    await kept.replays.once(call(10), maker)
    assert len(kept.replays) == 1
