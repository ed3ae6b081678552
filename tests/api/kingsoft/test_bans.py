"""ForbidStream, ResumeStream, GetBlacklist, CheckBlacklist: on the wire, over a control plane in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.domain import bans
from penstock.domain.admission import admit
from penstock.domain.caller import Caller
from penstock.errors import Banned
from penstock.link.messages import EndReason
from tests.api.kingsoft.front import CAM, THEIRS, WHERE, Front
from tests.api.kingsoft.kit import DAY, NOW, on_air
from tests.clock import START
from tests.domain.kit import DEMO, asked

MAX = 90 * DAY


async def forbid(front: Front, **values: Any) -> str:
    return (await front.call("ForbidStream", {**CAM, **values})).code


async def blacklist(front: Front, **values: Any) -> list[dict[str, Any]]:
    answer = await front.call("GetBlacklist", {**WHERE, **values}, method="GET")
    assert answer.code == "0", answer
    assert answer.data["Total"] == len(answer.data["Recs"])
    recs: list[dict[str, Any]] = answer.data["Recs"]
    return recs


async def is_banned(front: Front, **values: Any) -> int:
    answer = await front.call("CheckBlacklist", {**CAM, **values}, method="GET")
    assert answer.code == "0", answer
    assert set(answer.data) == {"CheckResult", "RetCode", "RetMsg"}
    result: int = answer.data["CheckResult"]
    return result


# ForbidStream


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({}, NOW + MAX),
        ({"ForbidTillUnixTime": -1}, NOW + MAX),
        ({"ForbidTillUnixTime": None}, NOW + MAX),
        ({"ForbidTillUnixTime": ""}, NOW + MAX),
        ({"ForbidTillUnixTime": NOW + 1}, NOW + 1),
        ({"ForbidTillUnixTime": NOW + MAX}, NOW + MAX),
    ],
)
async def test_a_stream_is_banned_until_the_time_given_or_for_ninety_days(
    front: Front, given: dict[str, Any], end: int
) -> None:
    answer = await front.call("ForbidStream", {**CAM, **given})
    assert (answer.status, answer.data) == (200, {"RetCode": 0, "RetMsg": "success"})
    assert await blacklist(front) == [{"Stream": "cam", "ForbidTillUnixTime": end, "ForbidUnixTime": NOW}]
    assert await is_banned(front) == 1


@pytest.mark.parametrize("end", [0, 2, NOW - 1, NOW, NOW + MAX + 1, 9_999_999_999])
async def test_an_end_that_is_past_or_beyond_ninety_days_is_no_time(front: Front, end: int) -> None:
    answer = await front.call("ForbidStream", {**CAM, "ForbidTillUnixTime": end})
    assert (answer.status, answer.code) == (200, "4001")
    assert answer.message.startswith("invalid time: ForbidTillUnixTime is ")
    assert await is_banned(front) == 0


@pytest.mark.parametrize("end", [-2, 10_000_000_000, "soon", 1.5, True, [], {}, str(NOW + 60)])
async def test_an_end_that_is_no_number_of_ten_digits_is_no_time(front: Front, end: object) -> None:
    assert await forbid(front, ForbidTillUnixTime=end) == "4001"


async def test_by_get_the_end_travels_as_text(front: Front) -> None:
    answer = await front.call("ForbidStream", {**CAM, "ForbidTillUnixTime": NOW + 60}, method="GET")
    assert answer.code == "0"
    assert (await blacklist(front))[0]["ForbidTillUnixTime"] == NOW + 60


async def test_a_ban_cuts_the_encoder_before_it_is_answered(front: Front) -> None:
    on_air(front.live, "cam")
    assert await forbid(front) == "0"
    (dropped,) = front.live.engine.dropped  # type: ignore[attr-defined]
    assert dropped[:2] == (DEMO, EndReason.BANNED)
    with pytest.raises(Banned):
        admit(front.live, asked())


async def test_one_cuts_the_encoder_and_bans_nothing(front: Front) -> None:
    on_air(front.live, "cam")
    assert await forbid(front, ForbidTillUnixTime=1) == "0"
    (dropped,) = front.live.engine.dropped  # type: ignore[attr-defined]
    assert dropped == (DEMO, EndReason.KICKED, "by AKone")
    assert await is_banned(front) == 0
    admit(front.live, asked())


async def test_who_is_not_on_air_cannot_be_cut(front: Front) -> None:
    answer = await front.call("ForbidStream", {**CAM, "ForbidTillUnixTime": 1})
    assert (answer.status, answer.code, answer.message) == (200, "8502", "stream is not exist")


async def test_the_same_ban_within_a_second_changes_nothing_and_says_so(front: Front) -> None:
    assert await forbid(front) == "0"
    front.clock.spend(0.999)
    answer = await front.call("ForbidStream", CAM)
    assert (answer.status, answer.code) == (200, "3802")
    assert answer.message == "stream has been banned and no change forbid information"
    front.clock.spend(0.001)
    assert await forbid(front) == "0"
    assert (await blacklist(front))[0]["ForbidUnixTime"] == NOW + 1


async def test_another_end_is_a_change_at_any_time(front: Front) -> None:
    assert await forbid(front) == "0"
    assert await forbid(front, ForbidTillUnixTime=NOW + 100) == "0"
    assert await forbid(front, ForbidTillUnixTime=NOW + 200) == "0"
    assert await blacklist(front) == [{"Stream": "cam", "ForbidTillUnixTime": NOW + 200, "ForbidUnixTime": NOW}]


async def test_a_ban_ends_when_ninety_days_are_over(front: Front) -> None:
    assert await forbid(front) == "0"
    front.live.clock.turn(by=timedelta(days=90) - timedelta(microseconds=1))
    assert await is_banned(front) == 1
    with pytest.raises(Banned):
        admit(front.live, asked())
    front.live.clock.turn(by=timedelta(microseconds=1))
    assert (await is_banned(front), await blacklist(front)) == (0, [])
    assert (await front.call("ResumeStream", CAM)).code == "8201"
    admit(front.live, asked())


# ResumeStream


async def test_a_lifted_ban_lets_the_encoder_back_in_at_once(front: Front) -> None:
    await forbid(front)
    answer = await front.call("ResumeStream", CAM)
    assert (answer.status, answer.data) == (200, {"RetCode": 0, "RetMsg": "success"})
    assert (await is_banned(front), await blacklist(front)) == (0, [])
    admit(front.live, asked())


async def test_what_is_not_banned_cannot_be_lifted(front: Front) -> None:
    for _ in range(2):
        answer = await front.call("ResumeStream", CAM)
        assert (answer.status, answer.code, answer.message) == (200, "8201", "stream is not on the blacklist")
        await forbid(front)
        assert (await front.call("ResumeStream", CAM)).code == "0"


# GetBlacklist


async def test_the_blacklist_is_of_one_app_and_push_domain(front: Front) -> None:
    await forbid(front)
    await forbid(front, Stream="two")
    await forbid(front, App="studio")
    await forbid(front, Pubdomain="push2.demo.test", Stream="three")
    assert {each["Stream"] for each in await blacklist(front)} == {"cam", "two"}
    assert [each["Stream"] for each in await blacklist(front, App="studio")] == ["cam"]
    assert [each["Stream"] for each in await blacklist(front, Pubdomain="push2.demo.test")] == ["three"]


async def test_the_blacklist_says_where_it_is_from(front: Front) -> None:
    answer = await front.call("GetBlacklist", {**WHERE, "Pubdomain": "PUSH.demo.test"})
    assert answer.data == {
        "UniqueName": "demo",
        "App": "live",
        "Pubdomain": "PUSH.demo.test",
        "Total": 0,
        "Recs": [],
        "RetCode": 0,
        "RetMsg": "success",
    }


async def test_the_latest_ban_comes_first(front: Front) -> None:
    for name in ("a", "b", "c"):
        await forbid(front, Stream=name)
        front.clock.spend(10)
    await forbid(front, Stream="a")
    assert [each["Stream"] for each in await blacklist(front)] == ["a", "c", "b"]


async def test_a_stream_is_banned_on_every_domain_and_listed_under_the_last_that_asked(front: Front) -> None:
    await forbid(front)
    assert await is_banned(front, Pubdomain="push2.demo.test") == 1
    await forbid(front, Pubdomain="push2.demo.test", ForbidTillUnixTime=NOW + 60)
    assert await blacklist(front) == []
    assert [each["Stream"] for each in await blacklist(front, Pubdomain="push2.demo.test")] == ["cam"]


async def test_a_ban_of_another_door_is_listed_under_the_first_push_domain(front: Front) -> None:
    await bans.ban(front.live, Caller(account="1", access_key=""), DEMO, until=START + timedelta(seconds=9))
    assert await blacklist(front) == [{"Stream": "cam", "ForbidTillUnixTime": NOW + 9, "ForbidUnixTime": NOW}]


# CheckBlacklist


async def test_only_the_very_stream_is_banned(front: Front) -> None:
    await forbid(front)
    assert await is_banned(front) == 1
    assert await is_banned(front, Stream="Cam") == 0
    assert await is_banned(front, Stream="cam2") == 0
    assert await is_banned(front, App="studio") == 0


# All four


ALL = ["ForbidStream", "ResumeStream", "GetBlacklist", "CheckBlacklist"]
OF_A_STREAM = ["ForbidStream", "ResumeStream", "CheckBlacklist"]


def values_of(action: str) -> dict[str, Any]:
    return dict(WHERE if action == "GetBlacklist" else CAM)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", ["UniqueName", "App", "Pubdomain"])
@pytest.mark.parametrize("action", ALL)
async def test_a_parameter_that_must_be_there(front: Front, action: str, name: str, method: str) -> None:
    for without in ({}, {name: ""}, {name: None} if method == "POST" else {}):
        values = values_of(action)
        del values[name]
        answer = await front.call(action, values | without, method=method)
        assert (answer.status, answer.code) == (200, "1000")
        assert answer.message.startswith(f"lack of parameters: {name} is missing")
    assert front.acted == []


@pytest.mark.parametrize("action", OF_A_STREAM)
async def test_a_stream_must_be_named(front: Front, action: str) -> None:
    assert (await front.call(action, WHERE)).code == "1000"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"UniqueName": "nosuch"}, "6406"),
        ({"UniqueName": "other"}, "6406"),
        ({"UniqueName": "Demo"}, "6406"),
        ({"UniqueName": 5}, "1002"),
        ({"App": "vod"}, "1003"),
        ({"App": "Live"}, "1003"),
        ({"App": ["live"]}, "1003"),
        ({"Pubdomain": "push.other.test"}, "4201"),
        ({"Pubdomain": "pull.demo.test"}, "4201"),
        ({"Pubdomain": "nosuch"}, "4201"),
        ({"Pubdomain": 7}, "4000"),
        ({"pubdomain": "push.demo.test"}, "4999"),
        ({"Nonsense": 1}, "4999"),
    ],
)
@pytest.mark.parametrize("action", ALL)
async def test_a_parameter_that_is_wrong(front: Front, action: str, wrong: dict[str, Any], code: str) -> None:
    on_air(front.live, "cam")
    answer = await front.call(action, values_of(action) | wrong)
    assert (answer.status, answer.code) == (200, code)
    assert front.live.engine.dropped == []  # type: ignore[attr-defined]
    assert list(front.live.bans.in_force(START)) == []


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "cam?x=1", "s" * 256, "直播", "a\x00b", "cam/", 5])
@pytest.mark.parametrize("action", OF_A_STREAM)
async def test_a_stream_that_can_be_none(front: Front, action: str, name: object) -> None:
    answer = await front.call(action, {**CAM, "Stream": name})
    assert (answer.status, answer.code) == (200, "1004")
    assert answer.message.startswith("invalid stream name: Stream is ")


@pytest.mark.parametrize("action", ALL)
async def test_another_account_sees_and_touches_nothing(front: Front, action: str) -> None:
    await forbid(front)
    on_air(front.live, "cam")
    for where in ({}, {"UniqueName": "demo", "Pubdomain": "push.other.test"}):
        answer = await front.call(action, values_of(action) | where, credentials=THEIRS)
        assert (answer.status, answer.code) == (200, "6406")
        assert answer.message == "unique_name and accountId not match"
    assert await is_banned(front) == 1
    assert front.live.sessions.holder(DEMO) is not None


async def test_to_another_account_a_vhost_that_is_not_its_own_looks_like_none(front: Front) -> None:
    said = [
        await front.call("CheckBlacklist", {**CAM, "UniqueName": name}, credentials=THEIRS)
        for name in ("demo", "nosuch")
    ]
    assert said[0].message == said[1].message
    assert said[0].code == said[1].code
