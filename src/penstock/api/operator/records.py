"""Recordings and their files."""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock.admin import records as verbs
from penstock.api.operator.desk import Desk, operator, stream_of
from penstock.domain import recordings
from penstock.domain.caller import Caller
from penstock.domain.live import Live
from penstock.domain.recording_urls import DEFAULT_VALID
from penstock.domain.recordings import Plan, Shown
from penstock.errors import InvalidField, NothingRecorded, UnknownRecording
from penstock.storage.recordings import FileSum, RecordedFile, RecordingQuery


async def list_records(desk: Desk, ask: verbs.ListRecords) -> verbs.Recordings:
    query = RecordingQuery(
        account=ask.account or None,
        vhost=ask.vhost or None,
        stream=ask.stream or None,
        is_wanted=None if ask.over else True,
        offset=ask.offset,
        limit=ask.limit,
    )
    page = await recordings.page(desk.live, query)
    return verbs.Recordings(recordings=[_recording(each) for each in page.rows], total=page.total)


async def start_record(desk: Desk, ask: verbs.StartRecord) -> verbs.Started:
    live = desk.live
    stream = stream_of(live, ask.stream)
    begins = _when("from_s", ask.from_at, ask.from_s, live.clock.now())
    ends = _when("for_s", ask.until, ask.for_s, begins or live.clock.now())
    plan = Plan(
        stream=stream,
        container=ask.container,
        one_file=ask.one_file,
        from_at=begins,
        until=ends,
        push_domain=ask.push_domain,
    )
    made = await recordings.start(live, operator(live, stream), plan)
    return verbs.Started(recording=_recording(Shown(made, FileSum())))


def _when(field: str, at: datetime | None, seconds: float | None, since: datetime) -> datetime | None:
    if at is not None and seconds is not None:
        raise InvalidField(field, seconds, "left out beside a time")
    return since + timedelta(seconds=seconds) if seconds is not None else at


async def stop_record(desk: Desk, ask: verbs.StopRecord) -> verbs.Stopped:
    live = desk.live
    await recordings.stop(live, await _owner(live, ask.id), ask.id)
    return verbs.Stopped(recording=_recording(await _shown(live, ask.id)))


async def show_record(desk: Desk, ask: verbs.ShowRecord) -> verbs.RecordShown:
    shown = await _shown(desk.live, ask.id)
    return verbs.RecordShown(recording=_recording(shown), files=[_file(desk.live, shown, file) for file in shown.files])


async def remove_record(desk: Desk, ask: verbs.RemoveRecord) -> verbs.Removed:
    live = desk.live
    gone = await recordings.remove_files(live, await _owner(live, ask.id), ask.id, ask.file)
    return verbs.Removed(files=len(gone), size_bytes=sum(file.size_bytes for file in gone))


async def make_urls(desk: Desk, ask: verbs.MakeUrls) -> verbs.Urls:
    shown = await _shown(desk.live, ask.id)
    there = [file for file in shown.files if _can_be_read(file) and ask.file in (None, file.id)]
    if not there:
        raise NothingRecorded(f"recording {ask.id} has no such file that can be read")
    valid = timedelta(seconds=ask.for_s) if ask.for_s is not None else DEFAULT_VALID
    now = desk.live.clock.real_now()
    return verbs.Urls(urls=[desk.live.file_urls.make(shown.row, file, now, valid) for file in there])


async def _owner(live: Live, number: int) -> Caller:
    """The operator, who acts for whoever's recording it is.

    Raises:
        UnknownRecording: it is nobody's.
    """
    row = await live.store.find_recording(number)
    if row is None:
        raise UnknownRecording(f"there is no recording {number}")
    return Caller(account=row.account, access_key="")


async def _shown(live: Live, number: int) -> Shown:
    return await recordings.show(live, await _owner(live, number), number)


def _recording(shown: Shown) -> verbs.Recording:
    row = shown.row
    return verbs.Recording(
        vhost=row.stream.vhost,
        app=row.stream.app,
        stream=row.stream.stream,
        number=row.number,
        account=row.account,
        state=row.state,
        error=row.error,
        next_try=row.next_try,
        container=row.container,
        one_file=row.one_file,
        always=row.always,
        from_at=row.from_at,
        until=row.until,
        began_at=row.began_at,
        ended_at=row.ended_at,
        why=row.why,
        cloud=row.cloud,
        access_key=row.access_key,
        files=shown.sum.files,
        size_bytes=shown.sum.size_bytes,
        duration_s=shown.sum.duration_ms / 1000,
        gaps=shown.sum.gaps,
    )


def _can_be_read(file: RecordedFile) -> bool:
    return file.removed_at is None and not file.is_lost


def _file(live: Live, shown: Shown, file: RecordedFile) -> verbs.File:
    url = live.file_urls.make(shown.row, file, live.clock.real_now()) if _can_be_read(file) else ""
    return verbs.File(
        id=file.id,
        path=file.path,
        url=url,
        began_at=file.began_at,
        ended_at=file.ended_at,
        size_bytes=file.size_bytes,
        duration_s=file.duration_ms / 1000,
        video=file.video,
        audio=file.audio,
        gaps=[verbs.Gap(at_s=gap.at_ms / 1000, length_s=gap.length_ms / 1000, why=gap.why) for gap in file.gaps],
        is_whole=file.is_whole,
        is_lost=file.is_lost,
        why=file.why,
        removed_at=file.removed_at,
    )
