"""Begin, stop, cancel, look at, take files away: with an engine that does as it is told, and without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.domain import recordings
from penstock.domain.engines import EngineLink
from penstock.domain.recordings import MAX_RECORDINGS, Plan
from penstock.errors import (
    AlreadyRecorded,
    AlreadyStopped,
    Conflict,
    DryRun,
    InvalidField,
    TooManyRecordings,
    TooShort,
    Unavailable,
    UnknownDomain,
    UnknownRecording,
    UnknownVhost,
    WrongEnd,
    WrongStart,
    WrongState,
)
from penstock.model import StreamId
from penstock.storage.errors import StorageError
from penstock.storage.recordings import FileSum, RecordingQuery
from tests.clock import START, ManualClock
from tests.domain.kit import DEMO, ME, STRANGER, gated, opened
from tests.domain.recorder import (
    CAM,
    PATH,
    Container,
    Control,
    FileRemoved,
    Record,
    RecordingEngine,
    RecordOrder,
    RemoveFile,
    files_of,
    row_of,
    running,
    settle,
)

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def control(clock: ManualClock) -> AsyncIterator[Control]:
    link = EngineLink()
    async with opened(clock, engine=link) as live:
        live.recorder = link.recorder
        yield Control(clock, link, live)


@pytest.fixture
async def engine(control: Control) -> RecordingEngine:
    engine = RecordingEngine(control)
    await engine.hello()
    return engine


async def test_what_is_started_is_written_down_and_said_to_the_engine(
    control: Control, engine: RecordingEngine
) -> None:
    plan = Plan(stream=DEMO, container="flv", one_file=True, asked={"Word": "x"})
    made = await recordings.start(control.live, ME, plan)
    assert (await engine.next(Record)).order == RecordOrder(made.id, DEMO, Container.FLV, True)
    row = await row_of(control, made.number)
    assert row == made
    assert (row.number, row.state, row.from_at, row.until, row.push_domain) == (
        1, "waiting", START, None, "push.demo.test",
    )  # fmt: skip
    assert (row.account, row.access_key, row.cloud, row.asked) == ("1", "AKone", "kingsoft", {"Word": "x"})


async def test_without_an_engine_it_waits(control: Control) -> None:
    made = await recordings.start(control.live, ME, CAM)
    assert (await row_of(control, made.number)).state == "waiting"
    engine = RecordingEngine(control)
    await engine.hello()
    assert (await engine.next(Record)).order.id == made.id


async def test_a_planned_one_is_not_said_before_its_time(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, replace(CAM, from_at=START + MINUTE, until=START + 5 * MINUTE))
    assert made.state == "planned"
    await engine.nothing_more()


@pytest.mark.parametrize(
    ("from_s", "until_s", "error"),
    [
        (-61, None, WrongStart),
        (367 * 86_400, None, WrongStart),
        (None, 0, WrongEnd),
        (10, 10, WrongEnd),
        (10, 367 * 86_400, WrongEnd),
        (None, 59, TooShort),
        (60, 119, TooShort),
    ],
)
async def test_a_time_that_is_none_is_refused(control: Control, from_s: Any, until_s: Any, error: Any) -> None:
    def at(seconds: float | None) -> Any:
        return None if seconds is None else START + timedelta(seconds=seconds)

    with pytest.raises(error):
        await recordings.start(control.live, ME, replace(CAM, from_at=at(from_s), until=at(until_s)))
    assert len(control.live.recordings) == 0


async def test_a_start_a_moment_ago_is_now_and_a_minute_is_enough(control: Control) -> None:
    plan = replace(CAM, from_at=START - timedelta(seconds=60), until=START + MINUTE)
    made = await recordings.start(control.live, ME, plan)
    assert (made.from_at, made.state) == (START, "waiting")


@pytest.mark.parametrize(
    ("stream", "domain", "error"),
    [
        (StreamId("other", "live", "cam"), "", UnknownVhost),
        (StreamId("nosuch", "live", "cam"), "", UnknownVhost),
        (StreamId("demo", "nosuch", "cam"), "", InvalidField),
        (StreamId("demo", "live", ".."), "", InvalidField),
        (StreamId("demo", "live", "a/b"), "", InvalidField),
        (DEMO, "push.other.test", UnknownDomain),
    ],
)
async def test_a_place_that_is_not_the_callers_is_refused(
    control: Control, stream: StreamId, domain: str, error: Any
) -> None:
    with pytest.raises(error):
        await recordings.start(control.live, ME, Plan(stream=stream, push_domain=domain))


async def test_one_recording_of_a_kind_at_a_time(control: Control) -> None:
    live = control.live
    await recordings.start(live, ME, CAM)
    with pytest.raises(AlreadyRecorded, match="by recording 1"):
        await recordings.start(live, ME, CAM)
    with pytest.raises(Conflict):
        await recordings.start(live, ME, replace(CAM, from_at=START + MINUTE, until=START + 5 * MINUTE))
    # Another container, another stream.
    await recordings.start(live, ME, replace(CAM, container="hls"))
    await recordings.start(live, ME, replace(CAM, stream=StreamId("demo", "live", "other")))


async def test_planned_ones_may_follow_each_other_and_not_overlap(control: Control) -> None:
    live = control.live
    plan = replace(CAM, from_at=START + 10 * MINUTE, until=START + 20 * MINUTE)
    await recordings.start(live, ME, plan)
    for begin, end in ((0, 10), (20, 30)):
        await recordings.start(live, ME, replace(plan, from_at=START + begin * MINUTE, until=START + end * MINUTE))
    for begin, end in ((5, 11), (19, 25), (12, 14), (0, 40)):
        with pytest.raises(Conflict):
            await recordings.start(live, ME, replace(plan, from_at=START + begin * MINUTE, until=START + end * MINUTE))


async def test_an_account_has_so_many_and_no_more(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_RECORDINGS == 1000
    monkeypatch.setattr(recordings, "MAX_RECORDINGS", 2)
    for name in "ab":
        await recordings.start(control.live, ME, Plan(stream=StreamId("demo", "live", name)))
    with pytest.raises(TooManyRecordings):
        await recordings.start(control.live, ME, Plan(stream=StreamId("demo", "live", "c")))
    await recordings.stop(control.live, ME, 1)
    await recordings.start(control.live, ME, Plan(stream=StreamId("demo", "live", "c")))


async def test_a_dry_run_starts_and_stops_nothing(control: Control) -> None:
    dry = replace(ME, dry_run=True)
    with pytest.raises(DryRun):
        await recordings.start(control.live, dry, CAM)
    await recordings.start(control.live, ME, CAM)
    with pytest.raises(DryRun):
        await recordings.stop(control.live, dry, 1)
    assert [each.row.number for each in control.live.recordings] == [1]


async def test_what_cannot_be_written_is_not_started(control: Control, engine: RecordingEngine) -> None:
    gated(control.live).fails = 1
    with pytest.raises(StorageError):
        await recordings.start(control.live, ME, CAM)
    assert len(control.live.recordings) == 0
    await engine.nothing_more()


async def test_a_stop_is_answered_once_the_last_file_is_finished(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    await engine.next(Record)
    engine.begins(made.id)
    stopping = running(recordings.stop(control.live, ME, made.number))
    await settle()
    await control.live.journal.written()
    await settle()
    assert not stopping.done()
    engine.ends(made.id)
    await engine.stops(made.id)
    row = await stopping
    assert (row.state, row.ended_at, row.why) == ("stopped", START, "stopped by AKone")
    (file,) = await files_of(control, made.number)
    assert (file.size_bytes, file.is_whole) == (5000, True)
    with pytest.raises(AlreadyStopped, match="is over since"):
        await recordings.stop(control.live, ME, made.number)


async def test_a_stop_without_an_engine_is_said_to_the_next_one(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    await engine.leave()
    assert (await recordings.stop(control.live, ME, made.number)).state == "stopped"
    again = RecordingEngine(control)
    await again.hello(made.id)
    await again.stops(made.id)
    await again.nothing_more()


async def test_a_planned_one_is_cancelled_and_no_other(control: Control, engine: RecordingEngine) -> None:
    live = control.live
    made = await recordings.start(live, ME, replace(CAM, from_at=START + MINUTE, until=START + 5 * MINUTE))
    row = await recordings.cancel(live, ME, made.number)
    assert (row.state, row.why) == ("cancelled", "cancelled by AKone")
    with pytest.raises(WrongState):
        await recordings.cancel(live, ME, made.number)
    now = await recordings.start(live, ME, CAM)
    with pytest.raises(WrongState, match="is waiting"):
        await recordings.cancel(live, ME, now.number)


async def test_nobody_elses_recording_is_there(control: Control, engine: RecordingEngine) -> None:
    live = control.live
    made = await recordings.start(live, ME, CAM)
    for number in (made.number, 99):
        for action in (recordings.stop, recordings.cancel, recordings.show, recordings.remove_files):
            with pytest.raises(UnknownRecording, match=f"there is no recording {number}"):
                await action(live, STRANGER, number)
    assert (await row_of(control, made.number)).is_wanted


async def test_progress_is_shown_with_the_rows(control: Control, engine: RecordingEngine) -> None:
    live = control.live
    made = await recordings.start(live, ME, CAM)
    engine.begins(made.id, "demo/live/cam/0.mp4")
    engine.ends(made.id, "demo/live/cam/0.mp4")
    engine.begins(made.id)
    engine.stands(made.id, "recording", path=PATH, size_bytes=700, duration_ms=3000)
    await settle()
    shown = await recordings.show(live, ME, made.number)
    assert shown.row.state == "recording"
    assert shown.sum == FileSum(2, 5700, 63_000, 1)
    assert [(file.size_bytes, file.ended_at is None) for file in shown.files] == [(5000, False), (700, True)]
    page = await recordings.page(live, RecordingQuery(account="1"))
    assert page.total == 1
    assert page.rows[0].sum == FileSum(2, 5700, 63_000, 1)
    assert live.recordings.bytes_written == 700


async def test_files_are_removed_and_their_rows_stay(control: Control, engine: RecordingEngine) -> None:
    live = control.live
    made = await recordings.start(live, ME, CAM)
    await engine.next(Record)
    for path in ("a", "b"):
        engine.begins(made.id, path)
        engine.ends(made.id, path)
    with pytest.raises(WrongState, match="stop it first"):
        await recordings.remove_files(live, ME, made.number)
    stopping = running(recordings.stop(live, ME, made.number))
    await engine.stops(made.id)
    await stopping
    one = running(recordings.remove_files(live, ME, made.number, 2))
    assert await engine.next(RemoveFile) == RemoveFile(made.id, "b")
    engine.send(FileRemoved(made.id, "b"))
    assert [file.path for file in await one] == ["b"]
    rest = running(recordings.remove_files(live, ME, made.number))
    assert await engine.next(RemoveFile) == RemoveFile(made.id, "a")
    engine.send(FileRemoved(made.id, "a", "permission denied"))
    with pytest.raises(Unavailable):
        await rest
    assert [file.removed_at for file in await files_of(control, made.number)] == [None, START]
    with pytest.raises(UnknownRecording, match="no file 9"):
        await recordings.remove_files(live, ME, made.number, 9)
    await engine.leave()
    with pytest.raises(Unavailable):
        await recordings.remove_files(live, ME, made.number)
