"""Recordings, as the operator asks for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.admin import records as verbs
from penstock.domain.live import NoRecorder
from penstock.errors import (
    AlreadyRecorded,
    AlreadyStopped,
    InvalidField,
    NothingRecorded,
    TooShort,
    UnknownRecording,
    UnknownVhost,
    WrongState,
)
from penstock.storage.recordings import FileEnd, Gap, RecordedFile
from tests.api.operator.kit import Office, office
from tests.clock import START

HOUR = timedelta(hours=1)


class Remover(NoRecorder):
    """Deletes what it is told to."""

    def __init__(self, desk: Office) -> None:
        self._live = desk.live

    async def remove(self, id: str, path: str) -> bool:
        row = await self._live.store.recording_of(id)
        assert row is not None
        await self._live.store.remove_file(row.number, path, START)
        return True


async def filed(desk: Office, number: int, path: str = "demo/live/cam/a.mp4") -> None:
    """A file of that recording, which is finished."""
    store = desk.live.store
    await store.begin_file(RecordedFile(recording=number, path=path, session="s", engine="e", began_at=START))
    await store.end_file(
        FileEnd(
            recording=number, path=path, at=START + HOUR, size_bytes=5000, duration_ms=61_500, video="avc",
            gaps=(Gap(1000, 500, "nobody published"),), is_whole=True, why="stopped",
        )
    )  # fmt: skip


async def started(desk: Office, **changes: Any) -> verbs.Recording:
    answer = await desk.ask(verbs.StartRecord(**{"stream": "demo/live/cam", **changes}))
    assert isinstance(answer, verbs.Started)
    return answer.recording


async def test_a_recording_is_started_listed_and_stopped() -> None:
    async with office() as desk:
        made = await started(desk, container="flv", one_file=True)
        assert (made.number, made.state, made.container, made.one_file) == (1, "waiting", "flv", True)
        assert (made.from_at, made.until, made.cloud, made.access_key, made.account) == (START, None, "", "", "1")
        listed = await desk.ask(verbs.ListRecords())
        assert (listed.recordings, listed.total) == ([made], 1)
        with pytest.raises(AlreadyRecorded):
            await started(desk, container="flv")
        stopped = (await desk.ask(verbs.StopRecord(id=1))).recording
        assert (stopped.state, stopped.why, stopped.ended_at) == ("stopped", "stopped by the operator", START)
        assert (await desk.ask(verbs.ListRecords())).total == 0
        assert (await desk.ask(verbs.ListRecords(over=True))).recordings == [stopped]
        with pytest.raises(AlreadyStopped):
            await desk.ask(verbs.StopRecord(id=1))


async def test_times_may_be_spans_from_now_and_from_the_start() -> None:
    async with office() as desk:
        made = await started(desk, from_s=60.0, for_s=600.0)
        assert (made.from_at, made.until) == (START + timedelta(seconds=60), START + timedelta(seconds=660))
        assert made.state == "planned"
        assert (await desk.ask(verbs.StopRecord(id=1))).recording.state == "cancelled"
        made = await started(desk, from_at=START + HOUR, for_s=60.0)
        assert made.until == START + HOUR + timedelta(seconds=60)
        with pytest.raises(TooShort):
            await started(desk, for_s=59.0)
        for both in ({"from_at": START, "from_s": 1.0}, {"until": START, "for_s": 1.0}):
            with pytest.raises(InvalidField, match="left out beside a time"):
                await started(desk, **both)


async def test_a_stream_that_cannot_be_is_refused() -> None:
    async with office() as desk:
        with pytest.raises(UnknownVhost):
            await started(desk, stream="nosuch/live/cam")
        with pytest.raises(InvalidField, match="app"):
            await started(desk, stream="demo/nosuch/cam")


async def test_lists_can_be_of_one_vhost_account_or_stream() -> None:
    async with office() as desk:
        for stream in ("demo/live/a", "demo/live/b", "other/live/a"):
            await started(desk, stream=stream)
        for ask, wanted in (
            ({}, ["a", "b", "a"]),
            ({"vhost": "demo"}, ["b", "a"]),
            ({"account": "2"}, ["a"]),
            ({"stream": "b"}, ["b"]),
            ({"offset": 1, "limit": 1}, ["b"]),
        ):
            answer = await desk.ask(verbs.ListRecords(**ask))
            assert [each.stream for each in answer.recordings] == wanted


async def test_a_recording_is_shown_with_its_files_and_their_urls() -> None:
    async with office() as desk:
        await started(desk)
        await filed(desk, 1)
        answer = await desk.ask(verbs.ShowRecord(id=1))
        assert (answer.recording.files, answer.recording.size_bytes, answer.recording.duration_s) == (1, 5000, 61.5)
        (file,) = answer.files
        assert (file.id, file.path, file.is_whole, file.why) == (1, "demo/live/cam/a.mp4", True, "stopped")
        assert file.gaps == [verbs.Gap(at_s=1.0, length_s=0.5, why="nobody published")]
        assert file.url.startswith("http://penstock.test/recordings/demo/live/cam/1/")
        with pytest.raises(UnknownRecording):
            await desk.ask(verbs.ShowRecord(id=2))


async def test_urls_are_made_for_as_long_as_is_asked() -> None:
    async with office() as desk:
        await started(desk)
        with pytest.raises(NothingRecorded):
            await desk.ask(verbs.MakeUrls(id=1))
        for path in ("demo/live/cam/a.mp4", "demo/live/cam/b.mp4"):
            await filed(desk, 1, path)
        urls = (await desk.ask(verbs.MakeUrls(id=1, for_s=60.0))).urls
        until = int(START.timestamp()) + 61
        assert [url.split("/")[8].split("-")[0] for url in urls] == [str(until)] * 2
        assert (await desk.ask(verbs.MakeUrls(id=1, file=2, for_s=60.0))).urls == urls[1:]
        with pytest.raises(InvalidField, match="at most 7 days"):
            await desk.ask(verbs.MakeUrls(id=1, for_s=8 * 86_400.0))


async def test_files_are_removed_once_the_recording_is_over() -> None:
    async with office() as desk:
        desk.live.recorder = Remover(desk)
        await started(desk)
        await filed(desk, 1)
        with pytest.raises(WrongState):
            await desk.ask(verbs.RemoveRecord(id=1))
        await desk.ask(verbs.StopRecord(id=1))
        assert await desk.ask(verbs.RemoveRecord(id=1)) == verbs.Removed(files=1, size_bytes=5000)
        shown = await desk.ask(verbs.ShowRecord(id=1))
        assert (shown.recording.files, shown.files[0].removed_at, shown.files[0].url) == (0, START, "")
        assert await desk.ask(verbs.RemoveRecord(id=1)) == verbs.Removed(files=0, size_bytes=0)
