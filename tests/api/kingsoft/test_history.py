"""ListHistoryPubStreamsInfo, ListHistoryPubStreamsErrInfo, ListStreamDurations: what was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.api.kingsoft import history
from penstock.clouds.kingsoft.codes import STATUS_MESSAGES
from penstock.domain import records
from penstock.link.messages import EndReason
from tests.api.kingsoft.front import THEIRS, WHERE, Front
from tests.api.kingsoft.kit import DAY, NOW, ago, on_air, published, turned_away
from tests.api.kingsoft.test_times import MIDNIGHT
from tests.clock import START
from tests.domain.kit import CLIENT

PAST, REFUSED, DURATIONS = "ListHistoryPubStreamsInfo", "ListHistoryPubStreamsErrInfo", "ListStreamDurations"
BOTH = pytest.mark.parametrize("action", [PAST, REFUSED])
DAYS = {"StartUnixTime": NOW - 3 * DAY, "EndUnixTime": NOW + DAY}


async def listed(front: Front, action: str = PAST, **values: Any) -> dict[str, Any]:
    answer = await front.call(action, {**WHERE, **values}, method="GET")
    assert answer.code == "0", answer
    return answer.data


def times(data: dict[str, Any]) -> list[tuple[str, int]]:
    return [(stream["Stream"], each["Pubtime"]) for stream in data["Result"] for each in stream["Detail"]]


async def put(front: Front, action: str, name: str, seconds_ago: float, **changes: Any) -> None:
    """One row of what `action` lists."""
    at = ago(seconds=seconds_ago)
    if action == PAST:
        await published(front.live, name, at, at + timedelta(seconds=5), **changes)
    else:
        await turned_away(front.live, name, at, **changes)


# What a row says


async def test_a_past_publish_says_from_where_from_when_until_when_and_200(front: Front) -> None:
    await published(front.live, "cam", ago(seconds=100.5), ago(seconds=40.2), address="2001:db8::7")
    data = await listed(front)
    assert data == {
        "UniqueName": "demo",
        "App": "live",
        "Pubdomain": "push.demo.test",
        "StartUnixtime": MIDNIGHT - 5 * DAY,
        "StartUnixTime": MIDNIGHT - 5 * DAY,
        "EndUnixtime": NOW,
        "EndUnixTime": NOW,
        "Count": 1,
        "Marker": 0,
        "OrderTime": 0,
        "Total": 1,
        "Result": [
            {
                "Stream": "cam",
                "Detail": [
                    {
                        "Clientip": "2001:db8::7",
                        "Pubtime": NOW - 101,
                        "Fintime": NOW - 41,
                        "StatusCode": 200,
                        "StatusMessage": "Success operation!",
                    }
                ],
            }
        ],
        "RetCode": 0,
        "RetMsg": "success",
    }


@pytest.mark.parametrize("code", [422, 423, 425, 426, 428])
async def test_a_refusal_says_why_in_the_clouds_words(front: Front, code: int) -> None:
    await turned_away(front.live, "cam", ago(seconds=9), code, address="192.0.2.99")
    data = await listed(front, REFUSED)
    assert (data["StartUnixTime"], data["EndUnixTime"]) == (MIDNIGHT - 5 * DAY, NOW)
    assert "StartUnixtime" not in data
    assert data["Result"][0]["Detail"] == [
        {
            "Clientip": "192.0.2.99",
            "Pubtime": NOW - 9,
            "Fintime": NOW - 9,
            "StatusCode": code,
            "StatusMessage": STATUS_MESSAGES[code],
        }
    ]


async def test_publishes_and_refusals_are_two_histories(front: Front) -> None:
    await put(front, PAST, "past", 10)
    await put(front, REFUSED, "refused", 10)
    assert times(await listed(front)) == [("past", NOW - 10)]
    assert times(await listed(front, REFUSED)) == [("refused", NOW - 10)]


async def test_what_is_on_air_is_no_history_until_it_ends(front: Front) -> None:
    on_air(front.live, "cam")
    await published(front.live, "cam", ago(seconds=9), ended=START)
    assert (await listed(front))["Total"] == 1


async def test_the_end_that_a_kick_made_is_there_when_it_was_answered(front: Front) -> None:
    """What is still being written is waited for."""
    session = on_air(front.live, "cam", at=ago(seconds=60))
    row = records.row_of(session)
    front.live.sessions.end(session.lease, EndReason.KICKED, START, None)
    end = records.end_of(session, "")
    front.live.journal.put(lambda store: store.admit_session(row))
    front.live.journal.put(lambda store: store.end_session(end))
    assert times(await listed(front)) == [("cam", NOW - 60)]


# Which rows


@BOTH
async def test_only_what_came_by_that_domain_to_that_app_is_listed(front: Front, action: str) -> None:
    domain = "push_domain" if action == PAST else "domain"
    await put(front, action, "one", 10)
    await put(front, action, "two", 20, **{domain: "push2.demo.test"})
    await put(front, action, "three", 30, app="studio")
    await put(front, action, "four", 40, vhost="other", account="2", **{domain: "push.other.test"})
    assert times(await listed(front, action)) == [("one", NOW - 10)]
    assert times(await listed(front, action, Pubdomain="push2.demo.test")) == [("two", NOW - 20)]
    assert times(await listed(front, action, Pubdomain="Push2.Demo.test")) == [("two", NOW - 20)]
    assert times(await listed(front, action, App="studio")) == [("three", NOW - 30)]
    assert times(await listed(front, action, Stream="two")) == []
    assert times(await listed(front, action, Stream="one")) == [("one", NOW - 10)]


@BOTH
async def test_a_stream_that_never_was_has_no_history(front: Front, action: str) -> None:
    await put(front, action, "one", 10)
    for name in ("One", "on", "one%", "o_e", "'; drop table sessions; --"):
        assert (await listed(front, action, Stream=name))["Total"] == 0


@BOTH
async def test_a_window_has_its_first_and_its_last_second(front: Front, action: str) -> None:
    for seconds in (101, 100, 50.5, 50, 49.5, 49):
        await put(front, action, "cam", seconds)
    data = await listed(front, action, StartUnixTime=NOW - 100, EndUnixTime=NOW - 50)
    # 49.5 s ago is still within the last second.
    assert times(data) == [("cam", NOW - 50), ("cam", NOW - 50), ("cam", NOW - 51), ("cam", NOW - 100)]
    assert (data["StartUnixTime"], data["EndUnixTime"]) == (NOW - 100, NOW - 50)


@BOTH
async def test_without_times_it_goes_back_to_midnight_five_days_ago(front: Front, action: str) -> None:
    oldest = NOW - (MIDNIGHT - 5 * DAY)
    for seconds in (0, oldest, oldest + 1):
        await put(front, action, "cam", seconds)
    assert times(await listed(front, action)) == [("cam", NOW), ("cam", NOW - oldest)]
    assert (await listed(front, action, StartUnixTime=0, EndUnixTime=0))["Total"] == 2
    assert (await listed(front, action, StartUnixTime=NOW - 5 * DAY, EndUnixTime=NOW))["Total"] == 1


@BOTH
async def test_twenty_eight_days_back_can_be_asked_for(front: Front, action: str) -> None:
    await put(front, action, "cam", 28 * DAY)
    data = await listed(front, action, StartUnixTime=NOW - 28 * DAY, EndUnixTime=NOW - 23 * DAY)
    assert data["Total"] == 1


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"StartUnixTime": NOW - 28 * DAY - 1, "EndUnixTime": NOW - 27 * DAY}, "4001"),
        ({"StartUnixTime": NOW - 5 * DAY - 1, "EndUnixTime": NOW}, "4001"),
        ({"StartUnixTime": NOW - 10, "EndUnixTime": NOW - 11}, "4001"),
        ({"StartUnixTime": "yesterday"}, "4001"),
        ({"StartUnixTime": -1}, "4001"),
        ({"EndUnixTime": 10_000_000_000}, "4001"),
        ({"Limit": 5001}, "4999"),
        ({"Limit": -5}, "4999"),
        ({"Marker": -1}, "4999"),
        ({"OrderTime": 3}, "4999"),
        ({"ordertime": 0}, "4999"),
        ({"Pubdomain": "pull.demo.test"}, "4201"),
        ({"Pubdomain": ""}, "1000"),
        ({"App": ""}, "1000"),
        ({"App": "vod"}, "1003"),
        ({"UniqueName": "other"}, "6406"),
    ],
)
@BOTH
async def test_a_parameter_of_a_history_that_is_wrong(
    front: Front, action: str, wrong: dict[str, Any], code: str
) -> None:
    answer = await front.call(action, {**WHERE, **wrong}, method="GET")
    assert (answer.status, answer.code) == (200, code)


# Pages and groups


@BOTH
async def test_rows_of_one_stream_stand_under_it_in_order(front: Front, action: str) -> None:
    for name, seconds in (("a", 50), ("b", 40), ("a", 30), ("c", 20), ("b", 10)):
        await put(front, action, name, seconds)
    newest = await listed(front, action)
    assert [each["Stream"] for each in newest["Result"]] == ["b", "c", "a"]
    assert times(newest) == [
        ("b", NOW - 10),
        ("b", NOW - 40),
        ("c", NOW - 20),
        ("a", NOW - 30),
        ("a", NOW - 50),
    ]
    oldest = await listed(front, action, OrderTime=1)
    assert [each["Stream"] for each in oldest["Result"]] == ["a", "b", "c"]
    assert (oldest["OrderTime"], newest["OrderTime"]) == (1, 0)
    assert (oldest["Count"], oldest["Total"]) == (5, 5)


@BOTH
async def test_pages_are_of_rows_and_not_of_streams(front: Front, action: str) -> None:
    for seconds in range(1, 8):
        await put(front, action, f"cam{seconds % 2}", seconds)
    for order in (0, 1):
        seen: list[int] = []
        for marker in range(4):
            data = await listed(front, action, OrderTime=order, Marker=marker, Limit=3)
            assert (data["Count"], data["Total"], data["Marker"]) == ((3, 3, 1, 0)[marker], 7, marker)
            assert data["Count"] == len(times(data))
            seen += sorted((at for _, at in times(data)), reverse=order == 0)
        assert seen == sorted((NOW - seconds for seconds in range(1, 8)), reverse=order == 0)


@BOTH
async def test_a_page_far_behind_the_last_is_empty(front: Front, action: str) -> None:
    await put(front, action, "cam", 1)
    data = await listed(front, action, Marker=2_147_483_647, Limit=5000)
    assert (data["Count"], data["Total"], data["Result"]) == (0, 1, [])


# Durations


async def durations(front: Front, **values: Any) -> list[dict[str, Any]]:
    data = await listed(front, DURATIONS, **{**DAYS, **values})
    assert data["Count"] == len(data["Result"])
    rows: list[dict[str, Any]] = data["Result"]
    return rows


async def test_a_duration_is_from_begin_to_end_in_whole_seconds(front: Front) -> None:
    await published(front.live, "cam", ago(days=1, seconds=0.4), ago(days=1, seconds=-60.7))
    answer = await front.call(DURATIONS, {**WHERE, **DAYS}, method="GET")
    assert answer.data == {
        "UniqueName": "demo",
        "App": "live",
        "Pubdomain": "push.demo.test",
        "Count": 1,
        "Result": [
            {"Stream": "cam", "StartTime": NOW - DAY - 1, "EndTime": NOW - DAY + 60, "Duration": 61},
        ],
        "RetCode": 0,
        "RetMsg": "success",
    }


async def test_a_report_is_of_whole_days_in_china(front: Front) -> None:
    seconds = NOW - MIDNIGHT
    for name, at in (
        ("yesterday", seconds + 1),
        ("first", seconds),
        ("last", seconds - DAY + 1),
        ("next", seconds - DAY),
    ):
        await published(front.live, name, ago(seconds=at), ago(seconds=at - 1))
    found = await durations(front, StartUnixTime=NOW, EndUnixTime=NOW + DAY)
    assert [row["Stream"] for row in found] == ["first", "last"]


async def test_durations_are_in_the_order_of_their_beginning(front: Front) -> None:
    for name, hours in (("b", 2), ("a", 5), ("b", 9)):
        await published(front.live, name, ago(hours=hours), ago(hours=hours - 1))
    assert [(row["Stream"], row["StartTime"]) for row in await durations(front)] == [
        ("b", NOW - 9 * 3600),
        ("a", NOW - 5 * 3600),
        ("b", NOW - 2 * 3600),
    ]
    assert [row["Stream"] for row in await durations(front, Stream="a")] == ["a"]


async def test_durations_are_of_one_app_and_domain(front: Front) -> None:
    await published(front.live, "one", ago(hours=1), START)
    await published(front.live, "two", ago(hours=1), START, push_domain="push2.demo.test")
    await published(front.live, "three", ago(hours=1), START, app="studio")
    await turned_away(front.live, "four", ago(hours=1))
    on_air(front.live, "five", at=ago(hours=1), client=CLIENT)
    assert [row["Stream"] for row in await durations(front)] == ["one"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"StartUnixTime": NOW - 60 * DAY - 1}, "4001"),
        ({"StartUnixTime": NOW, "EndUnixTime": NOW + 60}, "4001"),
        ({"EndUnixTime": NOW - 4 * DAY}, "4001"),
        ({"StartUnixTime": 0}, "1000"),
        ({"EndUnixTime": ""}, "1000"),
        ({"EndUnixTime": "now"}, "4001"),
        ({"Limit": 5}, "4999"),
        ({"Pubdomain": "push.other.test"}, "4201"),
        ({"App": "vod"}, "1003"),
        ({"UniqueName": "other"}, "6406"),
    ],
)
async def test_a_parameter_of_a_report_that_is_wrong(front: Front, wrong: dict[str, Any], code: str) -> None:
    answer = await front.call(DURATIONS, {**WHERE, **DAYS, **wrong}, method="GET")
    assert (answer.status, answer.code) == (200, code)


async def test_sixty_days_can_be_asked_for(front: Front) -> None:
    await published(front.live, "cam", ago(days=60), ago(days=59))
    found = await durations(front, StartUnixTime=NOW - 60 * DAY, EndUnixTime=NOW)
    assert [row["Duration"] for row in found] == [DAY]


async def test_a_report_is_whole_or_refused(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_DURATIONS", 3)
    for hours in (1, 2, 3):
        await published(front.live, "cam", ago(hours=hours), START)
    assert len(await durations(front)) == 3
    await published(front.live, "cam", ago(hours=4), START)
    answer = await front.call(DURATIONS, {**WHERE, **DAYS}, method="GET")
    assert (answer.status, answer.code) == (200, "4001")
    assert "4 publishes are between these days, and 3 can be listed at once" in answer.message


# All three


@pytest.mark.parametrize("action", [PAST, REFUSED, DURATIONS])
async def test_another_account_learns_nothing(front: Front, action: str) -> None:
    await put(front, PAST, "cam", 10)
    await put(front, REFUSED, "cam", 10)
    days = DAYS if action == DURATIONS else {}
    assert (await front.call(action, {**WHERE, **days}, credentials=THEIRS)).code == "6406"
    theirs = {"UniqueName": "other", "App": "live", "Pubdomain": "push.other.test", **days}
    assert (await front.call(action, theirs, credentials=THEIRS)).data["Count"] == 0


@pytest.mark.parametrize("action", [PAST, REFUSED])
async def test_windows_go_by_the_domains_clock(front: Front, action: str) -> None:
    await put(front, action, "cam", 10)
    front.live.clock.turn(by=timedelta(days=20))
    assert (await listed(front, action))["Total"] == 0
    assert (await listed(front, action, StartUnixTime=NOW - 60, EndUnixTime=NOW))["Total"] == 1
    front.live.clock.turn(by=timedelta(days=9))
    answer = await front.call(action, {**WHERE, "StartUnixTime": NOW - 60, "EndUnixTime": NOW}, method="GET")
    assert answer.code == "4001"
