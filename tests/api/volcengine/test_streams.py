"""DescribeLiveStreamInfoByPage, DescribeClosedStreamInfoByPage, DescribeLiveStreamState."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from penstock.domain.sessions import Session
from penstock.model import StreamId
from tests.api.kingsoft.kit import ago, on_air, published
from tests.api.volcengine.front import CAM, OK, PAGE, THEIRS, Front
from tests.clock import START
from tests.domain.kit import CLIENT

LIVE = "DescribeLiveStreamInfoByPage"
CLOSED = "DescribeClosedStreamInfoByPage"
STATE = "DescribeLiveStreamState"
DAY = {"EndTimeFrom": "2026-02-28T12:00:00Z", "EndTimeTo": "2026-03-01T12:00:00Z"}


async def rows(front: Front, action: str, **values: Any) -> list[dict[str, Any]]:
    given = {**PAGE, **(DAY if action == CLOSED else {}), **values}
    answer = await front.call(action, given)
    assert answer.code == OK, answer
    assert set(answer.result) == {"RoughCount", "StreamInfoList"}
    found: list[dict[str, Any]] = answer.result["StreamInfoList"]
    return found


async def names(front: Front, action: str, **values: Any) -> list[str]:
    return [row["Stream"] for row in await rows(front, action, **values)]


def admitted(front: Front, name: str) -> Session:
    """A publish that was let in, and has not begun."""
    return front.live.sessions.admit(StreamId("demo", "live", name), CLIENT, account="1", push_domain="push.demo.test")


# Live streams


def fill_live(front: Front) -> None:
    on_air(front.live, "cam1", at=ago(hours=4))
    on_air(front.live, "cam2", at=ago(hours=3), domain="push2.demo.test")
    on_air(front.live, "cam1", at=ago(hours=2), app="studio")
    on_air(front.live, "Cam1b", at=ago(hours=1))
    on_air(front.live, "cam1", at=ago(hours=1), vhost="other", domain="push.other.test")
    admitted(front, "soon")


async def test_a_stream_on_air_is_told_as_documented(front: Front) -> None:
    session = on_air(front.live, "cam", at=START - timedelta(microseconds=876_500))
    assert await rows(front, LIVE) == [
        {
            "ID": session.lease.epoch,
            "Vhost": "demo",
            "Domain": "push.demo.test",
            "App": "live",
            "Stream": "cam",
            "SessionStartTime": "2026-03-01T11:59:59.123Z",
            "SourceType": "push",
        }
    ]


ALL = ["Cam1b", "cam1", "cam2", "cam1"]
FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ALL),
    ({"Vhost": "demo"}, ALL),
    ({"Vhost": "signed"}, []),
    ({"Domain": "push2.demo.test"}, ["cam2"]),
    ({"Vhost": "demo", "Domain": "push2.DEMO.test"}, ["cam2"]),
    ({"Domain": "pull.demo.test"}, []),
    ({"App": "studio"}, ["cam1"]),
    ({"App": "nosuch"}, []),
    ({"Stream": "cam1"}, ["cam1", "cam1"]),
    ({"Stream": "cam1", "App": "live"}, ["cam1"]),
    ({"Stream": "cam"}, []),
    ({"Stream": "cam", "QueryType": "strict"}, []),
    ({"Stream": "am1", "QueryType": "fuzzy"}, ["Cam1b", "cam1", "cam1"]),
    ({"Stream": "", "QueryType": "fuzzy"}, ALL),
    ({"SourceType": "push"}, ALL),
    ({"SourceType": "relay"}, []),
    ({"SourceType": ""}, ALL),
    ({"PageSize": 3}, ["Cam1b", "cam1", "cam2"]),
    ({"PageSize": 3, "PageNum": 2}, ["cam1"]),
    ({"PageSize": 1000, "PageNum": 2_147_483_647}, []),
]


@pytest.mark.parametrize(
    ("given", "found"),
    [*FILTERS, ({"StreamType": "Origin"}, ALL), ({"StreamType": "trans"}, []), ({"StreamType": ""}, ALL)],
)
async def test_live_streams_are_found_by_every_filter(front: Front, given: dict[str, Any], found: list[str]) -> None:
    fill_live(front)
    assert await names(front, LIVE, **given) == found


@pytest.mark.parametrize("action", [LIVE, CLOSED])
@pytest.mark.parametrize(
    "given",
    [
        {"Vhost": "other"},
        {"Vhost": "no"},
        {"Domain": "push.other.test"},
        {"Vhost": "signed", "Domain": "push.demo.test"},
    ],
)
async def test_what_is_not_the_callers_is_forbidden(front: Front, action: str, given: dict[str, str]) -> None:
    answer = await front.call(action, {**PAGE, **(DAY if action == CLOSED else {}), **given})
    assert (answer.status, answer.code) == (403, "RequestForbidden")


async def test_each_account_sees_its_own(front: Front) -> None:
    fill_live(front)
    answer = await front.call(LIVE, PAGE, credentials=THEIRS)
    assert [row["Vhost"] for row in answer.result["StreamInfoList"]] == ["other"]


async def test_count_is_of_all_pages(front: Front) -> None:
    fill_live(front)
    for number in (1, 2, 9):
        answer = await front.call(LIVE, {"PageNum": number, "PageSize": 3})
        assert answer.result["RoughCount"] == 4


# Closed streams


async def fill_closed(front: Front) -> None:
    await published(front.live, "cam1", ago(days=3), ago(hours=4))
    await published(front.live, "cam2", ago(hours=5), ago(hours=3), push_domain="push2.demo.test")
    await published(front.live, "cam1", ago(hours=5), ago(hours=2), app="studio")
    await published(front.live, "Cam1b", ago(hours=6), ago(hours=1))
    await published(front.live, "old", ago(days=3), ago(days=2))
    await published(front.live, "cam1", ago(hours=6), ago(hours=1), vhost="other", account="2")
    on_air(front.live, "on-air")


async def test_an_ended_stream_is_told_as_documented(front: Front) -> None:
    half = timedelta(microseconds=999_999)
    await published(front.live, "cam", ago(hours=3) + half, ago(hours=2) + half)
    assert await rows(front, CLOSED) == [
        {
            "Vhost": "demo",
            "Domain": "push.demo.test",
            "App": "live",
            "Stream": "cam",
            "StartTime": "2026-03-01T09:00:00Z",
            "EndTime": "2026-03-01T10:00:00Z",
            "SourceType": "push",
        }
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        *FILTERS,
        ({"Sort": "desc"}, ALL),
        ({"Sort": "asc"}, [*reversed(ALL)]),
        ({"Sort": "asc", "PageSize": 1, "PageNum": 2}, ["cam2"]),
        ({"EndTimeFrom": "2026-03-01T10:00:01Z"}, ["Cam1b"]),
        ({"EndTimeFrom": "2026-03-01T18:00:00+08:00", "EndTimeTo": "2026-03-01T10:00:00Z"}, ["cam1"]),
        ({"EndTimeTo": "2026-03-01T09:59:59Z"}, ["cam2", "cam1"]),
        ({"EndTimeFrom": "0001-01-01T00:00:00Z", "EndTimeTo": "9999-12-31T23:59:59Z"}, [*ALL, "old"]),
    ],
)
async def test_ended_streams_are_found_by_every_filter(front: Front, given: dict[str, Any], found: list[str]) -> None:
    await fill_closed(front)
    assert await names(front, CLOSED, **given) == found


async def test_all_of_the_last_second_belongs_to_it(front: Front) -> None:
    end = ago(hours=1) + timedelta(microseconds=500_000)
    await published(front.live, "cam", ago(hours=2), end)
    told = (await rows(front, CLOSED))[0]["EndTime"]
    assert await names(front, CLOSED, EndTimeFrom=told, EndTimeTo=told) == ["cam"]


async def test_each_publish_of_a_name_is_a_row(front: Front) -> None:
    for hours in (5, 3):
        await published(front.live, "cam", ago(hours=hours), ago(hours=hours - 1))
    assert await names(front, CLOSED) == ["cam", "cam"]


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=timezone(timedelta(hours=8)))])
async def test_a_time_beyond_all_calendars_is_invalid(front: Front, at: datetime) -> None:
    answer = await front.call(CLOSED, {**PAGE, **DAY, "EndTimeFrom": at.isoformat()})
    assert (answer.code, answer.message.split()[0]) == ("InvalidParam", "EndTimeFrom")


# A stream's state


async def state(front: Front, **values: Any) -> dict[str, str]:
    answer = await front.call(STATE, values or CAM)
    assert answer.code == OK, answer
    found: dict[str, str] = answer.result
    return found


BY_DOMAIN = {"Domain": "push.demo.test", "App": "live", "Stream": "cam"}


@pytest.mark.parametrize("place", [CAM, BY_DOMAIN, {**CAM, **BY_DOMAIN}, {**BY_DOMAIN, "Domain": "Pull.demo.test"}])
async def test_state_is_what_is_true(front: Front, place: dict[str, str]) -> None:
    assert await state(front, **place) == {"stream_state": "offline", "type": "push"}
    on_air(front.live, "cam")
    assert await state(front, **place) == {"stream_state": "online", "type": "push"}
    await front.call("KillStream", CAM)
    assert await state(front, **place) == {"stream_state": "offline", "type": "push"}
    await front.call("ForbidStream", CAM)
    assert await state(front, **place) == {"stream_state": "forbidden", "type": "push"}
    front.live.clock.turn(by=timedelta(days=90))
    assert await state(front, **place) == {"stream_state": "offline", "type": "push"}


async def test_ban_comes_before_being_on_air(front: Front) -> None:
    await front.call("ForbidStream", CAM)
    on_air(front.live, "cam")
    assert (await state(front))["stream_state"] == "forbidden"


async def test_what_was_let_in_and_sends_nothing_yet_is_offline(front: Front) -> None:
    admitted(front, "cam")
    assert (await state(front))["stream_state"] == "offline"


async def test_what_never_was_is_offline(front: Front) -> None:
    assert (await state(front, **{**CAM, "App": "nosuch"}))["stream_state"] == "offline"


@pytest.mark.parametrize(
    "place", [{"Vhost": "other"}, {"Vhost": "", "Domain": "push.other.test"}, {"Domain": "push.other.test"}]
)
async def test_state_of_anothers_stream_is_forbidden(front: Front, place: dict[str, str]) -> None:
    answer = await front.call(STATE, {**CAM, **place})
    assert (answer.status, answer.code) == (403, "RequestForbidden")
