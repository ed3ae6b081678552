"""What the gateway counts for monitoring, by words that no caller chooses."""

from __future__ import annotations

import pytest

from penstock.api.gateway import NONE, OK, REPLAYED
from penstock.clouds.contract import Credentials
from penstock.clouds.http import Headers, HttpRequest
from penstock.clouds.kingsoft import wire
from tests.api.kit import BAN, CHECK, KEY, House, MakeTask, changed


@pytest.fixture
def house() -> House:
    return House()


def calls(house: House) -> dict[tuple[str, ...], int]:
    return dict(house.gateway._tallies.calls)


async def test_a_call_counts_by_cloud_operation_and_outcome(house: House) -> None:
    await house.ask(CHECK)
    await house.ask(CHECK)
    await house.ask(BAN)
    assert calls(house) == {("kingsoft", "CheckBlacklist", OK): 2, ("kingsoft", "ForbidStream", OK): 1}


async def test_what_nobody_signed_names_no_operation(house: House) -> None:
    """Anybody may write any action into a request."""
    for number in range(50):
        await house.answer(changed(house.signed(CHECK), target=f"/?Action=Made{number}&Version=2017-01-01"))
        await house.ask(CHECK, Credentials(f"AK{number}", "wrong"))
        await house.answer(HttpRequest(method="GET", target=f"/{number}", headers=Headers([]), body=b""))
    assert set(calls(house).values()) == {50}
    assert {words[:2] for words in calls(house)} == {("kingsoft", NONE), (NONE, NONE)}


async def test_a_call_too_many_counts_as_rate_limited_too(house: House) -> None:
    for _ in range(101):
        await house.ask(CHECK)
    assert calls(house)["kingsoft", "CheckBlacklist", "LimitExceeded"] == 1
    assert dict(house.gateway._tallies.rate_limited) == {("kingsoft",): 1}


async def test_a_fault_of_our_own_counts_by_the_code_that_was_answered(house: House) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    house.live.instead = fail
    await house.ask(CHECK)
    assert calls(house) == {("kingsoft", "CheckBlacklist", wire.code_of(ZeroDivisionError())): 1}


async def test_a_call_that_was_answered_before_counts_as_replayed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(wire.OPERATIONS, "MakeTask", MakeTask)
    request = house.signed(MakeTask(name="night"), KEY)
    for _ in range(3):
        await house.answer(request)
    assert calls(house) == {("kingsoft", "MakeTask", OK): 1, ("kingsoft", "MakeTask", REPLAYED): 2}
