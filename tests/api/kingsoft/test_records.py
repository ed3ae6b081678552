"""KLS's operations on recordings, on the wire, over a control plane in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.domain import recordings
from penstock.domain.live import Live
from penstock.domain.recording_schedule import tick
from penstock.model import StreamId
from penstock.storage.recordings import FileEnd, RecordedFile, RecordingNote
from tests.api.kingsoft.front import CAM, MINE, THEIRS, WHERE, Front
from tests.api.kingsoft.kit import DAY, NOW, on_air
from tests.clock import START
from tests.domain.kit import DEMO

WINDOW = {"StartUnixTime": NOW + 60, "EndUnixTime": NOW + 660}


async def code(front: Front, action: str, values: dict[str, Any], **more: Any) -> str:
    method = "GET" if action.startswith(("List", "Get")) else "POST"
    return (await front.call(action, values, method=method, **more)).code


async def made(front: Front, action: str, values: dict[str, Any]) -> int:
    answer = await front.call(action, values)
    assert answer.code == "0", answer
    assert set(answer.data) == {"RecID", "RetCode", "RetMsg"}
    number: int = answer.data["RecID"]
    return number


async def listed(front: Front, action: str = "ListRecordingTasks", **values: Any) -> dict[str, Any]:
    answer = await front.call(action, {**WHERE, **values}, method="GET")
    assert answer.code == "0", answer
    assert answer.data["Count"] == len(answer.data["Result"])
    return answer.data


async def with_file(live: Live, number: int, *, is_whole: bool = True, path: str = "a.mp4") -> None:
    await live.store.begin_file(RecordedFile(recording=number, path=path, session="s", engine="e", began_at=START))
    end = START + timedelta(seconds=61)
    await live.store.end_file(
        FileEnd(
            recording=number,
            path=path,
            at=end,
            size_bytes=5000,
            duration_ms=60_900,
            video="avc",
            audio="aac",
            is_whole=is_whole,
        )
    )


# CreateRecordTask


async def test_a_task_is_planned_with_all_that_was_said_of_it(front: Front) -> None:
    names = {"Ks3FullPathM3U8": "/b/r/cam.m3u8", "Ks3FileNameM3u8": "cam", "Ks3FullPathMP4": "/b/r/cam.mp4"}
    number = await made(front, "CreateRecordTask", {**CAM, **WINDOW, **names, "Mp4VodEnable": 1})
    row = await front.live.store.find_recording(number)
    assert row is not None
    assert (row.stream, row.container, row.state, row.access_key, row.cloud) == (
        DEMO, "mp4", "planned", MINE.access_key, "kingsoft",
    )  # fmt: skip
    assert (row.from_at, row.until) == (START + timedelta(seconds=60), START + timedelta(seconds=660))
    answer = await front.call("GetRecordTask", {"RecID": number}, method="GET")
    assert {name: answer.data[name] for name in names} == names
    assert (answer.data["RecType"], answer.data["RecStatus"], answer.data["Mp4VodEnable"]) == (2, 1, 1)
    assert (answer.data["StartUnixTime"], answer.data["EndUnixTime"]) == (NOW + 60, NOW + 660)


async def test_the_other_spelling_of_times_is_understood(front: Front) -> None:
    spelled = {"StartUnixtime": NOW + 60, "EndUnixtime": NOW + 660}
    number = await made(front, "CreateRecordTask", {**CAM, **spelled})
    row = await front.live.store.find_recording(number)
    assert row is not None
    assert (row.from_at, row.container) == (START + timedelta(seconds=60), "hls")
    both = {**CAM, **WINDOW, "EndUnixtime": NOW + 999}
    assert await code(front, "CreateRecordTask", both) == "4001"


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"EndUnixTime": None}, "1000"),
        ({"EndUnixTime": 0}, "1000"),
        ({"StartUnixTime": NOW - 61}, "6703"),
        ({"StartUnixTime": NOW + 400 * DAY, "EndUnixTime": NOW + 401 * DAY}, "6703"),
        ({"EndUnixTime": NOW + 60}, "6704"),
        ({"EndUnixTime": NOW + 59}, "6704"),
        ({"EndUnixTime": NOW + 60 + 367 * DAY}, "6704"),
        ({"EndUnixTime": NOW + 119}, "6709"),
        ({"EndUnixTime": NOW + 120}, "0"),
        ({"StartUnixTime": None}, "0"),
        ({"StartUnixTime": "soon"}, "4001"),
        ({"Mp4VodEnable": 2}, "4999"),
        ({"Ks3FullPathMP4": "/b/../../etc/passwd"}, "6705"),
        ({"Ks3FullPathM3U8": "/b/a\r\nx"}, "6705"),
        ({"Ks3FileNameM3u8": "a\\b"}, "6705"),
        ({"Ks3FileNameM3u8": "a" * 1025}, "4999"),
        ({"UniqueName": "other"}, "6406"),
        ({"Pubdomain": "push.other.test"}, "4201"),
        ({"App": "nosuch"}, "1003"),
        ({"Stream": "../x"}, "1004"),
        ({"Bucket": "b"}, "4999"),
    ],
)
async def test_what_a_task_may_not_be(front: Front, values: dict[str, Any], wanted: str) -> None:
    assert await code(front, "CreateRecordTask", {**CAM, **WINDOW, **values}) == wanted


async def test_a_refused_time_is_named_in_the_clouds_words(front: Front) -> None:
    answer = await front.call("CreateRecordTask", {**CAM, **WINDOW, "EndUnixTime": NOW + 100})
    assert answer.message.startswith("Recording time not be less than 1 minute: EndUnixTime is")


async def test_a_second_task_for_the_same_time_is_refused(front: Front) -> None:
    await made(front, "CreateRecordTask", {**CAM, **WINDOW})
    assert await code(front, "CreateRecordTask", {**CAM, **WINDOW, "EndUnixTime": NOW + 600}) == "1201"
    later = {"StartUnixTime": NOW + 660, "EndUnixTime": NOW + 900}
    assert await code(front, "CreateRecordTask", {**CAM, **later}) == "0"


async def test_the_same_call_again_makes_no_second_task(front: Front) -> None:
    first = await made(front, "CreateRecordTask", {**CAM, **WINDOW})
    assert await made(front, "CreateRecordTask", {**CAM, **WINDOW}) == first
    assert (await listed(front))["Total"] == 1


async def test_so_many_tasks_and_no_more(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MAX_RECORDINGS", 1)
    await made(front, "CreateRecordTask", {**CAM, **WINDOW})
    assert await code(front, "CreateRecordTask", {**CAM, **WINDOW, "Stream": "other"}) == "6401"


# CancelRecordTask


async def test_a_task_is_cancelled_once_and_only_before_its_time(front: Front) -> None:
    number = await made(front, "CreateRecordTask", {**CAM, **WINDOW})
    assert await code(front, "CancelRecordTask", {**CAM, "Stream": "other", "RecID": number}) == "6405"
    assert await code(front, "CancelRecordTask", {**CAM, "RecID": 99}) == "6405"
    assert await code(front, "CancelRecordTask", {**CAM, "RecID": number}) == "0"
    assert await code(front, "CancelRecordTask", {**CAM, "RecID": number}) == "6708"
    (task,) = (await listed(front, "ListHistoryRecordTasks"))["Result"]
    assert (task["RecStatus"], task["State"]) == (4, "cancelled")
    begun = await made(front, "CreateRecordTask", {**CAM, "EndUnixTime": NOW + 60})
    assert await code(front, "CancelRecordTask", {**CAM, "RecID": begun}) == "6708"


# StartStreamRecord, StopStreamRecord


async def test_a_stream_on_air_is_recorded_until_it_is_stopped(front: Front) -> None:
    assert await code(front, "StartStreamRecord", CAM) == "8502"
    front.clock.advance(1)
    on_air(front.live, "cam")
    number = await made(front, "StartStreamRecord", CAM)
    row = await front.live.store.find_recording(number)
    assert row is not None
    assert (row.container, row.until, row.state) == ("hls", None, "waiting")
    front.clock.advance(1)
    assert await code(front, "StartStreamRecord", CAM) == "6403"
    assert await code(front, "StopStreamRecord", {**CAM, "Stream": "other", "RecID": number}) == "6405"
    assert await code(front, "StopStreamRecord", {**CAM, "RecID": number}) == "0"
    assert await code(front, "StopStreamRecord", {**CAM, "RecID": number}) == "6404"
    assert await code(front, "StopStreamRecord", CAM) == "1000"
    assert await code(front, "StopStreamRecord", {**CAM, "RecID": 0}) == "4999"


async def test_a_dry_run_records_nothing(front: Front) -> None:
    on_air(front.live, "cam")
    answer = await front.call("StartStreamRecord", {**CAM, "DryRun": True})
    assert answer.code == "ErrorDryRun"
    assert len(front.live.recordings) == 0


# Lists


async def test_lists_tell_time_by_status_and_the_truth_by_state(front: Front) -> None:
    live = front.live
    on_air(live, "cam")
    at_once = await made(front, "StartStreamRecord", CAM)
    planned = await made(front, "CreateRecordTask", {**CAM, **WINDOW, "Mp4VodEnable": 1})
    found = await listed(front)
    assert [(task["RecID"], task["RecType"], task["RecStatus"], task["State"]) for task in found["Result"]] == [
        (planned, 2, 1, "planned"),
        (at_once, 1, 2, "waiting"),
    ]
    assert [task["RecID"] for task in (await listed(front, OrderTime=1))["Result"]] == [at_once, planned]
    assert [task["RecID"] for task in (await listed(front, RecType=2))["Result"]] == [planned]
    assert [task["RecID"] for task in (await listed(front, RecType=1))["Result"]] == [at_once]
    assert [task["RecID"] for task in (await listed(front, RecStatusType=1))["Result"]] == [planned]
    assert [task["RecID"] for task in (await listed(front, RecStatusType=2))["Result"]] == [at_once]
    assert (await listed(front, Stream="other"))["Total"] == 0
    wanted = live.recordings.find(at_once)
    assert wanted is not None
    next_try = START + timedelta(seconds=5)
    note = RecordingNote(number=at_once, state="failed", error="the disk is full", next_try=next_try)
    recordings.note(live, wanted, note)
    (task,) = (await listed(front, RecType=1))["Result"]
    assert (task["RecStatus"], task["State"], task["Error"], task["NextTryUnixTime"]) == (
        2, "failed", "the disk is full", NOW + 5,
    )  # fmt: skip
    # Its time has come, whatever became of it.
    live.clock.turn(by=timedelta(minutes=2))
    (task,) = (await listed(front, RecType=2))["Result"]
    assert (task["RecStatus"], task["State"]) == (2, "planned")
    await tick(live)
    (task,) = (await listed(front, RecType=2))["Result"]
    assert task["State"] == "waiting"


async def test_pages_begin_with_1_and_0_is_nothing_said(front: Front) -> None:
    for name in "abc":
        await made(front, "CreateRecordTask", {**CAM, **WINDOW, "Stream": name})
    for marker, names in ((1, "ab"), (0, "ab"), (2, "c"), (3, "")):
        page = await listed(front, Limit=2, Marker=marker, OrderTime=1)
        assert "".join(task["Stream"] for task in page["Result"]) == names
        assert (page["Total"], page["Marker"]) == (3, marker or 1)


async def test_the_history_has_what_is_over_in_a_window(front: Front) -> None:
    for start in (60, 6000):
        number = await made(
            front, "CreateRecordTask", {**CAM, "StartUnixTime": NOW + start, "EndUnixTime": NOW + start + 60}
        )
        await code(front, "CancelRecordTask", {**CAM, "RecID": number})
    history = "ListHistoryRecordTasks"
    assert (await listed(front, history))["Total"] == 2
    assert (await listed(front, history, StartUnixTime=NOW + 61))["Total"] == 1
    assert (await listed(front, history, StartUnixTime=NOW + 60, EndUnixTime=NOW + 60))["Total"] == 1
    assert (await listed(front, history, StartUnixTime=0, EndUnixTime=0))["Total"] == 2
    assert (await listed(front))["Total"] == 0


# GetRecordTask


async def test_a_task_is_told_with_its_files_and_their_urls(front: Front) -> None:
    on_air(front.live, "cam")
    number = await made(front, "StartStreamRecord", CAM)
    await with_file(front.live, number)
    await code(front, "StopStreamRecord", {**CAM, "RecID": number})
    answer = await front.call("GetRecordTask", {"RecID": number}, method="GET")
    assert (answer.data["UniqueName"], answer.data["App"], answer.data["Pubdomain"], answer.data["Stream"]) == (
        "demo", "live", "push.demo.test", "cam",
    )  # fmt: skip
    assert (answer.data["RecStatus"], answer.data["State"], answer.data["Size"], answer.data["Duration"]) == (
        3, "stopped", 5000, 60,
    )  # fmt: skip
    (file,) = answer.data["Result"]
    assert file["Url"].startswith("http://penstock.test/recordings/demo/live/cam/1/")
    assert file["Url"].endswith(f"/{file['FileName']}")
    assert (file["Vcodec"], file["Acodec"], file["IsWhole"], file["Gaps"]) == ("h264", "aac", True, 0)
    await front.live.store.remove_file(number, "a.mp4", START)
    answer = await front.call("GetRecordTask", {"RecID": number}, method="GET")
    assert answer.data["Result"][0]["Url"] == ""


async def test_a_task_of_which_nothing_came_says_so(front: Front) -> None:
    number = await made(front, "CreateRecordTask", {**CAM, **WINDOW})
    assert await code(front, "GetRecordTask", {"RecID": number}) == "0"
    await code(front, "CancelRecordTask", {**CAM, "RecID": number})
    assert await code(front, "GetRecordTask", {"RecID": number}) == "6000"
    assert await code(front, "GetRecordTask", {"RecID": 99}) == "6405"
    assert await code(front, "GetRecordTask", {}) == "1000"


# 26. Another account's key.


async def test_26_another_account_sees_and_touches_no_recording(front: Front) -> None:
    on_air(front.live, "cam")
    number = await made(front, "StartStreamRecord", CAM)
    await with_file(front.live, number)
    mine, theirs = CAM, {"UniqueName": "other", "App": "live", "Pubdomain": "push.other.test", "Stream": "cam"}
    for action in ("StopStreamRecord", "CancelRecordTask"):
        assert await code(front, action, {**mine, "RecID": number}, credentials=THEIRS) == "6406"
        assert await code(front, action, {**theirs, "RecID": number}, credentials=THEIRS) == "6405"
    assert await code(front, "GetRecordTask", {"RecID": number}, credentials=THEIRS) == "6405"
    for action in ("ListRecordingTasks", "ListHistoryRecordTasks"):
        assert await code(front, action, WHERE, credentials=THEIRS) == "6406"
        answer = await front.call(action, {**theirs, "Stream": ""}, method="GET", credentials=THEIRS)
        assert answer.data["Total"] == 0
    for action in ("StartStreamRecord", "CreateRecordTask"):
        assert (
            await code(front, action, {**mine, **(WINDOW if "Create" in action else {})}, credentials=THEIRS) == "6406"
        )
    assert [each.row.stream for each in front.live.recordings] == [StreamId("demo", "live", "cam")]
