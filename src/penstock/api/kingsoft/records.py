"""Recordings: CreateRecordTask, CancelRecordTask, StartStreamRecord, StopStreamRecord, and the three that look."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from penstock.api.kingsoft.bans import in_kls_words
from penstock.api.kingsoft.realtime import CODECS
from penstock.api.kingsoft.times import SECOND, from_unix, to_unix
from penstock.clouds.kingsoft.records import (
    ALL,
    AT_ONCE,
    CANCELLED,
    NOT_BEGUN,
    OVER,
    PLANNED,
    UNDER_WAY,
    CancelRecordTask,
    CancelRecordTaskResult,
    CreateRecordTask,
    CreateRecordTaskResult,
    GetRecordTask,
    GetRecordTaskResult,
    ListHistoryRecordTasks,
    ListHistoryRecordTasksResult,
    ListRecordingTasks,
    ListRecordingTasksResult,
    RecordFile,
    RecordTask,
    StartStreamRecord,
    StartStreamRecordResult,
    StopStreamRecord,
    StopStreamRecordResult,
)
from penstock.clouds.kingsoft.streams import LATEST_FIRST
from penstock.domain import recordings
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.places import domain_of_own
from penstock.domain.recording_urls import file_name
from penstock.domain.recordings import Plan, Shown
from penstock.domain.registry import require_app
from penstock.errors import NothingRecorded, NotOnAir, UnknownRecording, WrongFileName
from penstock.model import StreamId
from penstock.storage.recordings import RecordedFile, Recording, RecordingQuery, StateWord
from penstock.storage.rows import Page

# Words of KLS that are kept as they came.
_PATH_M3U8: Final = "Ks3FullPathM3U8"
_NAME_M3U8: Final = "Ks3FileNameM3u8"
_PATH_MP4: Final = "Ks3FullPathMP4"

_Placed = CreateRecordTask | CancelRecordTask | StartStreamRecord | StopStreamRecord


async def create_record_task(live: Live, caller: Caller, ask: CreateRecordTask) -> CreateRecordTaskResult:
    names = {
        _PATH_M3U8: ask.ks3_full_path_m3u8,
        _NAME_M3U8: ask.ks3_file_name_m3u8,
        _PATH_MP4: ask.ks3_full_path_mp4,
    }
    for name, text in names.items():
        _check_name(name, text)
    plan = Plan(
        stream=_stream(ask),
        container="mp4" if ask.mp4_vod_enable else "hls",
        from_at=from_unix(ask.start_unix_time) if ask.start_unix_time else None,
        until=from_unix(ask.end_unix_time),
        push_domain=ask.pubdomain,
        asked={name: text for name, text in names.items() if text},
    )
    with in_kls_words():
        made = await recordings.start(live, caller, plan)
    return CreateRecordTaskResult(rec_id=made.number)


def _check_name(name: str, text: str) -> None:
    """Nothing of ours is called so; but what no store of objects takes is told now and not by its silence.

    Raises:
        WrongFileName: a step upwards, a backslash or a control character.
    """
    if ".." in text.split("/") or "\\" in text or not text.isprintable():
        raise WrongFileName(name, text, "a path without `..`, backslashes and control characters")


async def start_stream_record(live: Live, caller: Caller, ask: StartStreamRecord) -> StartStreamRecordResult:
    stream = _stream(ask)
    with in_kls_words():
        domain_of_own(live, caller, stream, ask.pubdomain)
        holder = live.sessions.holder(stream)
        if holder is None or holder.began_at is None:
            raise NotOnAir(f"nobody publishes {stream}")
        made = await recordings.start(live, caller, Plan(stream=stream, container="hls", push_domain=ask.pubdomain))
    return StartStreamRecordResult(rec_id=made.number)


async def cancel_record_task(live: Live, caller: Caller, ask: CancelRecordTask) -> CancelRecordTaskResult:
    await _require(live, caller, ask, ask.rec_id)
    await recordings.cancel(live, caller, ask.rec_id)
    return CancelRecordTaskResult()


async def stop_stream_record(live: Live, caller: Caller, ask: StopStreamRecord) -> StopStreamRecordResult:
    await _require(live, caller, ask, ask.rec_id)
    await recordings.stop(live, caller, ask.rec_id)
    return StopStreamRecordResult()


def _stream(ask: _Placed) -> StreamId:
    return StreamId(ask.unique_name, ask.app, ask.stream)


async def _require(live: Live, caller: Caller, ask: _Placed, rec_id: int) -> None:
    """Raises:
    UnknownRecording: it is of another stream than the call says.
    """
    with in_kls_words():
        domain_of_own(live, caller, _stream(ask), ask.pubdomain)
    row = await recordings.find(live, caller, rec_id)
    if row.stream != _stream(ask):
        raise UnknownRecording(f"recording {rec_id} is of another stream")


# Looking


async def list_recording_tasks(live: Live, caller: Caller, ask: ListRecordingTasks) -> ListRecordingTasksResult:
    states: dict[int, tuple[StateWord, ...]] = {
        NOT_BEGUN: ("planned",),
        UNDER_WAY: ("waiting", "recording", "failed"),
    }
    page = await _page(live, caller, ask, is_wanted=True, states=states.get(ask.rec_status_type))
    return ListRecordingTasksResult(**_listed(live, ask, page))


async def list_history_record_tasks(
    live: Live, caller: Caller, ask: ListHistoryRecordTasks
) -> ListHistoryRecordTasksResult:
    since = from_unix(ask.start_unix_time) if ask.start_unix_time else None
    # Its last second belongs to a window, as in the other histories.
    until = from_unix(ask.end_unix_time) + SECOND if ask.end_unix_time else None
    page = await _page(live, caller, ask, is_wanted=False, since=since, until=until)
    return ListHistoryRecordTasksResult(**_listed(live, ask, page))


async def _page(
    live: Live, caller: Caller, ask: ListRecordingTasks | ListHistoryRecordTasks, **which: Any
) -> Page[Shown]:
    vhost = live.registry.vhost_of(caller.account, ask.unique_name)
    require_app(vhost, ask.app, "App")
    query = RecordingQuery(
        account=caller.account,
        vhost=vhost.name,
        app=ask.app,
        push_domain=live.registry.push_domain(vhost.name, ask.pubdomain).name,
        stream=ask.stream or None,
        is_planned=None if ask.rec_type == ALL else ask.rec_type == PLANNED,
        newest_first=ask.order_time == LATEST_FIRST,
        offset=(ask.marker - 1) * ask.limit,
        limit=ask.limit,
        **which,
    )
    return await recordings.page(live, query)


def _listed(live: Live, ask: ListRecordingTasks | ListHistoryRecordTasks, page: Page[Shown]) -> dict[str, Any]:
    return {
        "unique_name": ask.unique_name,
        "app": ask.app,
        "pubdomain": ask.pubdomain,
        "count": len(page.rows),
        "marker": ask.marker,
        "order_time": ask.order_time,
        "total": page.total,
        "result": [RecordTask(**_facts(each, live.clock.now()), files=each.sum.files) for each in page.rows],
    }


async def get_record_task(live: Live, caller: Caller, ask: GetRecordTask) -> GetRecordTaskResult:
    shown = await recordings.show(live, caller, ask.rec_id)
    row = shown.row
    if not row.is_wanted and all(file.is_lost for file in shown.files):
        raise NothingRecorded(f"recording {row.number} is over, and no file came of it")
    return GetRecordTaskResult(
        unique_name=row.stream.vhost,
        app=row.stream.app,
        pubdomain=row.push_domain,
        **_facts(shown, live.clock.now()),
        mp4_vod_enable=int(row.container == "mp4"),
        ks3_full_path_m3u8=row.asked.get(_PATH_M3U8, ""),
        ks3_file_name_m3u8=row.asked.get(_NAME_M3U8, ""),
        ks3_full_path_mp4=row.asked.get(_PATH_MP4, ""),
        result=[_file(live, row, file) for file in shown.files],
    )


def _facts(shown: Shown, now: datetime) -> dict[str, Any]:
    row = shown.row
    end = row.ended_at or row.until
    return {
        "rec_id": row.number,
        "stream": row.stream.stream,
        "rec_type": AT_ONCE if row.until is None else PLANNED,
        "rec_status": _status(row, now),
        "start_unix_time": to_unix(row.from_at),
        "end_unix_time": to_unix(end) if end is not None else 0,
        "format": row.container,
        "state": row.state,
        "error": row.error,
        "next_try_unix_time": to_unix(row.next_try) if row.next_try is not None else 0,
        "size": shown.sum.size_bytes,
        "duration": shown.sum.duration_ms // 1000,
    }


def _status(row: Recording, now: datetime) -> int:
    """By its time alone: `state` tells what became of it."""
    if row.state == "cancelled":
        return CANCELLED
    if not row.is_wanted or (row.until is not None and row.until <= now):
        return OVER
    return NOT_BEGUN if row.from_at > now else UNDER_WAY


def _file(live: Live, row: Recording, file: RecordedFile) -> RecordFile:
    is_there = file.removed_at is None and not file.is_lost
    return RecordFile(
        file_id=file.id,
        file_name=file_name(row, file),
        url=live.file_urls.make(row, file, live.clock.real_now()) if is_there else "",
        start_unix_time=to_unix(file.began_at),
        end_unix_time=to_unix(file.ended_at) if file.ended_at is not None else 0,
        size=file.size_bytes,
        duration=file.duration_ms // 1000,
        vcodec=CODECS.get(file.video, file.video),
        acodec=file.audio,
        gaps=len(file.gaps),
        is_whole=file.is_whole,
    )
