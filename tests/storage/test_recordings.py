"""Recordings and their files: written down, noted, over, removed, swept."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from penstock.model import StreamId
from penstock.storage.base import Store
from penstock.storage.recordings import FileEnd, FileSum, Gap, RecordedFile, Recording, RecordingNote, RecordingQuery
from penstock.storage.rows import Retention
from tests.storage.kit import DAY, HOSTILE, NOW, STREAM, at

OTHER = StreamId("demo", "live", "s2")


def recording(**changes: Any) -> Recording:
    row = Recording(
        id="0" * 32, stream=STREAM, account="alice", container="mp4", from_at=NOW, made_at=NOW, state="waiting"
    )
    return replace(row, **changes)


def file(number: int, path: str = "a.mp4", **changes: Any) -> RecordedFile:
    row = RecordedFile(recording=number, path=path, session="s", engine="e1", began_at=NOW)
    return replace(row, **changes)


def file_end(number: int, path: str = "a.mp4", **changes: Any) -> FileEnd:
    row = FileEnd(
        recording=number, path=path, at=at(60), size_bytes=1000, duration_ms=60_000, video="avc", audio="aac",
        gaps=(Gap(5, 6, "publisher left"),), is_whole=True, why="stopped",
    )  # fmt: skip
    return replace(row, **changes)


async def made(store: Store, digit: int = 0, **changes: Any) -> Recording:
    return await store.add_recording(recording(id=f"{digit:032x}", **changes))


async def test_a_recording_has_a_number_and_comes_back_as_it_went(store: Store) -> None:
    whole = recording(
        push_domain="push.demo.test", one_file=True, until=at(600), access_key="AK1", cloud="kingsoft",
        asked={"Ks3FullPathMP4": HOSTILE[4]}, error=HOSTILE[6],
    )  # fmt: skip
    first = await store.add_recording(whole)
    second = await made(store, 1)
    assert (first.number, second.number) == (1, 2)
    assert await store.find_recording(1) == first == replace(whole, number=1)
    assert await store.find_recording(3) is None
    assert first.is_wanted


async def test_a_note_changes_how_it_stands_and_keeps_its_first_bytes(store: Store) -> None:
    number = (await made(store)).number
    await store.note_recording(RecordingNote(number=number, state="recording", began_at=at(1)))
    await store.note_recording(RecordingNote(number=number, state="failed", error="disk full", next_try=at(9)))
    row = await store.find_recording(number)
    assert row is not None
    assert (row.state, row.error, row.next_try, row.began_at) == ("failed", "disk full", at(9), at(1))
    await store.note_recording(RecordingNote(number=number, state="recording", began_at=at(10)))
    row = await store.find_recording(number)
    assert row is not None
    assert (row.state, row.error, row.next_try, row.began_at) == ("recording", "", None, at(1))


async def test_an_end_is_written_once(store: Store) -> None:
    number = (await made(store)).number
    assert await store.wanted_recordings() == [recording(number=number)]
    assert await store.end_recording(number, at(5), "stopped", "by AK1")
    assert not await store.end_recording(number, at(6), "cancelled", "again")
    row = await store.find_recording(number)
    assert row is not None
    assert (row.ended_at, row.state, row.why, row.is_wanted) == (at(5), "stopped", "by AK1", False)
    assert await store.wanted_recordings() == []


async def test_recordings_are_found_by_each_of_their_words(store: Store) -> None:
    await made(store, 1, from_at=at(1), push_domain="p1")
    await made(store, 2, from_at=at(2), until=at(9), state="planned")
    await made(store, 3, from_at=at(3), stream=OTHER)
    await made(store, 4, from_at=at(4), account="bob")
    await store.end_recording(3, at(8), "stopped", "")

    async def found(**asked: Any) -> list[int]:
        return [row.number for row in (await store.recordings(RecordingQuery(**asked))).rows]

    assert await found() == [4, 3, 2, 1]
    assert await found(newest_first=False, offset=1, limit=2) == [2, 3]
    assert await found(account="alice") == [3, 2, 1]
    assert await found(stream="s2", vhost="demo", app="live") == [3]
    assert await found(push_domain="p1") == [1]
    assert await found(is_wanted=True) == [4, 2, 1]
    assert await found(is_wanted=False) == [3]
    assert await found(is_planned=True) == [2]
    assert await found(is_planned=False) == [4, 3, 1]
    assert await found(states=("planned", "stopped")) == [3, 2]
    assert await found(since=at(2), until=at(4)) == [3, 2]
    assert (await store.recordings(RecordingQuery(limit=1))).total == 4


async def test_the_latest_that_the_settings_made_is_known(store: Store) -> None:
    assert await store.last_always(STREAM) is None
    for digit, always in ((1, True), (2, True), (3, False)):
        await made(store, digit, always=always)
    found = await store.last_always(STREAM)
    assert found is not None
    assert found.number == 2
    assert await store.last_always(OTHER) is None


async def test_a_file_has_a_beginning_then_an_end_with_its_facts(store: Store) -> None:
    number = (await made(store)).number
    await store.begin_file(file(number))
    (open_file,) = await store.open_files()
    assert (open_file.id, open_file.ended_at) == (1, None)
    await store.end_file(file_end(number))
    assert await store.open_files() == []
    (ended,) = await store.files_of(number)
    assert ended == await store.find_file(1)
    assert (ended.ended_at, ended.size_bytes, ended.duration_ms, ended.video, ended.audio, ended.is_whole) == (
        at(60), 1000, 60_000, "avc", "aac", True,
    )  # fmt: skip
    assert ended.gaps == (Gap(5, 6, "publisher left"),)
    # Told again, by an engine that knows less of it.
    await store.end_file(file_end(number, size_bytes=1, is_whole=False, at=at(99)))
    assert await store.files_of(number) == [ended]


async def test_a_file_that_was_lost_may_be_found(store: Store) -> None:
    number = (await made(store)).number
    await store.begin_file(file(number))
    await store.end_file(file_end(number, is_lost=True, is_whole=False, size_bytes=0, by="e2"))
    assert await store.sum_files([number]) == {}
    await store.end_file(file_end(number))
    (found,) = await store.files_of(number)
    assert (found.is_lost, found.is_whole, found.size_bytes) == (False, True, 1000)


async def test_a_file_goes_on_in_another_session(store: Store) -> None:
    number = (await made(store)).number
    await store.begin_file(file(number))
    await store.end_file(file_end(number))
    await store.begin_file(file(number, session="later", engine="e2", began_at=at(100)))
    (again,) = await store.files_of(number)
    assert (again.id, again.session, again.engine, again.began_at, again.ended_at) == (1, "s", "e2", NOW, None)
    await store.end_file(file_end(number, size_bytes=3000, at=at(200)))
    (ended,) = await store.files_of(number)
    assert (ended.size_bytes, ended.ended_at) == (3000, at(200))


async def test_an_end_whose_beginning_was_lost_is_kept(store: Store) -> None:
    number = (await made(store)).number
    await store.end_file(file_end(number))
    (found,) = await store.files_of(number)
    assert (found.began_at, found.ended_at, found.size_bytes) == (at(60), at(60), 1000)


async def test_sums_leave_out_what_was_removed(store: Store) -> None:
    number = (await made(store)).number
    for path in ("a", "b", "c"):
        await store.begin_file(file(number, path))
        await store.end_file(file_end(number, path))
    await store.remove_file(number, "b", at(70))
    assert await store.sum_files([number, 99]) == {number: FileSum(2, 2000, 120_000, 2)}
    assert [each.removed_at for each in await store.files_of(number)] == [None, at(70), None]


@pytest.mark.parametrize(
    ("before", "most", "due"),
    [
        (None, None, ""),
        (at(61), None, "a"),
        (at(60), None, ""),
        (None, 4000, ""),
        (None, 3999, "a"),
        (None, 2000, "ab"),
        (at(61), 2000, "ab"),
        (None, 0, "abc"),
    ],
)
async def test_old_files_and_those_above_a_size_have_to_go(store: Store, before: Any, most: Any, due: str) -> None:
    number = (await made(store)).number
    for index, path in enumerate("abc"):
        await store.begin_file(file(number, path))
        await store.end_file(file_end(number, path, at=at(60 + index), size_bytes=1000))
    await store.begin_file(file(number, "under way"))
    await store.end_file(file_end(number, "gone", size_bytes=5000, at=at(1)))
    await store.remove_file(number, "gone", at(2))
    await store.end_file(file_end(number, "d", size_bytes=1000, at=at(70)))
    found = await store.files_to_remove(before, most, 3)
    assert "".join(each.path for each in found) == due
    assert [each.path for each in await store.files_to_remove(before, most, 1)] == list(due[:1])


async def test_a_recording_is_swept_once_none_of_its_files_is_there(store: Store) -> None:
    kept, gone, wanted = [(await made(store, digit)).number for digit in range(3)]
    for number in (kept, gone):
        await store.begin_file(file(number))
        await store.end_file(file_end(number))
        await store.end_recording(number, at(60), "stopped", "")
    await store.remove_file(gone, "a.mp4", at(70))
    assert (await store.sweep(Retention(recorded_before=at(60)))).recordings == 0
    assert (await store.sweep(Retention(recorded_before=NOW + DAY))).recordings == 1
    assert await store.find_recording(gone) is None
    assert await store.files_of(gone) == []
    assert await store.find_recording(kept) is not None
    assert await store.find_recording(wanted) is not None
    # Nobody else is given its number.
    assert (await made(store, 9)).number == 4


async def test_a_secret_is_made_once_and_is_nobody_elses(store: Store) -> None:
    first = await store.secret("recordings")
    assert len(first) == 64
    assert await store.secret("recordings") == first
    assert await store.secret("other") != first
