"""What control and an engine say of recordings, with an engine that the test plays by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from penstock.domain import recordings
from penstock.domain.engines import EngineLink
from penstock.domain.recorder_link import FIRST_WAIT, LONGEST_WAIT
from penstock.domain.recordings import Plan
from penstock.domain.recordingtable import RecordingTable
from penstock.model import StreamId
from penstock.storage.recordings import Gap
from tests.clock import START, ManualClock
from tests.domain.kit import ME, gated, opened
from tests.domain.recorder import (
    CAM,
    PATH,
    Control,
    FilesNoted,
    Inspect,
    Record,
    RecordingEngine,
    StopRecording,
    files_of,
    row_of,
    settle,
)


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


async def test_a_new_engine_hears_what_is_wanted_and_what_is_not(control: Control) -> None:
    live = control.live
    made = await recordings.start(live, ME, CAM)
    later = START + timedelta(hours=1)
    await recordings.start(live, ME, Plan(stream=StreamId("demo", "live", "b"), from_at=later))
    engine = RecordingEngine(control)
    await engine.hello("f" * 32)
    assert await engine.next(StopRecording) == StopRecording("f" * 32)
    assert (await engine.next(Record)).order.id == made.id
    await engine.nothing_more()


async def test_recording_is_said_only_while_bytes_flow(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    for told in ("waiting", "recording", "recording", "waiting", "recording"):
        engine.stands(made.id, told)
        await settle()
        row = await row_of(control, made.number)
        assert row.state == told
    assert row.began_at == START
    await engine.leave()
    assert (await row_of(control, made.number)).state == "waiting"


async def test_a_control_that_comes_back_says_waiting_until_it_knows(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    engine.stands(made.id, "recording")
    await settle()
    await row_of(control, made.number)
    table = RecordingTable()
    await table.load(control.live.store)
    assert [each.row.state for each in table] == ["waiting"]
    assert (await row_of(control, made.number)).state == "waiting"


async def test_a_failure_says_why_and_when_it_is_tried_again(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    waits = []
    for turn in range(9):
        engine.stands(made.id, "failed", error=f"the disk is full ({turn})")
        await settle()
        row = await row_of(control, made.number)
        assert (row.state, row.error) == ("failed", f"the disk is full ({turn})")
        assert row.next_try is not None
        waits.append(row.next_try - START)
    assert waits[0] == FIRST_WAIT
    assert waits[1] == 2 * FIRST_WAIT
    assert waits[-1] == LONGEST_WAIT
    # The same again is no other failure.
    engine.stands(made.id, "failed", error="the disk is full (8)")
    await settle()
    assert control.live.tallies.recordings_failed == 9
    engine.stands(made.id, "recording")
    await settle()
    row = await row_of(control, made.number)
    assert (row.state, row.error, row.next_try) == ("recording", "", None)


async def test_what_was_recorded_for_long_fails_for_the_first_time(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    for _ in range(3):
        engine.stands(made.id, "failed", error="full")
        engine.stands(made.id, "recording")
    await settle()
    control.clock.advance(LONGEST_WAIT.total_seconds() + 1)
    engine.stands(made.id, "recording")
    engine.stands(made.id, "failed", error="full")
    await settle()
    row = await row_of(control, made.number)
    assert row.next_try == control.live.clock.now() + FIRST_WAIT


async def test_what_is_told_of_a_stopped_one_changes_nothing(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    await engine.leave()
    await recordings.stop(control.live, ME, made.number)
    again = RecordingEngine(control)
    await again.hello(made.id)
    for told in ("recording", "failed", "stopped"):
        again.stands(made.id, told)
    await settle()
    assert (await row_of(control, made.number)).state == "stopped"


async def test_files_are_noted_once_they_are_written_down(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    await engine.next(Record)
    gate = gated(control.live)
    gate.opened.clear()
    engine.begins(made.id)
    await engine.nothing_more()
    gate.opened.set()
    assert await engine.next(FilesNoted) == FilesNoted(1)
    engine.ends(made.id)
    assert await engine.next(FilesNoted) == FilesNoted(2)
    (file,) = await files_of(control, made.number)
    assert (file.path, file.session, file.engine, file.began_at) == (PATH, "session-1", "engine-1", START)
    assert (file.ended_at, file.size_bytes, file.duration_ms) == (START + timedelta(seconds=60), 5000, 60_000)
    assert (file.video, file.audio, file.is_whole, file.is_lost, file.why) == ("avc", "aac", True, False, "stopped")
    assert file.gaps == (Gap(5, 10, "the disk was behind"),)


async def test_behind_a_file_that_was_not_written_none_is_noted(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    await engine.next(Record)
    gated(control.live).fails = 1
    engine.begins(made.id)
    await settle()
    await control.live.journal.written()
    engine.ends(made.id)
    await control.live.journal.written()
    await engine.nothing_more()


async def test_a_file_that_is_told_twice_is_there_once(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    for _ in range(2):
        engine.begins(made.id)
        engine.ends(made.id)
    assert [file.size_bytes for file in await files_of(control, made.number)] == [5000]


async def test_a_file_of_a_recording_that_nobody_knows_is_noted_and_forgotten(
    control: Control, engine: RecordingEngine
) -> None:
    engine.begins("e" * 32)
    engine.ends("e" * 32)
    assert await engine.next(FilesNoted) == FilesNoted(1)
    assert await control.live.store.open_files() == []


async def test_files_of_an_engine_that_died_are_looked_into(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    engine.begins(made.id)
    await files_of(control, made.number)
    await engine.leave()
    successor = RecordingEngine(control, "engine-2")
    await successor.hello()
    # Before it is told to record: it may go on in the same file.
    assert await successor.next(Inspect) == Inspect(made.id, PATH)
    assert (await successor.next(Record)).order.id == made.id
    successor.ends(made.id)
    (file,) = await files_of(control, made.number)
    assert (file.ended_at is None, file.size_bytes) == (False, 5000)


async def test_a_file_that_cannot_be_read_is_lost_and_says_why(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    engine.begins(made.id)
    await files_of(control, made.number)
    await engine.leave()
    successor = RecordingEngine(control, "engine-2")
    await successor.hello()
    assert await successor.next(Inspect) == Inspect(made.id, PATH)
    successor.ends(made.id, facts=None, why="there is no such file")
    (file,) = await files_of(control, made.number)
    assert (file.is_lost, file.is_whole, file.why) == (True, False, "there is no such file")


async def test_a_file_that_its_own_engine_could_not_write_never_was(control: Control, engine: RecordingEngine) -> None:
    made = await recordings.start(control.live, ME, CAM)
    for _ in range(3):
        engine.begins(made.id)
        engine.ends(made.id, facts=None, why="the disk is full")
    assert await files_of(control, made.number) == []


async def test_a_link_that_broke_has_no_file_of_its_own_engine_looked_into(
    control: Control, engine: RecordingEngine
) -> None:
    made = await recordings.start(control.live, ME, CAM)
    engine.begins(made.id)
    await files_of(control, made.number)
    await engine.leave()
    again = RecordingEngine(control)
    await again.hello(made.id)
    assert (await again.next(Record)).order.id == made.id
    await again.nothing_more()
