"""Relay tasks as a caller sees them: over a control plane in memory, in which nothing is pushed."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.api.volcengine import relays
from penstock.clouds.contract import Credentials
from penstock.storage.rows import AccessKey
from tests.api.volcengine.front import MINE, OK, THEIRS, Answer, Front, opened_front, signed, unsigned
from tests.clock import START
from tests.clouds.volcengine.test_pictures import png
from tests.domain.kit import SEED

SUB_KEY = AccessKey(access_key="AKsub", secret_key="secret-of-sub", account="1", sub_account=True)
SUB = Credentials(SUB_KEY.access_key, SUB_KEY.secret_key)

NOW = int(START.timestamp())
HOUR = 3600
DAYS7 = 604_800
SOURCE, TARGET = "rtmp://source.test/live/a", "rtmp://target.test/live/b"
FILE, FILE2 = "http://files.test/1.mp4", "http://files.test/2.mp4"
LIVE: dict[str, Any] = {"Type": 0, "StartTime": NOW, "EndTime": NOW + HOUR, "SrcAddr": SOURCE, "DstAddr": TARGET}
FILES: dict[str, Any] = {
    "Type": 1,
    "StartTime": NOW,
    "EndTime": NOW + HOUR,
    "CycleMode": -1,
    "SrcAddrS": [FILE, FILE2],
    "DstAddr": TARGET,
}
OWN = {"DstAddr": "", "Domain": "push.demo.test", "App": "live", "Stream": "b"}
MAKE, CHANGE, STOP = "CreatePullToPushTask", "UpdatePullToPushTask", "StopPullToPushTask"
RESTART, CONTINUE, RELAUNCH = "RestartPullToPushTask", "ContinuePullToPushTask", "RelaunchPullToPushTask"
DELETE, LIST = "DeletePullToPushTask", "ListPullToPushTask"
INVALID, FORBIDDEN, NOT_FOUND = "InvalidParam", "RequestForbidden", "ResourceNotFound"


async def make(front: Front, values: dict[str, Any], credentials: Credentials = MINE, /, **changes: Any) -> str:
    answer = await front.call(MAKE, {**values, **changes}, credentials=credentials)
    assert answer.code == OK, answer
    assert set(answer.result) == {"TaskId"}
    front.clock.spend(1)  # the same call in the same second would be answered the same
    id: str = answer.result["TaskId"]
    return id


async def listed(front: Front, method: str = "GET", **values: Any) -> Any:
    answer = await front.call(LIST, values, method=method)
    assert answer.code == OK, answer
    assert set(answer.result) == {"List", "Pagination"}
    return answer.result


async def task(front: Front, id: str) -> dict[str, Any]:
    return next(row for row in (await listed(front))["List"] if row["TaskId"] == id)


async def ask(front: Front, action: str, id: str, **values: Any) -> str:
    return (await front.call(action, {"TaskId": id, **values})).code


# What is told of a task


COMMON = {
    "StartTime": "2026-03-01T12:00:00Z",
    "EndTime": "2026-03-01T13:00:00Z",
    "DstAddr": TARGET,
    "DstAddrType": 2,
    "Status": "生效中",
    "GroupName": "default",
}
OF_FILES = {**COMMON, "Type": 1, "CycleMode": -1, "PlayTimes": 0, "PreDownload": 1, "ContinueStrategy": 0}
FORMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (LIVE, {**COMMON, "Type": 0, "SrcAddr": SOURCE}),
    # What does not count for a live source is not told of it.
    (
        {**LIVE, "CycleMode": 3, "PlayTimes": 2, "SrcAddrS": [FILE], "OffsetS": [1], "ContinueStrategy": 1},
        {**COMMON, "Type": 0, "SrcAddr": SOURCE},
    ),
    (
        {**LIVE, "Title": "新闻9", "CallbackURL": "https://receiver.test/hook", "GroupName": ""},
        {**COMMON, "Type": 0, "SrcAddr": SOURCE, "Title": "新闻9", "CallbackURL": "https://receiver.test/hook"},
    ),
    (FILES, {**OF_FILES, "SrcAddrS": [FILE, FILE2]}),
    ({**FILES, "SrcAddr": SOURCE, "Offset": 7}, {**OF_FILES, "SrcAddrS": [FILE, FILE2]}),
    ({**FILES, "OffsetS": [0, 1.5]}, {**OF_FILES, "SrcAddrS": [FILE, FILE2], "OffsetS": [0, 1.5]}),
    ({**FILES, "SrcAddrS": [FILE], "Offset": 7}, {**OF_FILES, "SrcAddrS": [FILE], "OffsetS": [7]}),
    ({**FILES, "SrcAddrS": [FILE], "Offset": 7, "OffsetS": [8]}, {**OF_FILES, "SrcAddrS": [FILE], "OffsetS": [8]}),
    (
        {**FILES, "SrcAddrS": None, "VodSrcAddrs": [{"SrcAddr": FILE}], "Offset": 7},
        {**OF_FILES, "VodSrcAddrs": [{"SrcAddr": FILE}]},
    ),
    (
        {**FILES, "SrcAddrS": [], "VodSrcAddrs": [{"SrcAddr": FILE, "StartOffset": 0, "EndOffset": 2.5}] * 2},
        {**OF_FILES, "VodSrcAddrs": [{"SrcAddr": FILE, "StartOffset": 0, "EndOffset": 2.5}] * 2},
    ),
    (
        {**FILES, "CycleMode": 0, "PlayTimes": 3, "PreDownload": 0, "ContinueStrategy": 1},
        {
            **OF_FILES,
            "SrcAddrS": [FILE, FILE2],
            "CycleMode": 0,
            "PlayTimes": 3,
            "PreDownload": 0,
            "ContinueStrategy": 1,
        },
    ),
    ({**FILES, "CycleMode": 5}, {**OF_FILES, "SrcAddrS": [FILE, FILE2], "CycleMode": 5}),
]


@pytest.mark.parametrize(("asked", "told"), FORMS)
async def test_a_task_is_told_as_documented(front: Front, asked: dict[str, Any], told: dict[str, Any]) -> None:
    id = await make(front, asked)
    assert await task(front, id) == {"TaskId": id, **told}
    assert len(id) == 32
    assert set(id) <= set("0123456789abcdef")


@pytest.mark.parametrize(("asked", "told"), FORMS)
async def test_an_update_replaces_all_settings(front: Front, asked: dict[str, Any], told: dict[str, Any]) -> None:
    full = {**FILES, "Title": "old", "CallbackURL": "http://receiver.test/", "PreDownload": 0, "ContinueStrategy": 1}
    id = await make(front, full, OffsetS=[1, 2], CycleMode=0, PlayTimes=9)
    answer = await front.call(CHANGE, {"TaskId": id, **asked})
    assert (answer.status, answer.code, answer.result) == (200, OK, None)
    assert await task(front, id) == {"TaskId": id, **told}


@pytest.mark.parametrize(
    ("asked", "address", "kind"),
    [
        (OWN, "rtmp://push.demo.test/live/b", 1),
        ({**OWN, "Domain": "PUSH2.demo.test", "App": "studio"}, "rtmp://push2.demo.test/studio/b", 1),
        ({**OWN, "Stream": "s" * 100}, f"rtmp://push.demo.test/live/{'s' * 100}", 1),
        # A whole address comes before its parts.
        ({**OWN, "DstAddr": TARGET, "Domain": "no such", "App": "/"}, TARGET, 2),
        ({"DstAddr": "rtmp://push.demo.test/live/b?k=1"}, "rtmp://push.demo.test/live/b?k=1", 1),
        ({"DstAddr": "rtmp://Push.Demo.test:1935/live/b"}, "rtmp://Push.Demo.test:1935/live/b", 1),
        ({"DstAddr": "rtmps://pull.demo.test/live/b"}, "rtmps://pull.demo.test/live/b", 1),
        ({"DstAddr": "rtmp://push.other.test/live/b"}, "rtmp://push.other.test/live/b", 2),
        ({"DstAddr": "rtmp://push.demo.test.evil.test/live/b"}, "rtmp://push.demo.test.evil.test/live/b", 2),
    ],
)
async def test_where_a_task_pushes_to(front: Front, asked: dict[str, Any], address: str, kind: int) -> None:
    found = await task(front, await make(front, LIVE, **asked))
    assert (found["DstAddr"], found["DstAddrType"]) == (address, kind)


PICTURE = png(20, 20)
MARK = {
    "Picture": f"data:image/png;base64,{b64encode(PICTURE).decode()}",
    "RelativePosX": 0,
    "RelativePosY": 0.999,
    "Ratio": 1,
}


async def test_a_watermark_comes_back_until_an_update_leaves_it_out(front: Front) -> None:
    id = await make(front, LIVE, Watermark=MARK)
    assert (await task(front, id))["Watermark"] == MARK
    assert await ask(front, CHANGE, id, **LIVE) == OK
    assert "Watermark" not in await task(front, id)


async def test_pictures_of_a_page_have_a_limit_the_same_one_too(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "MAX_PICTURES", 2 * len(MARK["Picture"]))  # type: ignore[arg-type]
    for _ in range(3):
        await make(front, LIVE, Watermark=MARK)
    assert ["Watermark" in row for row in (await listed(front))["List"]] == [True, True, False]


async def test_a_picture_that_is_gone_meanwhile_leaves_its_task_in_the_list(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await make(front, LIVE, Watermark=MARK)

    async def gone(name: str) -> None:
        assert name

    monkeypatch.setattr(front.live.store, "relay_picture", gone)
    assert "Watermark" not in await task(front, id)


# What is refused


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"EndTime": NOW}, INVALID, "EndTime is"),
        ({"EndTime": NOW - 1}, INVALID, "EndTime is"),
        ({"EndTime": NOW + DAYS7 + 1}, INVALID, "EndTime is"),
        ({"SrcAddr": None}, INVALID, "SrcAddr is missing"),
        ({"SrcAddr": "rtsp://source.test/a"}, INVALID, "SrcAddr is"),
        ({"SrcAddr": "http://10.0.0.1/a.flv"}, INVALID, "SrcAddr is"),
        ({"SrcAddr": "rtmp://source.test/live"}, INVALID, "SrcAddr is"),
        ({"DstAddr": "http://target.test/live/b"}, INVALID, "DstAddr is"),
        ({"DstAddr": "rtmp://target.test/live"}, INVALID, "DstAddr is"),
        ({"DstAddr": f"rtmp://target.test/live/{'b' * 1000}"}, INVALID, "DstAddr is"),
        ({"DstAddr": None}, INVALID, "Domain is missing"),
        ({**OWN, "App": ""}, INVALID, "App is missing"),
        ({**OWN, "Stream": ""}, INVALID, "Stream is missing"),
        ({**OWN, "App": "a" * 31}, INVALID, "App is"),
        ({**OWN, "Stream": "s" * 101}, INVALID, "Stream is"),
        ({**OWN, "Stream": ".."}, INVALID, "Stream is"),
        ({**OWN, "App": "vod"}, FORBIDDEN, "vhost demo has no app 'vod'"),
        ({**OWN, "Domain": "pull.demo.test"}, FORBIDDEN, "push domain"),
        ({**OWN, "Domain": "push.other.test"}, FORBIDDEN, "push domain"),
        ({"CallbackURL": "ftp://receiver.test/"}, INVALID, "CallbackURL is"),
        ({"CallbackURL": f"http://receiver.test/{'a' * 1980}"}, INVALID, "CallbackURL is"),
        ({"GroupName": "nosuch"}, NOT_FOUND, "no group 'nosuch'"),
        ({**FILES, "SrcAddrS": [FILE, SOURCE]}, INVALID, "SrcAddrS is"),
        ({**FILES, "SrcAddrS": [], "VodSrcAddrs": [{"SrcAddr": SOURCE}]}, INVALID, "VodSrcAddrs is"),
        ({**FILES, "VodSrcAddrs": [{"SrcAddr": FILE}]}, INVALID, "SrcAddrS is"),
        ({**FILES, "OffsetS": [1]}, INVALID, "OffsetS is"),
        ({**FILES, "CycleMode": 1_000_001}, INVALID, "CycleMode is"),
        ({**FILES, "CycleMode": 0, "PlayTimes": 1_000_001}, INVALID, "PlayTimes is"),
        ({"Watermark": {**MARK, "Ratio": 0}}, INVALID, "Watermark.Ratio is"),
    ],
)
async def test_what_breaks_a_rule_is_refused_and_changes_nothing(
    front: Front, changes: dict[str, Any], code: str, words: str
) -> None:
    id = await make(front, LIVE)
    before = await listed(front)
    for action, more in ((MAKE, {}), (CHANGE, {"TaskId": id})):
        answer = await front.call(action, {**LIVE, **changes, **more})
        # Another group than the task's is another fault than one that is not there.
        wanted = FORBIDDEN if action == CHANGE and code == NOT_FOUND else code
        assert answer.code == wanted, answer
        assert words in answer.message or wanted != code
    assert await listed(front) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"EndTime": NOW + 1},
        {"EndTime": NOW + DAYS7},
        {"StartTime": 0, "EndTime": 1},
        {"SrcAddr": f"http://source.test/{'a' * 981}"},
        {"DstAddr": f"rtmp://target.test/live/{'b' * 976}"},
        {"CallbackURL": f"http://receiver.test/{'a' * 1979}"},
        {"Title": "测" * 20},
        {**FILES, "CycleMode": 1_000_000},
        {**FILES, "SrcAddrS": [f"http://files.test/{'a' * 982}"] * 30, "OffsetS": [0.5] * 30},
    ],
)
async def test_what_is_at_its_limit_is_taken(front: Front, changes: dict[str, Any]) -> None:
    id = await make(front, LIVE, **changes)
    assert await ask(front, CHANGE, id, **{**LIVE, **changes}) == OK


async def test_the_same_signed_call_makes_one_task(front: Front) -> None:
    request = signed(unsigned(MAKE, LIVE, method="POST"))
    first, second = await front.send(request), await front.send(request)
    assert first.result == second.result
    assert (await listed(front))["Pagination"]["TotalCount"] == 1


# States


WAITING, RUNNING, OVER, STOPPED = "未开始", "生效中", "已结束", "停用"
WINDOWS = {WAITING: (NOW + HOUR, NOW + 2 * HOUR), RUNNING: (NOW, NOW + HOUR), OVER: (NOW - HOUR, NOW)}


async def in_state(front: Front, state: str) -> str:
    start, end = WINDOWS[RUNNING if state == STOPPED else state]
    id = await make(front, LIVE, StartTime=start, EndTime=end)
    if state == STOPPED:
        assert await ask(front, STOP, id) == OK
    assert (await task(front, id))["Status"] == state
    return id


@pytest.mark.parametrize(
    ("state", "action", "after"),
    [
        (WAITING, STOP, STOPPED),
        (RUNNING, STOP, STOPPED),
        (OVER, STOP, None),
        (STOPPED, STOP, None),
        *((state, action, None) for state in (WAITING, RUNNING, OVER) for action in (RESTART, CONTINUE)),
        *((STOPPED, action, RUNNING) for action in (RESTART, CONTINUE, RELAUNCH)),
        (WAITING, RELAUNCH, None),
        (RUNNING, RELAUNCH, RUNNING),
        (OVER, RELAUNCH, None),
    ],
)
async def test_what_may_be_done_in_which_state(front: Front, state: str, action: str, after: str | None) -> None:
    id = await in_state(front, state)
    answer = await front.call(action, {"TaskId": id})
    assert (answer.code, answer.result) == (OK if after else INVALID, None)
    assert (await task(front, id))["Status"] == (after or state)


@pytest.mark.parametrize("action", [RESTART, CONTINUE, RELAUNCH])
@pytest.mark.parametrize(
    ("later_s", "state"),
    [(0, WAITING), (HOUR - 1, WAITING), (HOUR, RUNNING), (2 * HOUR - 1, RUNNING), (2 * HOUR, OVER)],
)
async def test_the_clock_says_what_a_stopped_task_comes_back_as(
    front: Front, action: str, later_s: int, state: str
) -> None:
    id = await in_state(front, WAITING)
    assert await ask(front, STOP, id) == OK
    front.live.clock.turn(by=START + timedelta(seconds=later_s) - front.live.clock.now())
    assert (await task(front, id))["Status"] == STOPPED
    assert await ask(front, action, id) == OK
    assert (await task(front, id))["Status"] == state


async def test_a_state_goes_by_the_clock(front: Front) -> None:
    id = await in_state(front, WAITING)
    for at_s, state in ((HOUR - 1, WAITING), (HOUR, RUNNING), (2 * HOUR - 1, RUNNING), (2 * HOUR, OVER)):
        front.live.clock.turn(by=START + timedelta(seconds=at_s) - front.live.clock.now())
        assert (await task(front, id))["Status"] == state


@pytest.mark.parametrize("state", [WAITING, RUNNING, OVER, STOPPED])
async def test_a_task_is_deleted_in_any_state_and_is_gone(front: Front, state: str) -> None:
    id = await in_state(front, state)
    answer = await front.call(DELETE, {"TaskId": id})
    assert (answer.code, answer.result) == (OK, None)
    assert (await listed(front))["List"] == []
    for action, more in ((DELETE, {}), (STOP, {}), (RESTART, {}), (CONTINUE, {}), (RELAUNCH, {}), (CHANGE, LIVE)):
        assert await ask(front, action, id, **more) == NOT_FOUND


# Who may do what


EACH: list[tuple[str, dict[str, Any]]] = [(action, {}) for action in (STOP, RESTART, CONTINUE, RELAUNCH, DELETE)] + [
    (CHANGE, LIVE)
]


@pytest.mark.parametrize(("action", "more"), EACH, ids=[action for action, _ in EACH])
async def test_a_sub_account_names_the_tasks_own_group(action: str, more: dict[str, Any]) -> None:
    async with opened_front(seed=replace(SEED, keys=(*SEED.keys, SUB_KEY))) as front:
        assert (await front.call("CreatePullToPushGroup", {"Name": "news", "ProjectName": "p"})).code == OK
        id = await make(front, LIVE, GroupName="news")
        if action in (RESTART, CONTINUE, RELAUNCH):
            assert await ask(front, STOP, id) == OK

        async def as_sub(**group: str) -> Answer:
            return await front.call(action, {"TaskId": id, **more, **group}, credentials=SUB)

        assert (await as_sub()).message.startswith("GroupName is missing")
        assert (await as_sub()).code == INVALID
        assert (await as_sub(GroupName="")).code == INVALID
        assert (await as_sub(GroupName="default")).code == FORBIDDEN
        # The main account may leave it out; what it says has to be right, too.
        assert await ask(front, action, id, **more, GroupName="default") == FORBIDDEN
        assert (await as_sub(GroupName="news")).code == OK


async def test_a_sub_account_makes_tasks_in_groups_that_are_there_and_lists_all() -> None:
    async with opened_front(seed=replace(SEED, keys=(*SEED.keys, SUB_KEY))) as front:
        for group, code in (("", INVALID), ("default", NOT_FOUND), ("nosuch", NOT_FOUND)):
            answer = await front.call(MAKE, {**LIVE, "GroupName": group}, credentials=SUB)
            assert answer.code == code
        front.clock.spend(1)
        await make(front, LIVE)
        await make(front, LIVE, SUB, GroupName="default")
        answer = await front.call(LIST, {}, credentials=SUB)
        assert [row["GroupName"] for row in answer.result["List"]] == ["default", "default"]


@pytest.mark.parametrize(("action", "more"), EACH, ids=[action for action, _ in EACH])
async def test_another_accounts_task_looks_like_none(front: Front, action: str, more: dict[str, Any]) -> None:
    id = await make(front, LIVE)
    before = await task(front, id)
    for name in (id, "f" * 32, "x" * 64):
        answer = await front.call(action, {"TaskId": name, **more}, credentials=THEIRS)
        assert (answer.status, answer.code) == (404, NOT_FOUND)
    assert (await front.call(LIST, {}, credentials=THEIRS)).result["List"] == []
    assert await task(front, id) == before


# Lists


async def fill(front: Front) -> None:
    """Five tasks, the latest last."""
    assert (await front.call("CreatePullToPushGroup", {"Name": "news", "ProjectName": "p"})).code == OK
    for title, group in (("docspace", ""), ("docs", "news"), ("DOC", ""), ("新闻", "news"), ("", "default")):
        await make(front, LIVE, Title=title, GroupName=group)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("given", "found", "pages"),
    [
        ({}, ["", "新闻", "DOC", "docs", "docspace"], (1, 20, 1, 5)),
        ({"Title": "doc"}, ["DOC", "docs", "docspace"], (1, 20, 1, 3)),
        ({"Title": "OCS"}, ["docs", "docspace"], (1, 20, 1, 2)),
        ({"Title": "闻"}, ["新闻"], (1, 20, 1, 1)),
        ({"Title": "%"}, [], (1, 20, 0, 0)),
        ({"Title": "", "GroupName": ""}, ["", "新闻", "DOC", "docs", "docspace"], (1, 20, 1, 5)),
        ({"GroupName": "news"}, ["新闻", "docs"], (1, 20, 1, 2)),
        ({"GroupName": "NEWS"}, [], (1, 20, 0, 0)),
        ({"GroupName": "nosuch"}, [], (1, 20, 0, 0)),
        ({"GroupName": "default", "Title": "doc"}, ["DOC", "docspace"], (1, 20, 1, 2)),
        ({"Size": 2}, ["", "新闻"], (1, 2, 3, 5)),
        ({"Size": 2, "Page": 3}, ["docspace"], (3, 2, 3, 5)),
        ({"Size": 2, "Page": 4}, [], (4, 2, 3, 5)),
        ({"Size": 5}, ["", "新闻", "DOC", "docs", "docspace"], (1, 5, 1, 5)),
        ({"Size": 500, "Page": 2_147_483_647}, [], (2_147_483_647, 500, 1, 5)),
    ],
)
async def test_tasks_are_found_by_group_and_title_page_by_page(
    front: Front, method: str, given: dict[str, Any], found: list[str], pages: tuple[int, ...]
) -> None:
    await fill(front)
    result = await listed(front, method, **given)
    assert [row.get("Title", "") for row in result["List"]] == found
    names = ("PageCur", "PageSize", "PageTotal", "TotalCount")
    assert result["Pagination"] == dict(zip(names, pages, strict=True))


async def test_times_are_unix_seconds_in_and_rfc_3339_out(front: Front) -> None:
    found = await task(front, await make(front, LIVE, StartTime=NOW + 1, EndTime=NOW + 1 + DAYS7))
    for name, at in (("StartTime", NOW + 1), ("EndTime", NOW + 1 + DAYS7)):
        assert datetime.fromisoformat(found[name]).timestamp() == at
        assert found[name].endswith("Z")
