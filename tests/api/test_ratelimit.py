"""How often: at the edge of each limit, and who shares one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.api import ratelimit
from penstock.api.ratelimit import RateLimits
from penstock.clouds.contract import Credentials, Operation
from penstock.clouds.kingsoft.streams import OPERATIONS, CheckBlacklist, ForbidStream, GetBlacklist
from penstock.domain import accounts
from penstock.errors import LimitExceeded
from penstock.storage.rows import AccessKey
from tests.api import kit
from tests.api.kit import APP, CAM, THEIRS, Front, signed, unsigned
from tests.clock import ManualClock

# Of each operation: calls, and in how many seconds.
RATES = {
    "ListRealtimeStreamsInfo": (50, 60),
    "ListRealtimePubStreamsInfo": (50, 60),
    "ListHistoryPubStreamsInfo": (50, 60),
    "ListHistoryPubStreamsErrInfo": (50, 60),
    "ListStreamDurations": (50, 60),
    "ForbidStream": (200, 1),
    "ResumeStream": (100, 1),
    "GetBlacklist": (100, 1),
    "CheckBlacklist": (100, 1),
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def limits(clock: ManualClock) -> RateLimits:
    return RateLimits(clock.monotonic)


def count(limits: RateLimits, action: str, times: int = 1, account: str = "1") -> None:
    for _ in range(times):
        limits.count("kingsoft", account, OPERATIONS[action])


def test_every_operation_has_its_limit() -> None:
    assert set(RATES) == set(OPERATIONS)


@pytest.mark.parametrize("action", RATES)
def test_one_call_above_the_limit_is_refused_until_the_first_one_is_past(
    limits: RateLimits, clock: ManualClock, action: str
) -> None:
    calls, span_s = RATES[action]
    count(limits, action, calls)
    with pytest.raises(LimitExceeded, match=f"{action} may be called {calls} times a (second|minute)"):
        count(limits, action)
    clock.spend(span_s - 0.001)
    with pytest.raises(LimitExceeded):
        count(limits, action)
    clock.spend(0.001)
    count(limits, action, calls)
    with pytest.raises(LimitExceeded):
        count(limits, action)


def test_the_window_slides_with_each_call(limits: RateLimits, clock: ManualClock) -> None:
    for _ in range(50):
        count(limits, "ListStreamDurations")
        clock.spend(1)
    with pytest.raises(LimitExceeded):
        count(limits, "ListStreamDurations")
    clock.spend(10)
    # The first call was 60 s ago, the second one 59 s.
    count(limits, "ListStreamDurations")
    with pytest.raises(LimitExceeded):
        count(limits, "ListStreamDurations")
    clock.spend(1)
    count(limits, "ListStreamDurations")


def test_a_call_that_was_refused_is_not_counted(limits: RateLimits, clock: ManualClock) -> None:
    count(limits, "CheckBlacklist", 100)
    clock.spend(0.5)
    for _ in range(1000):
        with pytest.raises(LimitExceeded):
            count(limits, "CheckBlacklist")
    clock.spend(0.5)
    count(limits, "CheckBlacklist", 100)


def test_accounts_operations_and_clouds_have_limits_of_their_own(limits: RateLimits) -> None:
    count(limits, "CheckBlacklist", 100)
    count(limits, "GetBlacklist", 100)
    count(limits, "CheckBlacklist", 100, account="2")
    limits.count("another cloud", "1", CheckBlacklist)


def test_an_operation_without_a_limit_may_be_called_at_will(limits: RateLimits) -> None:
    class Free(Operation[Any], frozen=True):
        about = kit.about("Free")

    for _ in range(10_000):
        limits.count("kingsoft", "1", Free)


def test_windows_that_nobody_uses_are_let_go(
    limits: RateLimits, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratelimit, "MAX_WINDOWS", 10)
    for number in range(10):
        count(limits, "ForbidStream", account=str(number))
    clock.spend(61)
    count(limits, "ForbidStream", 200, account="new")
    assert len(limits._windows) == 1
    with pytest.raises(LimitExceeded):
        limits.count("kingsoft", "new", ForbidStream)


# At the gateway


@pytest.fixture
async def limited() -> AsyncIterator[Front]:
    async with kit.front(limited=True) as front:
        yield front


async def test_the_51st_listing_in_a_minute_is_answered_409(limited: Front) -> None:
    for _ in range(50):
        assert (await limited.call("ListRealtimeStreamsInfo", APP)).code == "0"
    answer = await limited.call("ListRealtimeStreamsInfo", APP)
    assert (answer.status, answer.code) == (409, "LimitExceeded")
    assert "50 times a minute" in answer.message
    assert len(limited.acted) == 50
    assert limited.explained[-1].outcome == "409 LimitExceeded"
    limited.clock.spend(60)
    assert (await limited.call("ListRealtimeStreamsInfo", APP)).code == "0"


async def test_409_is_xml_for_who_does_not_accept_json(limited: Front) -> None:
    for _ in range(100):
        limited.gateway._limits.count("kingsoft", "1", GetBlacklist)  # type: ignore[union-attr]
    answer = await limited.send(signed(unsigned("GetBlacklist", {}, headers=())))
    assert (answer.status, answer.code, answer.form) == (409, "LimitExceeded", "xml")


async def test_all_keys_of_an_account_share_its_limit_and_another_account_does_not(limited: Front) -> None:
    await accounts.add_key(limited.live, AccessKey(access_key="AKsub", secret_key="s", account="1", sub_account=True))
    for number in range(100):
        sub = Credentials("AKsub", "s")
        credentials = sub if number % 2 else kit.MINE
        assert (await limited.call("CheckBlacklist", CAM, credentials=credentials)).code == "0"
    assert (await limited.call("CheckBlacklist", CAM, credentials=sub)).status == 409
    assert (await limited.call("CheckBlacklist", CAM, credentials=THEIRS)).code == "6406"
    assert (await limited.call("GetBlacklist", CAM, method="GET")).code == "4999"


async def test_faulty_calls_count_and_unsigned_ones_do_not(limited: Front) -> None:
    for _ in range(200):
        assert (await limited.send(unsigned("GetBlacklist", {}))).code == "MissingAccesskey"
        wrong = signed(unsigned("GetBlacklist", {}), Credentials("AKone", "guess"))
        assert (await limited.send(wrong)).code == "SignatureNotMatch"
    for _ in range(100):
        assert (await limited.call("GetBlacklist", {})).code == "1000"
    assert (await limited.call("GetBlacklist", {})).status == 409


async def test_without_limits_nobody_is_told_to_slow_down(front: Front) -> None:
    for _ in range(300):
        assert (await front.call("CheckBlacklist", CAM)).code == "0"
