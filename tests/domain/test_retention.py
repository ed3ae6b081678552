from __future__ import annotations

from datetime import timedelta

from penstock.config import Retention
from penstock.domain import bans, retention
from penstock.domain.live import Live, NoRecorder
from penstock.storage.recordings import FileEnd, RecordedFile, Recording
from penstock.storage.rows import HistoryQuery, RefusalQuery
from tests.clock import START
from tests.domain.kit import DEMO, ME, OTHER
from tests.storage import kit as rows

DAY = timedelta(days=1)
KEEP = Retention(sessions_days=10, refusals_days=5, explained_days=2)
FIRST, LAST = START - 1000 * DAY, START + 1000 * DAY


async def put(live: Live, epoch: int, days_ago: float) -> None:
    at = START - days_ago * DAY
    await rows.publish(live.store, epoch, at - timedelta(hours=1), at)
    await live.store.put_refusals([rows.refusal(at=at)])
    await live.store.put_explained([rows.entry(f"r{epoch}", at=at)])


async def left(live: Live) -> tuple[int, int, list[str]]:
    past = await live.store.history(HistoryQuery(since=FIRST, until=LAST))
    refused = await live.store.refusals(RefusalQuery(since=FIRST, until=LAST))
    explained = [name for name in ("r1", "r2", "r3", "r4") if await live.store.explained(name) is not None]
    return past.total, refused.total, explained


async def test_each_kind_stays_for_its_days(live: Live) -> None:
    for epoch, days in enumerate((1.9, 4.9, 9.9, 10.1), 1):
        await put(live, epoch, days)
    swept = await retention.sweep(live, KEEP)
    assert (swept.sessions, swept.refusals, swept.explained) == (1, 2, 3)
    assert await left(live) == (3, 2, ["r1"])


async def test_what_the_domains_clock_says_is_old_is_old_but_explanations_go_by_the_machines(live: Live) -> None:
    await put(live, 1, 0)
    live.clock.turn(by=11 * DAY)
    await retention.sweep(live, KEEP)
    assert await left(live) == (0, 0, ["r1"])


async def test_a_number_is_a_bound_too(live: Live) -> None:
    for epoch in range(1, 5):
        await put(live, epoch, 0.1 * epoch)
    few = Retention(max_sessions=1000, max_refusals=1000, max_explained=100)
    await retention.sweep(live, few)
    assert await left(live) == (4, 4, ["r1", "r2", "r3", "r4"])


async def test_bans_that_ran_out_are_forgotten_and_the_others_hold(live: Live) -> None:
    await bans.ban(live, ME, DEMO, until=START + DAY)
    await bans.ban(live, ME, OTHER, until=START + 3 * DAY)
    live.clock.turn(by=2 * DAY)
    await retention.sweep(live, KEEP)
    assert [ban.stream for ban in live.bans.in_force(START)] == [OTHER]
    assert await live.store.find_ban(OTHER, live.clock.now()) is not None


# Recorded files


class Remover(NoRecorder):
    """Deletes what it is told to, as long as its disk does."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.removed: list[str] = []
        self.takes = 100

    async def remove(self, id: str, path: str) -> bool:
        if len(self.removed) == self.takes:
            return False
        self.removed.append(path)
        row = await self._live.store.recording_of(id)
        assert row is not None
        await self._live.store.remove_file(row.number, path, self._live.clock.now())
        return True


async def recorded(live: Live, days_ago: dict[str, float], size: int = 1000) -> Remover:
    """One recording that is over, with files that ended so long ago."""
    row = await live.store.add_recording(
        Recording(id="0" * 32, stream=DEMO, account="1", container="mp4", from_at=START, made_at=START, state="waiting")
    )
    for path, days in days_ago.items():
        await live.store.begin_file(
            RecordedFile(recording=row.number, path=path, session="s", engine="e", began_at=START - days * DAY)
        )
        await live.store.end_file(
            FileEnd(recording=row.number, path=path, at=START - days * DAY, size_bytes=size, is_whole=True)
        )
    await live.store.end_recording(row.number, START, "stopped", "")
    live.recorder = remover = Remover(live)
    return remover


async def test_recorded_files_stay_unless_the_settings_say_otherwise(live: Live) -> None:
    remover = await recorded(live, {"a": 1000})
    assert await retention.sweep_files(live, Retention()) == 0
    assert remover.removed == []


async def test_recorded_files_go_after_their_days_and_their_rows_stay(live: Live) -> None:
    remover = await recorded(live, {"a": 12, "b": 11, "c": 9})
    assert await retention.sweep_files(live, Retention(recordings_days=10)) == 2
    assert remover.removed == ["a", "b"]
    assert [file.removed_at for file in await live.store.files_of(1)] == [START, START, None]
    assert await retention.sweep_files(live, Retention(recordings_days=10)) == 0


async def test_above_the_size_of_all_the_oldest_go(live: Live) -> None:
    remover = await recorded(live, {"new": 1, "older": 2, "oldest": 3}, size=retention.GIB // 2 + 1)
    assert await retention.sweep_files(live, Retention(recordings_gib=1)) == 2
    assert remover.removed == ["oldest", "older"]


async def test_a_file_that_cannot_be_removed_is_tried_again(live: Live) -> None:
    remover = await recorded(live, {"a": 12, "b": 11})
    remover.takes = 1
    assert await retention.sweep_files(live, Retention(recordings_days=10)) == 1
    remover.takes = 2
    assert await retention.sweep_files(live, Retention(recordings_days=10)) == 1
    assert remover.removed == ["a", "b"]


async def test_a_recording_is_forgotten_after_its_files_and_the_days_of_sessions(live: Live) -> None:
    await recorded(live, {"a": 1})
    live.clock.turn(by=11 * DAY)
    assert (await retention.sweep(live, KEEP)).recordings == 0
    await retention.sweep_files(live, Retention(recordings_days=5))
    assert (await retention.sweep(live, KEEP)).recordings == 1
    assert await live.store.find_recording(1) is None
