"""Relay tasks and groups in Volcengine's words, through the gateway."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any, Final

import pytest

from penstock.api.volcengine import relays
from penstock.clouds.contract import Credentials
from penstock.domain import accounts
from penstock.storage.rows import AccessKey
from tests.api.volcengine.front import OK, THEIRS, Answer, Front
from tests.clock import START

NOW: Final = int(START.timestamp())
SUB: Final = Credentials("AKsub", "secret-of-sub")
LIVE: Final[dict[str, Any]] = {
    "Type": 0,
    "StartTime": NOW,
    "EndTime": NOW + 3600,
    "SrcAddr": "rtmp://source.test/live/a",
    "DstAddr": "rtmp://target.test/live/b",
}
FILES: Final = {**LIVE, "Type": 1, "CycleMode": -1, "VodSrcAddrs": [{"SrcAddr": "http://files.test/1.mp4"}]}
OLDER: Final = {
    **LIVE,
    "Type": 1,
    "CycleMode": 0,
    "PlayTimes": 3,
    "SrcAddrS": ["http://files.test/1.mp4", "http://files.test/2.mp4"],
}
PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (64).to_bytes(4) * 2 + bytes(100)
MARK: Final = {
    "Picture": "data:image/png;base64," + b64encode(PNG).decode(),
    "RelativePosX": 0.5,
    "RelativePosY": 0.25,
    "Ratio": 0.1,
}


async def made(front: Front, ask: dict[str, Any], **more: Any) -> str:
    answer = await front.call("CreatePullToPushTask", ask | more)
    assert answer.code == OK, answer.message
    assert list(answer.result) == ["TaskId"]
    # Equal calls of one second are one call: the next is of another.
    front.clock.advance(1)
    return str(answer.result["TaskId"])


async def listed(front: Front, **filters: Any) -> list[dict[str, Any]]:
    answer = await front.call("ListPullToPushTask", filters, method="GET")
    assert answer.code == OK, answer.message
    rows: list[dict[str, Any]] = answer.result["List"]
    return rows


async def test_a_live_task_as_it_is_listed(front: Front) -> None:
    id = await made(front, LIVE, Title="新闻", CallbackURL="http://receiver.test/")
    assert await listed(front) == [
        {
            "TaskId": id,
            "StartTime": "2026-03-01T12:00:00Z",
            "EndTime": "2026-03-01T13:00:00Z",
            "Type": 0,
            "DstAddr": "rtmp://target.test/live/b",
            "DstAddrType": 2,
            "Status": "生效中",
            "Title": "新闻",
            "GroupName": "default",
            "CallbackURL": "http://receiver.test/",
            "SrcAddr": "rtmp://source.test/live/a",
        }
    ]
    assert len(id) == 32
    assert set(id) <= set("0123456789abcdef")


async def test_files_are_listed_in_the_form_in_which_they_came(front: Front) -> None:
    parts = [{"SrcAddr": "http://files.test/1.mp4", "StartOffset": 1.5, "EndOffset": 9}, FILES["VodSrcAddrs"][0]]
    await made(front, FILES, VodSrcAddrs=parts, PreDownload=0, ContinueStrategy=1)
    (row,) = await listed(front)
    assert row["VodSrcAddrs"] == [
        {"SrcAddr": "http://files.test/1.mp4", "StartOffset": 1.5, "EndOffset": 9.0},
        {"SrcAddr": "http://files.test/1.mp4"},
    ]
    assert (row["CycleMode"], row["PreDownload"], row["ContinueStrategy"]) == (-1, 0, 1)
    assert not {"SrcAddr", "SrcAddrS", "OffsetS"} & set(row)


@pytest.mark.parametrize(
    ("more", "offsets", "starts"),
    [
        ({}, None, [None, None]),
        ({"OffsetS": [1, 2.5]}, [1.0, 2.5], [1.0, 2.5]),
        ({"Offset": 7}, None, [None, None]),
        ({"SrcAddrS": ["http://files.test/1.mp4"], "Offset": 7}, [7.0], [7.0]),
        ({"SrcAddrS": ["http://files.test/1.mp4"], "Offset": 7, "OffsetS": [2]}, [2.0], [2.0]),
    ],
)
async def test_the_older_form_of_files(
    front: Front, more: dict[str, Any], offsets: list[float] | None, starts: list[float | None]
) -> None:
    id = await made(front, OLDER, **more)
    (row,) = await listed(front)
    assert row["SrcAddrS"] == (more.get("SrcAddrS") or OLDER["SrcAddrS"])
    assert row.get("OffsetS") == offsets
    assert "VodSrcAddrs" not in row
    assert (row["CycleMode"], row["PlayTimes"]) == (0, 3)
    task = await front.live.store.find_relay(id)
    assert task is not None
    assert [source.start_s for source in task.sources] == starts


async def test_domain_app_and_stream_are_listed_as_an_address_of_ours(front: Front) -> None:
    parts = {"DstAddr": "", "Domain": "push.demo.test", "App": "live", "Stream": "b"}
    await made(front, LIVE, **parts)
    (row,) = await listed(front)
    assert (row["DstAddr"], row["DstAddrType"]) == ("rtmp://push.demo.test/live/b", 1)
    answer = await front.call("CreatePullToPushTask", LIVE | parts | {"Domain": "push.other.test"})
    assert answer.code == "RequestForbidden"


async def test_a_watermark_comes_back_as_it_was_sent(front: Front) -> None:
    await made(front, FILES, Watermark=MARK)
    (row,) = await listed(front)
    assert row["Watermark"] == MARK


async def test_pictures_of_a_page_have_a_bound(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "MAX_PICTURES", len(str(MARK["Picture"])))
    for colour in (b"a", b"b", b"b"):
        picture = "data:image/png;base64," + b64encode(PNG[:-1] + colour).decode()
        await made(front, FILES, Watermark=MARK | {"Picture": picture})
    assert ["Watermark" in row for row in await listed(front)] == [True, False, False]
    assert ["Watermark" in row for row in await listed(front, Page=2, Size=1)] == [True]


@pytest.mark.parametrize(
    ("window", "status"),
    [
        ((1, 3600), "未开始"),
        ((0, 3600), "生效中"),
        ((-1, 1), "生效中"),
        ((-3600, 0), "已结束"),
        ((-7200, -3600), "已结束"),
    ],
)
async def test_statuses_go_by_the_clock(front: Front, window: tuple[int, int], status: str) -> None:
    begin, end = window
    answer = await front.call("CreatePullToPushTask", LIVE | {"StartTime": NOW + begin, "EndTime": NOW + end})
    assert answer.code == OK
    assert [row["Status"] for row in await listed(front)] == [status]


async def test_a_task_goes_through_its_states(front: Front) -> None:
    id = await made(front, LIVE)
    for action, code, status in (
        ("RestartPullToPushTask", "InvalidParam", "生效中"),
        ("ContinuePullToPushTask", "InvalidParam", "生效中"),
        ("RelaunchPullToPushTask", OK, "生效中"),
        ("StopPullToPushTask", OK, "停用"),
        ("StopPullToPushTask", "InvalidParam", "停用"),
        ("ContinuePullToPushTask", OK, "生效中"),
        ("StopPullToPushTask", OK, "停用"),
        ("RestartPullToPushTask", OK, "生效中"),
        ("StopPullToPushTask", OK, "停用"),
        ("RelaunchPullToPushTask", OK, "生效中"),
    ):
        answer = await front.call(action, {"TaskId": id})
        assert (answer.code, answer.result) == (code, None), action
        assert [row["Status"] for row in await listed(front)] == [status]
    front.live.clock.turn(by=timedelta(hours=2))
    for action in ("StopPullToPushTask", "RestartPullToPushTask", "RelaunchPullToPushTask"):
        assert (await front.call(action, {"TaskId": id})).code == "InvalidParam"
    assert (await front.call("DeletePullToPushTask", {"TaskId": id})).code == OK
    assert await listed(front) == []


async def test_an_update_replaces_all_settings(front: Front) -> None:
    id = await made(front, FILES, Title="news", Watermark=MARK, CallbackURL="http://receiver.test/")
    answer = await front.call("UpdatePullToPushTask", {"TaskId": id, **LIVE, "EndTime": NOW + 7200})
    assert (answer.code, answer.result) == (OK, None)
    (row,) = await listed(front)
    assert (row["TaskId"], row["Type"], row["EndTime"]) == (id, 0, "2026-03-01T14:00:00Z")
    assert not {"Title", "Watermark", "CallbackURL", "VodSrcAddrs", "CycleMode"} & set(row)
    answer = await front.call("UpdatePullToPushTask", {"TaskId": id, **LIVE, "GroupName": "other"})
    assert answer.code == "RequestForbidden"


async def test_pages_and_filters(front: Front) -> None:
    for title in ("docspace", "docs", "DOC", "news"):
        await made(front, LIVE, Title=title)

    async def page(**filters: Any) -> tuple[list[str], dict[str, int]]:
        answer = await front.call("ListPullToPushTask", filters, method="GET")
        return [row["Title"] for row in answer.result["List"]], answer.result["Pagination"]

    assert await page() == (
        ["news", "DOC", "docs", "docspace"],
        {"PageCur": 1, "PageSize": 20, "PageTotal": 1, "TotalCount": 4},
    )
    assert await page(Title="doc", Page=2, Size=2) == (
        ["docspace"],
        {"PageCur": 2, "PageSize": 2, "PageTotal": 2, "TotalCount": 3},
    )
    assert await page(GroupName="other") == ([], {"PageCur": 1, "PageSize": 20, "PageTotal": 0, "TotalCount": 0})
    # The SDK's older class posts the same.
    posted = await front.call("ListPullToPushTask", {"Title": "news"}, method="POST")
    assert [row["Title"] for row in posted.result["List"]] == ["news"]


@pytest.mark.parametrize(
    ("changes", "code", "name"),
    [
        ({"SrcAddr": "http://10.0.0.1/a.flv"}, "InvalidParam", "SrcAddr"),
        ({"DstAddr": "http://target.test/live/b"}, "InvalidParam", "DstAddr"),
        ({"CallbackURL": "http://127.0.0.1/"}, "InvalidParam", "CallbackURL"),
        ({"EndTime": NOW + 604_801}, "InvalidParam", "EndTime"),
        ({"Type": 1, "CycleMode": -1, "SrcAddrS": ["rtmp://a.test/live/a"]}, "InvalidParam", "SrcAddrS"),
        ({"Type": 1, "CycleMode": -1, "VodSrcAddrs": [{"SrcAddr": "ftp://a.test/1"}]}, "InvalidParam", "VodSrcAddrs"),
        ({"Type": 1, "CycleMode": 2_000_000, "SrcAddrS": ["http://a.test/1"]}, "InvalidParam", "CycleMode"),
        ({"GroupName": "none"}, "ResourceNotFound", "none"),
        ({"DstAddr": "", "Domain": "push.demo.test", "App": "vod", "Stream": "b"}, "RequestForbidden", "'vod'"),
    ],
)
async def test_a_refusal_speaks_in_the_clouds_words(
    front: Front, changes: dict[str, Any], code: str, name: str
) -> None:
    answer = await front.call("CreatePullToPushTask", LIVE | changes)
    assert answer.code == code
    assert name in answer.message


async def test_sub_accounts_and_strangers(front: Front) -> None:
    await accounts.add_key(
        front.live,
        AccessKey(access_key=SUB.access_key, secret_key=SUB.secret_key, account="1", sub_account=True),
    )
    id = await made(front, LIVE)

    async def asked(action: str, credentials: Credentials, **more: Any) -> Answer:
        return await front.call(action, {"TaskId": id} | more, credentials=credentials)

    answer = await front.call("CreatePullToPushTask", LIVE, credentials=SUB)
    assert (answer.code, "GroupName is missing" in answer.message) == ("InvalidParam", True)
    assert (await asked("StopPullToPushTask", SUB)).code == "InvalidParam"
    assert (await asked("StopPullToPushTask", SUB, GroupName="other")).code == "RequestForbidden"
    assert (await asked("StopPullToPushTask", SUB, GroupName="default")).code == OK
    for action in ("StopPullToPushTask", "RestartPullToPushTask", "DeletePullToPushTask"):
        assert (await asked(action, THEIRS)).code == "ResourceNotFound"
    answer = await front.call("UpdatePullToPushTask", LIVE | {"TaskId": id}, credentials=THEIRS)
    assert answer.code == "ResourceNotFound"
    theirs = await front.call("ListPullToPushTask", {}, method="GET", credentials=THEIRS)
    assert theirs.result["List"] == []


async def test_groups(front: Front) -> None:
    tag = {"Key": "team", "Value": "a", "Category": "Custom"}
    for name in ("sport", "news"):
        answer = await front.call(
            "CreatePullToPushGroup", {"Name": name, "ProjectName": "tv", "Tags": [{"Key": "team", "Value": "a"}]}
        )
        assert (answer.code, answer.result) == (OK, None)
        front.clock.advance(1)
    again = await front.call("CreatePullToPushGroup", {"Name": "sport", "ProjectName": "tv", "Tags": []})
    assert again.code == "InvalidParam"
    await made(front, LIVE, GroupName="sport")
    assert (await front.call("DeletePullToPushGroup", {"Name": "sport"})).code == "InvalidParam"
    assert (await front.call("UpdatePullToPushGroup", {"Name": "sport", "Tags": []})).code == OK
    assert (await front.call("DeletePullToPushGroup", {"Name": "news"})).code == OK
    assert (await front.call("UpdatePullToPushGroup", {"Name": "news", "Tags": []})).code == "ResourceNotFound"
    sport = {"Name": "sport", "ProjectName": "tv", "Status": 0, "Tags": []}
    news = {"Name": "news", "ProjectName": "tv", "Status": 1, "Tags": [tag]}
    for statuses, rows in ((None, [sport]), ([], [sport]), ([0], [sport]), ([1], [news]), ([0, 1], [news, sport])):
        ask = {"PageNum": 1, "PageSize": 10} | ({} if statuses is None else {"StatusList": statuses})
        answer = await front.call("ListPullToPushGroup", ask)
        assert answer.result == {"List": rows, "Total": len(rows)}
    answer = await front.call("ListPullToPushGroup", {"PageNum": 2, "PageSize": 1, "StatusList": [0, 1]})
    assert answer.result == {"List": [sport], "Total": 2}


async def test_no_more_tasks_than_may_be_is_no_matter_of_calling_too_fast(front: Front) -> None:
    front.live.relays.limits = type(front.live.relays.limits)(account_tasks=1)
    await made(front, LIVE)
    answer = await front.call("CreatePullToPushTask", LIVE)
    assert (answer.status, answer.code, "max_account_tasks" in answer.message) == (403, "RequestForbidden", True)
