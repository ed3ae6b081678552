"""The same request twice: what creates is done once, and everything else is done again."""

from __future__ import annotations

import asyncio

import pytest

from penstock.api import replay
from penstock.api.gateway import Handler
from penstock.api.replay import REMEMBERED_S, Replays
from penstock.clouds.contract import Effect, Operation, Result
from penstock.clouds.http import Headers, HttpRequest, HttpResponse
from penstock.clouds.kingsoft import wire
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.errors import Conflict, Unavailable
from tests.api import kit
from tests.api.kit import CAM, CLIENT, MINE, THEIRS, Front, read, signed, unsigned
from tests.clock import ManualClock

DEADLINE_S = 5.0


class MakeThingResult(Result, rename="pascal"):
    number: int


class MakeThing(Operation[MakeThingResult], frozen=True, rename="pascal"):
    """An operation of a test's own, as no operation of KLS's creates anything."""

    about = kit.about("MakeThing", Effect.CREATES)

    name: str


class Workshop:
    """Makes things, each with a number of its own, as soon as it may."""

    def __init__(self) -> None:
        self.made = 0
        self.has_begun = asyncio.Event()
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.is_broken = False

    async def make(self, live: Live, caller: Caller, ask: MakeThing) -> MakeThingResult:
        caller.about_to_act()
        self.made += 1
        self.has_begun.set()
        await self.may_finish.wait()
        if self.is_broken:
            raise Conflict("it broke")
        return MakeThingResult(number=self.made)


@pytest.fixture
def workshop(front: Front, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    workshop = Workshop()
    monkeypatch.setitem(wire.OPERATIONS, "MakeThing", MakeThing)
    handler: Handler = workshop.make
    front.replace(MakeThing, handler)
    return workshop


def order(name: str = "chair", **options: object) -> HttpRequest:
    return signed(unsigned("MakeThing", {"Name": name} | options, method="POST"))


async def test_what_was_created_is_answered_again_byte_by_byte(front: Front, workshop: Workshop) -> None:
    first, again = [await front.gateway.answer(order(), CLIENT) for _ in range(2)]
    assert read(first).data["Number"] == 1
    assert again == first
    assert workshop.made == 1


async def test_after_ten_seconds_it_is_created_anew(front: Front, workshop: Workshop) -> None:
    request = order()
    await front.send(request)
    front.clock.spend(REMEMBERED_S - 0.001)
    assert (await front.send(request)).data["Number"] == 1
    front.clock.spend(0.001)
    assert (await front.send(request)).data["Number"] == 2


async def test_another_signature_or_body_is_another_order(front: Front, workshop: Workshop) -> None:
    await front.send(order())
    assert (await front.send(order("table"))).data["Number"] == 2
    front.clock.spend(1)
    later = signed(unsigned("MakeThing", {"Name": "chair"}, method="POST"), at=front.clock.now())
    assert (await front.send(later)).data["Number"] == 3
    theirs = signed(unsigned("MakeThing", {"Name": "chair"}, method="POST"), THEIRS)
    assert (await front.send(theirs)).data["Number"] == 4


async def test_the_same_signature_with_another_body_is_no_replay_and_refused(front: Front, workshop: Workshop) -> None:
    first = order()
    await front.send(first)
    forged = HttpRequest(method="POST", target=first.target, headers=first.headers, body=b'{"Name": "table"}')
    assert (await front.send(forged)).code == "SignatureNotMatch"
    assert workshop.made == 1


async def test_of_two_at_once_one_is_done_and_both_are_answered(front: Front, workshop: Workshop) -> None:
    workshop.may_finish.clear()
    both = [asyncio.create_task(front.gateway.answer(order(), CLIENT)) for _ in range(2)]
    async with asyncio.timeout(DEADLINE_S):
        await workshop.has_begun.wait()
        await asyncio.sleep(0)  # the other one has come too
        workshop.may_finish.set()
        first, second = await asyncio.gather(*both)
    assert first == second
    assert workshop.made == 1


async def test_a_failure_is_told_to_both_and_not_remembered(front: Front, workshop: Workshop) -> None:
    workshop.is_broken = True
    workshop.may_finish.clear()
    both = [asyncio.create_task(front.send(order())) for _ in range(2)]
    async with asyncio.timeout(DEADLINE_S):
        await workshop.has_begun.wait()
        await asyncio.sleep(0)  # the other one has come too
        workshop.may_finish.set()
        assert [answer.code for answer in await asyncio.gather(*both)] == ["1201", "1201"]
    workshop.is_broken = False
    assert (await front.send(order())).data["Number"] == 2


async def test_a_dry_run_creates_nothing_and_is_not_remembered(front: Front, workshop: Workshop) -> None:
    for _ in range(2):
        assert (await front.send(order(DryRun=True))).code == "ErrorDryRun"
    assert workshop.made == 0


async def test_a_ban_and_a_read_are_done_each_time(front: Front) -> None:
    ban = signed(unsigned("ForbidStream", CAM, method="POST"), MINE)
    check = signed(unsigned("CheckBlacklist", CAM))
    resume = signed(unsigned("ResumeStream", CAM, method="POST"))
    said = []
    for request in (check, ban, check, resume, check, ban, check):
        answer = await front.send(request)
        said.append(answer.data.get("CheckResult", answer.code))
    assert said == [0, "0", 1, "0", 0, "0", 1]
    assert len(front.acted) == 7


# The memory itself


def answer(number: int) -> HttpResponse:
    return HttpResponse(status=200, headers=Headers(), body=b"%d" % number)


async def test_a_request_that_was_given_up_is_no_reason_to_hang(front: Front) -> None:
    replays = Replays(ManualClock().monotonic)
    began = asyncio.Event()

    async def never() -> HttpResponse:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    first = asyncio.create_task(replays.once(MakeThing, ("k", "s", b""), never))
    await began.wait()
    second = asyncio.create_task(replays.once(MakeThing, ("k", "s", b""), never))
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(Unavailable):
            await second
    assert first.cancelled()


async def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MAX_REMEMBERED", 10)
    replays = Replays(ManualClock().monotonic)

    async def make() -> HttpResponse:
        return answer(1)

    for number in range(100):
        await replays.once(MakeThing, ("k", str(number), b""), make)
    assert len(replays._memories) <= 10
