"""KillStream, ForbidStream, ResumeStream, DescribeForbiddenStreamInfoByPage: over a control plane in memory."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from penstock.clouds.kingsoft import streams as kls
from penstock.clouds.kingsoft import wire as kls_wire
from penstock.domain.admission import admit
from penstock.errors import Banned
from penstock.link.messages import EndReason
from penstock.model import StreamId
from tests.api.kingsoft.kit import on_air
from tests.api.volcengine.front import CAM, CLIENT, MINE, OK, PAGE, THEIRS, Front
from tests.clock import START
from tests.domain.kit import DEMO, asked

BY_DOMAIN = {"Domain": "push2.demo.test", "App": "live", "Stream": "cam"}
DAYS = timedelta(days=1)


def text(at: datetime, unit: str = "milliseconds") -> str:
    return at.replace(tzinfo=None).isoformat(timespec=unit) + "Z"


async def forbid(front: Front, **values: Any) -> str:
    return (await front.call("ForbidStream", {**CAM, **values})).code


async def listed(front: Front, **values: Any) -> list[dict[str, Any]]:
    answer = await front.call("DescribeForbiddenStreamInfoByPage", {**PAGE, **values})
    assert answer.code == OK, answer
    assert set(answer.result) == {"RoughCount", "StreamInfoList"}
    rows: list[dict[str, Any]] = answer.result["StreamInfoList"]
    return rows


async def names(front: Front, **values: Any) -> list[str]:
    return [row["Stream"] for row in await listed(front, **values)]


# ForbidStream


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({}, START + 90 * DAYS),
        ({"EndTime": None}, START + 90 * DAYS),
        ({"EndTime": ""}, START + 90 * DAYS),
        ({"EndTime": text(START + 90 * DAYS)}, START + 90 * DAYS),
        ({"EndTime": text(START + timedelta(milliseconds=1))}, START),  # told in seconds
        ({"EndTime": (START + DAYS).isoformat()}, START + DAYS),
        ({"EndTime": "2026-03-02T20:00:00+08:00"}, datetime.fromisoformat("2026-03-02T12:00:00Z")),
        ({"Priority": 5, "Unknown": {}}, START + 90 * DAYS),
    ],
)
async def test_a_stream_is_banned_until_the_time_given_or_for_ninety_days(
    front: Front, given: dict[str, Any], end: datetime
) -> None:
    answer = await front.call("ForbidStream", {**CAM, **given})
    assert (answer.status, answer.result) == (200, None)
    assert await listed(front) == [
        {
            "Vhost": "demo",
            "Domain": "push.demo.test",
            "App": "live",
            "Stream": "cam",
            "CreateTime": text(START, "seconds"),
            "EndTime": text(end, "seconds"),
            "Status": True,
        }
    ]


@pytest.mark.parametrize(
    "end",
    [text(START), text(START - DAYS), text(START + 90 * DAYS + timedelta(milliseconds=1)), "9999-12-31T23:59:59Z"],
)
async def test_an_end_that_is_past_or_beyond_ninety_days_is_invalid(front: Front, end: str) -> None:
    answer = await front.call("ForbidStream", {**CAM, "EndTime": end})
    assert (answer.status, answer.code) == (400, "InvalidParam")
    assert answer.message.startswith("EndTime is ")
    assert "within 90 days" in answer.message
    assert await listed(front) == []


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00"])
async def test_an_end_beyond_all_calendars_is_invalid(front: Front, end: str) -> None:
    assert (await forbid(front, EndTime=end)) == "InvalidParam"


async def test_a_ban_cuts_the_encoder_before_it_is_answered(front: Front) -> None:
    on_air(front.live, "cam")
    assert await forbid(front) == OK
    (dropped,) = front.live.engine.dropped  # type: ignore[attr-defined]
    assert dropped[:2] == (DEMO, EndReason.BANNED)
    with pytest.raises(Banned):
        admit(front.live, asked())


async def test_a_second_ban_moves_the_end_and_the_same_again_is_no_fault(front: Front) -> None:
    assert await forbid(front) == OK
    assert await forbid(front) == OK
    front.clock.spend(60)
    assert await forbid(front, EndTime=text(START + DAYS)) == OK
    (row,) = await listed(front)
    assert (row["CreateTime"], row["EndTime"]) == (text(START, "seconds"), text(START + DAYS, "seconds"))


async def test_a_ban_ends_by_itself(front: Front) -> None:
    assert await forbid(front, EndTime=text(START + DAYS)) == OK
    front.live.clock.turn(by=DAYS)
    assert await listed(front) == []
    admit(front.live, asked())


async def test_a_ban_by_a_domain_is_of_the_stream_and_shows_under_the_domain(front: Front) -> None:
    answer = await front.call("ForbidStream", BY_DOMAIN)
    assert answer.code == OK
    (row,) = await listed(front)
    assert (row["Vhost"], row["Domain"]) == ("demo", "push2.demo.test")
    # It may be lifted by the other of its names.
    assert (await front.call("ResumeStream", CAM)).code == OK
    assert await listed(front) == []


async def test_a_domain_to_play_from_finds_its_vhost(front: Front) -> None:
    assert (await front.call("ForbidStream", {**BY_DOMAIN, "Domain": "PULL.demo.test"})).code == OK
    (row,) = await listed(front)
    assert (row["Vhost"], row["Domain"]) == ("demo", "push.demo.test")


@pytest.mark.parametrize("action", ["ForbidStream", "ResumeStream", "KillStream"])
@pytest.mark.parametrize(
    "place", [{"Vhost": "other"}, {"Vhost": "nobody"}, {"App": "vod"}], ids=["another's", "nobody's", "no such app"]
)
async def test_what_is_not_the_callers_is_forbidden(front: Front, action: str, place: dict[str, str]) -> None:
    answer = await front.call(action, {**CAM, **place})
    assert (answer.status, answer.code) == (403, "RequestForbidden")


@pytest.mark.parametrize("action", ["ForbidStream", "ResumeStream"])
@pytest.mark.parametrize("domain", ["push.other.test", "nobody.test"])
async def test_a_domain_that_is_not_the_callers_is_forbidden(front: Front, action: str, domain: str) -> None:
    answer = await front.call(action, {**BY_DOMAIN, "Domain": domain})
    assert (answer.status, answer.code) == (403, "RequestForbidden")


async def test_a_name_that_leads_elsewhere_is_none(front: Front) -> None:
    answer = await front.call("ForbidStream", {**CAM, "Stream": ".."})
    assert (answer.code, answer.message.split()[0]) == ("InvalidParam", "Stream")


# ResumeStream


async def test_a_ban_that_is_lifted_is_gone_at_once(front: Front) -> None:
    assert await forbid(front) == OK
    answer = await front.call("ResumeStream", CAM)
    assert (answer.status, answer.result) == (200, None)
    admit(front.live, asked())


async def test_what_is_not_banned_cannot_be_resumed(front: Front) -> None:
    answer = await front.call("ResumeStream", CAM)
    assert (answer.status, answer.code) == (404, "ResourceNotFound")


# KillStream


async def test_a_kick_cuts_the_encoder_and_bans_nothing(front: Front) -> None:
    on_air(front.live, "cam")
    answer = await front.call("KillStream", CAM)
    assert (answer.status, answer.result) == (200, None)
    (dropped,) = front.live.engine.dropped  # type: ignore[attr-defined]
    assert dropped == (DEMO, EndReason.KICKED, "by AKone")
    admit(front.live, asked())


async def test_who_is_not_on_air_cannot_be_cut(front: Front) -> None:
    answer = await front.call("KillStream", CAM)
    assert (answer.status, answer.code) == (404, "ResourceNotFound")


async def test_kick_knows_no_domain(front: Front) -> None:
    on_air(front.live, "cam")
    assert (await front.call("KillStream", {**CAM, "Domain": "nobody.test"})).code == OK
    assert (await front.call("KillStream", BY_DOMAIN)).code == "InvalidParam"


# DescribeForbiddenStreamInfoByPage


async def fill(front: Front) -> None:
    """Four bans, with ends one day after another."""
    for day, (app, stream, domain) in enumerate(
        [
            ("live", "cam1", "push.demo.test"),
            ("live", "cam2", "push2.demo.test"),
            ("studio", "cam1", "push.demo.test"),
            ("live", "Cam1b", "push.demo.test"),
        ],
        1,
    ):
        values = {"Domain": domain, "App": app, "Stream": stream, "EndTime": text(START + day * DAYS)}
        assert (await front.call("ForbidStream", values)).code == OK
    other = {"Vhost": "other", "App": "live", "Stream": "cam1"}
    assert (await front.call("ForbidStream", other, credentials=THEIRS)).code == OK


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ["Cam1b", "cam1", "cam2", "cam1"]),
        ({"Sort": "desc"}, ["Cam1b", "cam1", "cam2", "cam1"]),
        ({"Sort": "asc"}, ["cam1", "cam2", "cam1", "Cam1b"]),
        ({"Vhost": "demo"}, ["Cam1b", "cam1", "cam2", "cam1"]),
        ({"Vhost": "signed"}, []),
        ({"Domain": "push2.demo.test"}, ["cam2"]),
        ({"Vhost": "demo", "Domain": "PUSH2.demo.test"}, ["cam2"]),
        ({"Domain": "pull.demo.test"}, []),
        ({"App": "studio"}, ["cam1"]),
        ({"App": "nosuch"}, []),
        ({"Stream": "cam1"}, ["cam1", "cam1"]),
        ({"Stream": "cam", "QueryType": "strict"}, []),
        ({"Stream": "am1", "QueryType": "fuzzy"}, ["Cam1b", "cam1", "cam1"]),
        ({"Stream": "cam", "QueryType": "fuzzy", "App": "live"}, ["cam2", "cam1"]),
        ({"Stream": "%", "QueryType": "strict"}, None),
        ({"Stream": "", "QueryType": "fuzzy"}, ["Cam1b", "cam1", "cam2", "cam1"]),
        ({"PageSize": 3}, ["Cam1b", "cam1", "cam2"]),
        ({"PageSize": 3, "PageNum": 2}, ["cam1"]),
        ({"PageSize": 3, "PageNum": 3}, []),
        ({"PageSize": 1000, "PageNum": 2_147_483_647}, []),
    ],
)
async def test_bans_are_found_by_every_filter(front: Front, given: dict[str, Any], found: list[str] | None) -> None:
    await fill(front)
    if found is None:
        answer = await front.call("DescribeForbiddenStreamInfoByPage", {**PAGE, **given})
        assert answer.code == "InvalidParam"
        return
    assert await names(front, **given) == found


async def test_count_is_of_all_pages(front: Front) -> None:
    await fill(front)
    for number in (1, 2, 9):
        answer = await front.call("DescribeForbiddenStreamInfoByPage", {"PageNum": number, "PageSize": 3})
        assert answer.result["RoughCount"] == 4


@pytest.mark.parametrize(
    "given", [{"Vhost": "other"}, {"Domain": "push.other.test"}, {"Vhost": "signed", "Domain": "push.demo.test"}]
)
async def test_bans_of_another_are_forbidden_to_look_at(front: Front, given: dict[str, str]) -> None:
    answer = await front.call("DescribeForbiddenStreamInfoByPage", {**PAGE, **given})
    assert (answer.status, answer.code) == (403, "RequestForbidden")


# One truth behind two clouds.


async def ask_kls(front: Front, action: str, **values: Any) -> dict[str, Any]:
    where = {"unique_name": "demo", "app": "live", "pubdomain": "push.demo.test"}
    request = kls_wire.encode_request(
        kls.OPERATIONS[action].make(**where, **values), MINE, front.clock.now(), kls_wire.ENDPOINT
    )
    data: dict[str, Any] = json.loads((await front.gateway.answer(request, CLIENT)).body)["Data"]
    return data


async def test_a_ban_through_kingsoft_is_listed_here_and_lifted_here(front: Front) -> None:
    end = int((START + 5 * DAYS).timestamp())
    await ask_kls(front, "ForbidStream", stream="cam", forbid_till_unix_time=end)
    (row,) = await listed(front, Domain="push.demo.test", Stream="cam")
    assert (row["CreateTime"], row["EndTime"], row["Status"]) == (
        text(START, "seconds"),
        text(START + 5 * DAYS, "seconds"),
        True,
    )
    kept = front.live.bans.find(DEMO, front.live.clock.now())
    assert kept is not None
    assert (kept.cloud, kept.access_key, kept.since) == ("kingsoft", "AKone", START)
    assert (await front.call("ResumeStream", CAM)).code == OK
    assert (await ask_kls(front, "CheckBlacklist", stream="cam"))["CheckResult"] == 0


async def test_a_ban_from_here_is_on_kingsofts_blacklist_and_keeps_who_made_it(front: Front) -> None:
    assert await forbid(front, EndTime=text(START + DAYS)) == OK
    end = int((START + DAYS).timestamp())
    assert (await ask_kls(front, "GetBlacklist"))["Recs"] == [
        {"Stream": "cam", "ForbidTillUnixTime": end, "ForbidUnixTime": int(START.timestamp())}
    ]
    kept = await front.live.store.find_ban(StreamId("demo", "live", "cam"), START)
    assert kept is not None
    assert (kept.cloud, kept.access_key, kept.account, kept.since) == ("volcengine", "AKone", "1", START)
    assert (await ask_kls(front, "ResumeStream", stream="cam"))["RetCode"] == 0
    assert await listed(front) == []


async def test_by_get_a_ban_is_as_good(front: Front) -> None:
    answer = await front.call("ForbidStream", {**CAM, "EndTime": text(START + DAYS)}, method="GET")
    assert answer.code == OK
    assert urlencode({"a": text(START)}) == "a=2026-03-01T12%3A00%3A00.000Z"
    (row,) = await listed(front)
    assert row["EndTime"] == text(START + DAYS, "seconds")
