"""What control orders and hears: each file once, whoever comes and goes meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from penstock.engine.control import ControlLink
from penstock.engine.recording import desk as desk_module
from penstock.engine.recording.desk import FromDesk
from penstock.link.messages import Ended, Hello
from penstock.link.recording import (
    Container,
    FileBegan,
    FileEnded,
    FileRemoved,
    FilesNoted,
    Inspect,
    Record,
    RecordingState,
    RecordingTold,
    RecordOrder,
    RemoveFile,
    StopRecording,
)
from tests.engine.kit import DEMO
from tests.engine.recording.kit import ID, Studio
from tests.engine.test_control import WELCOME, FakeControl
from tests.engine.test_segments import SETUP, pictures

WAITING, RECORDING, STOPPED = RecordingState.WAITING, RecordingState.RECORDING, RecordingState.STOPPED


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path / "recordings")


def session(studio: Studio) -> None:
    studio.begin()
    studio.send(*SETUP, *pictures(2.0))
    studio.end()


def test_beginnings_and_ends_are_numbered_and_told_again_until_they_are_noted(studio: Studio) -> None:
    studio.record()
    session(studio)
    assert [message.number for message in studio.heard(FileBegan)] == [1]
    assert [message.number for message in studio.heard(FileEnded)] == [2]
    again: list[FromDesk] = []
    studio.desk.detach()
    session(studio)
    studio.desk.attach(again.append)
    assert [m.number for m in again if isinstance(m, FileBegan | FileEnded)] == [1, 2, 3, 4]
    assert [m.state for m in again if isinstance(m, RecordingTold)] == [WAITING]
    studio.desk.receive(FilesNoted(3))
    last: list[FromDesk] = []
    studio.desk.attach(last.append)
    assert [m.number for m in last if isinstance(m, FileBegan | FileEnded)] == [4]


def test_so_many_are_kept_the_latest_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "MAX_UNHEARD", 4)
    studio = Studio(tmp_path / "recordings")
    studio.record()
    for _ in range(5):
        session(studio)
    again: list[FromDesk] = []
    studio.desk.attach(again.append)
    assert [m.number for m in again if isinstance(m, FileBegan | FileEnded)] == [7, 8, 9, 10]


def test_the_same_order_again_changes_nothing_and_is_answered(studio: Studio) -> None:
    studio.record()
    studio.begin()
    studio.send(*SETUP, *pictures(2.0))
    studio.record()
    assert studio.heard(RecordingTold)[-1] == studio.heard(RecordingTold)[-2]
    assert len(studio.began()) == 1
    assert studio.desk.ids == (ID,)


def test_a_stop_of_what_is_unknown_is_a_stop(studio: Studio) -> None:
    studio.stop("f" * 32)
    assert studio.told == [RecordingTold("f" * 32, STOPPED)]


def test_an_order_while_the_last_one_is_being_closed_begins_anew(studio: Studio) -> None:
    studio.record()
    studio.begin()
    studio.send(*SETUP, *pictures(2.0))
    studio.disk.at_once = False
    studio.stop()
    studio.record()
    assert studio.state == RECORDING
    studio.disk.at_once = True
    studio.disk.work()
    assert [told.state for told in studio.heard(RecordingTold)][-2:] == [STOPPED, WAITING]
    studio.send(*pictures(2.0, from_s=2.0))
    assert len(studio.began()) == 2


def test_the_end_of_a_file_is_told_before_the_end_of_its_recording(studio: Studio) -> None:
    studio.record()
    studio.begin()
    studio.send(*SETUP, *pictures(2.0))
    studio.disk.at_once = False
    studio.stop()
    assert studio.heard(FileEnded) == []
    studio.disk.work()
    last, end = studio.told[-1], studio.told[-2]
    assert isinstance(last, RecordingTold)
    assert last.state == STOPPED
    assert isinstance(end, FileEnded)


# Files


def test_a_file_under_way_is_neither_inspected_nor_removed(studio: Studio) -> None:
    studio.record()
    studio.begin()
    studio.send(*SETUP, *pictures(2.0))
    (began,) = studio.heard(FileBegan)
    studio.desk.receive(Inspect(ID, began.path))
    assert studio.heard(FileEnded) == []
    studio.desk.receive(RemoveFile(ID, began.path))
    (removed,) = studio.heard(FileRemoved)
    assert removed.error == f"{began.path} is in use; stop its recording first"
    assert (studio.root / began.path).exists()


def test_a_file_of_a_dead_engine_is_inspected_and_its_end_is_told(studio: Studio, tmp_path: Path) -> None:
    dead = Studio(studio.root)
    dead.record()
    dead.begin()
    dead.send(*SETUP, *pictures(3.1))
    (began,) = dead.heard(FileBegan)
    ended = studio.inspect(began.path)
    assert (ended.number, ended.id, ended.path) == (1, ID, began.path)
    assert ended.why == "the engine that wrote it died"
    assert ended.facts is not None
    assert not ended.facts.is_whole
    assert ended.facts.duration_ms == pytest.approx(3000, abs=50)
    gone = studio.inspect(began.path.replace("T12", "T13"))
    assert gone.facts is None
    assert "No such file" in gone.why


@pytest.mark.parametrize("container", [Container.MP4, Container.HLS])
def test_a_removed_file_takes_its_empty_folders_along(container: Container, studio: Studio) -> None:
    studio.record(container)
    session(studio)
    session(studio)
    one, two = (began.path for began in studio.heard(FileBegan))
    studio.desk.receive(RemoveFile(ID, one))
    assert not (studio.root / one).exists()
    assert (studio.root / two).exists()
    studio.desk.receive(RemoveFile(ID, two))
    assert list(studio.root.iterdir()) == []
    # Gone is gone.
    studio.desk.receive(RemoveFile(ID, two))
    assert [message.error for message in studio.heard(FileRemoved)] == ["", "", ""]
    session(studio)
    assert studio.state == WAITING
    assert studio.error == ""


# With the link


async def test_the_link_brings_orders_and_each_control_process_hears_what_goes_on(studio: Studio) -> None:
    link = ControlLink(studio.hub, studio.hub.meter, studio.clock, studio.clock.later, 3.0, studio.desk)
    control = FakeControl(link)
    assert (await control.next(Hello)).recordings == ()
    control.send(WELCOME, Record(RecordOrder(ID, DEMO, Container.FLV)))
    assert (await control.next(RecordingTold)).state == WAITING
    control.close()
    await control.lost
    session(studio)
    other = FakeControl(link)
    assert (await other.next(Hello)).recordings == (ID,)
    other.send(WELCOME)
    # Ends of sessions come first, as they always did.
    await other.next(Ended)
    assert [(await other.next(FileBegan)).number, (await other.next(FileEnded)).number] == [1, 2]
    assert (await other.next(RecordingTold)).state == WAITING
    other.send(FilesNoted(2), StopRecording(ID))
    assert (await other.next(RecordingTold)).state == STOPPED
    assert list(studio.desk._untold) == []


async def test_closing_waits_for_the_disk_and_not_for_ever(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    studio.record()
    studio.begin()
    studio.send(*SETUP, *pictures(2.0))
    studio.disk.at_once = False
    closing = asyncio.create_task(studio.desk.close(within_s=10))
    await asyncio.sleep(0)
    assert not closing.done()
    studio.disk.work()
    await closing
    assert studio.heard(FileEnded)[0].why == "engine stopped"

    studio.disk.at_once = True
    studio.record()
    studio.send(*pictures(2.0, from_s=2.0))
    studio.disk.at_once = False
    await studio.desk.close(within_s=0.01)
    assert "1 recordings are cut off" in caplog.text
