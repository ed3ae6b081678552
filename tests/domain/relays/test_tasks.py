"""What may be done with tasks, by whom, and when."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from penstock.domain.live import Live
from penstock.domain.relays import tasks
from penstock.domain.relays.board import Limits
from penstock.domain.relays.states import ENDED, IN_EFFECT, NOT_STARTED, STOPPED, TaskState, state_of
from penstock.domain.relays.wishes import Overlay
from penstock.errors import Conflict, DryRun, NotFound, TooManyTasks
from penstock.storage.relay_rows import NoticeQuery, RelayProgress, Source, Watermark
from tests.clock import START, ManualClock
from tests.domain.relays.kit import CALLBACK, FILES, HOUR, ME, STRANGER, files, wish

LATER = {"starts_at": START + HOUR, "ends_at": START + 2 * HOUR}
PAST = {"starts_at": START - 2 * HOUR, "ends_at": START - HOUR}


def state(live: Live, task: object) -> TaskState:
    return state_of(task, live.clock.now())  # type: ignore[arg-type]


async def events(live: Live, id: str) -> list[str]:
    return [str(notice.event) for notice in (await live.store.notices(NoticeQuery(subject=id))).rows[::-1]]


# Make


async def test_a_task_keeps_who_asked_and_what_was_asked(live: Live) -> None:
    asked = files(
        title="news", callback_url=CALLBACK, cycle_mode=0, play_times=3, resumes_late=True, download_first=False
    )
    made = await tasks.create(live, ME, asked)
    assert (made.account, made.access_key, made.cloud, made.group) == ("1", "AKone", "volcengine", "default")
    assert (made.created_at, made.changed_at, made.starts_at) == (START, START, START)
    assert (made.kind, made.sources, made.cycle_mode, made.play_times) == ("files", FILES, 0, 3)
    assert (made.resumes_late, made.download_first, made.callback_url) == (True, False, CALLBACK)
    assert len(made.id) == 32
    assert set(made.id) <= set("0123456789abcdef")
    assert await live.store.find_relay(made.id) == made
    assert live.relays.tasks[made.id] == made


@pytest.mark.parametrize(("window", "expected"), [({}, IN_EFFECT), (LATER, NOT_STARTED), (PAST, ENDED)])
async def test_a_new_tasks_state_goes_by_the_clock(live: Live, window: dict[str, object], expected: TaskState) -> None:
    assert state(live, await tasks.create(live, ME, wish(**window))) is expected


async def test_what_does_not_count_for_a_live_source_is_not_kept(live: Live) -> None:
    made = await tasks.create(live, ME, wish(cycle_mode=9, play_times=4, has_parts=True))
    assert (made.cycle_mode, made.play_times, made.has_parts) == (0, None, False)


async def test_a_picture_is_kept_by_its_content(live: Live) -> None:
    first = await tasks.create(live, ME, wish(overlay=Overlay(b"picture", 0.1, 0.2, 0.3)))
    second = await tasks.create(live, ME, wish(overlay=Overlay(b"picture", 0.0, 0.0, 0.1)))
    assert first.watermark is not None
    assert second.watermark is not None
    assert first.watermark == Watermark(second.watermark.picture, 0.1, 0.2, 0.3)
    assert await live.store.relay_picture(first.watermark.picture) == b"picture"


async def test_as_many_tasks_as_may_be_are_neither_stopped_nor_over(live: Live) -> None:
    live.relays.limits = Limits(tasks=3, account_tasks=2)
    first = await tasks.create(live, ME, wish())
    await tasks.create(live, ME, wish(**LATER))
    await tasks.create(live, ME, wish(**PAST))
    with pytest.raises(TooManyTasks, match=r"account 1 has 2 .*; it may have 2 \(relay.max_account_tasks\)"):
        await tasks.create(live, ME, wish())
    await tasks.stop(live, ME, first.id)
    await tasks.create(live, ME, wish())
    with pytest.raises(TooManyTasks):
        await tasks.restart(live, ME, first.id)
    await tasks.create(live, STRANGER, wish())
    with pytest.raises(TooManyTasks, match=r"there are 3 .*; there may be 3 \(relay.max_tasks\)"):
        await tasks.create(live, STRANGER, wish())


async def test_an_account_keeps_a_number_of_tasks_in_whatever_state(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MAX_KEPT", 2)
    for _ in range(2):
        await tasks.create(live, ME, wish(**PAST))
    with pytest.raises(TooManyTasks, match="delete what is over"):
        await tasks.create(live, ME, wish(**PAST))
    await tasks.create(live, STRANGER, wish())


# Stop, restart, delete


async def test_a_stopped_task_is_restarted_into_what_the_clock_says(live: Live, clock: ManualClock) -> None:
    for window in ({}, LATER):
        id = (await tasks.create(live, ME, wish(**window))).id
        assert state(live, await tasks.stop(live, ME, id)) is STOPPED
        assert id not in live.relays.tasks
        expected = IN_EFFECT if not window else NOT_STARTED
        assert state(live, await tasks.restart(live, ME, id)) is expected
        assert id in live.relays.tasks
    await tasks.stop(live, ME, id)
    live.clock.turn(by=3 * HOUR)
    assert state(live, await tasks.restart(live, ME, id)) is ENDED


async def test_what_may_not_be_done_in_a_state_is_refused(live: Live) -> None:
    over = (await tasks.create(live, ME, wish(**PAST))).id
    early = (await tasks.create(live, ME, wish(**LATER))).id
    runs = (await tasks.create(live, ME, wish())).id
    stopped = (await tasks.create(live, ME, wish())).id
    await tasks.stop(live, ME, stopped)
    for refused in (
        tasks.stop(live, ME, over),
        tasks.stop(live, ME, stopped),
        tasks.restart(live, ME, over),
        tasks.restart(live, ME, early),
        tasks.restart(live, ME, runs),
        tasks.restart(live, ME, over, from_start=True),
        tasks.restart(live, ME, early, from_start=True),
    ):
        with pytest.raises(Conflict, match="it must be"):
            await refused


async def test_relaunching_forgets_where_it_was(live: Live) -> None:
    id = (await tasks.create(live, ME, files())).id
    live.relays.progress[id] = RelayProgress(task=id, loop=2, clip=1, offset_s=9.0, bytes_out=500, is_finished=True)
    await tasks.restart(live, ME, id, from_start=True)
    progress = live.relays.progress[id]
    assert (progress.loop, progress.clip, progress.offset_s, progress.is_finished) == (0, 0, 0.0, False)
    assert (progress.bytes_out, progress.generation) == (500, 2)


async def test_a_restart_knows_where_it_was_before_a_restart_of_the_server(live: Live) -> None:
    id = (await tasks.create(live, ME, files())).id
    await tasks.stop(live, ME, id)
    live.relays.progress.clear()
    await live.store.put_relay_progress(RelayProgress(task=id, clip=1, offset_s=9.0))
    await tasks.restart(live, ME, id)
    assert live.relays.progress[id].offset_s == 9.0


@pytest.mark.parametrize("window", [{}, LATER, PAST])
async def test_a_task_is_deleted_in_any_state(live: Live, window: dict[str, object]) -> None:
    id = (await tasks.create(live, ME, wish(**window))).id
    await tasks.delete(live, ME, id)
    assert await live.store.find_relay(id) is None
    with pytest.raises(NotFound):
        await tasks.delete(live, ME, id)


async def test_a_stop_and_its_callback_are_written_in_one(live: Live) -> None:
    id = (await tasks.create(live, ME, wish(callback_url=CALLBACK, title="news"))).id
    await tasks.stop(live, ME, id)
    (notice,) = (await live.store.notices(NoticeQuery())).rows
    facts = json.loads(notice.facts)
    assert (notice.event, notice.url, notice.sequence, notice.account) == ("stop", CALLBACK, 1, "1")
    assert (facts["task"], facts["title"], facts["group"], facts["state"]) == (id, "news", "default", "stopped")
    await tasks.delete(live, ME, id)
    assert await events(live, id) == ["stop"], "it was stopped already"


async def test_a_callback_tells_no_key_that_is_in_a_url(live: Live) -> None:
    made = wish(callback_url=CALLBACK, sources=(Source("http://a.test/l.flv?k=one"),), target="rtmp://b.test/l/s?k=two")
    id = (await tasks.create(live, ME, made)).id
    await tasks.stop(live, ME, id)
    (notice,) = (await live.store.notices(NoticeQuery())).rows
    facts = json.loads(notice.facts)
    assert (facts["source"], facts["target"]) == ("http://a.test/l.flv", "rtmp://b.test/l/s")


# Update


async def test_an_update_replaces_everything_but_the_group(live: Live, clock: ManualClock) -> None:
    before = await tasks.create(live, ME, files(title="news", callback_url=CALLBACK, resumes_late=True))
    clock.spend(5)
    after = await tasks.update(live, ME, before.id, wish())
    assert (after.id, after.group, after.created_at) == (before.id, before.group, before.created_at)
    assert (after.title, after.callback_url, after.kind, after.resumes_late) == ("", "", "live", False)
    assert after.changed_at == START + timedelta(seconds=5)
    assert await live.store.find_relay(before.id) == after


async def test_an_update_leaves_a_stopped_task_stopped(live: Live) -> None:
    id = (await tasks.create(live, ME, wish())).id
    await tasks.stop(live, ME, id)
    assert state(live, await tasks.update(live, ME, id, wish(title="new"))) is STOPPED
    assert id not in live.relays.tasks


async def test_an_update_brings_a_task_back_that_was_over(live: Live) -> None:
    live.relays.limits = Limits(account_tasks=1)
    id = (await tasks.create(live, ME, wish(**PAST))).id
    assert state(live, await tasks.update(live, ME, id, wish())) is IN_EFFECT
    other = (await tasks.create(live, ME, wish(**PAST))).id
    with pytest.raises(TooManyTasks):
        await tasks.update(live, ME, other, wish())


@pytest.mark.parametrize(
    ("changes", "is_anew"),
    [
        ({"title": "new"}, False),
        ({"ends_at": START + 2 * HOUR}, False),
        ({"target": "rtmp://other.test/live/b"}, False),
        ({"resumes_late": True}, False),
        ({"sources": FILES[:1]}, True),
        ({"cycle_mode": 2}, True),
        ({"starts_at": START + timedelta(minutes=1)}, True),
    ],
)
async def test_files_begin_anew_where_another_thing_is_to_be_played(
    live: Live, changes: dict[str, object], is_anew: bool
) -> None:
    id = (await tasks.create(live, ME, files())).id
    assert (await tasks.update(live, ME, id, files(**changes))).generation == 1 + is_anew


async def test_no_two_changes_have_the_same_time(live: Live) -> None:
    id = (await tasks.create(live, ME, wish())).id
    seen = [(await tasks.update(live, ME, id, wish())).changed_at for _ in range(3)]
    assert len(set(seen)) == 3


# Who


async def test_another_accounts_task_looks_like_none(live: Live) -> None:
    id = (await tasks.create(live, ME, wish())).id
    missing = "0" * 32
    for made in (tasks.stop, tasks.restart, tasks.delete, tasks.find):
        texts = set()
        for asked in (id, missing):
            with pytest.raises(NotFound) as refused:
                await made(live, STRANGER, asked)
            texts.add(str(refused.value).replace(asked, "ID"))
        assert len(texts) == 1
    with pytest.raises(NotFound):
        await tasks.update(live, STRANGER, id, wish())
    assert (await tasks.page(live, STRANGER)).total == 0


async def test_a_dry_run_changes_nothing(live: Live) -> None:
    id = (await tasks.create(live, ME, wish(callback_url=CALLBACK))).id
    before = await live.store.find_relay(id)
    dry = replace(ME, dry_run=True)
    for refused in (
        tasks.create(live, dry, wish()),
        tasks.update(live, dry, id, wish(title="x")),
        tasks.stop(live, dry, id),
        tasks.delete(live, dry, id),
        tasks.restart(live, dry, id, from_start=True),
    ):
        with pytest.raises(DryRun):
            await refused
    assert await live.store.find_relay(id) == before
    assert (await tasks.page(live, ME)).total == 1
    assert await events(live, id) == []


# Lists


async def test_tasks_are_listed_by_group_and_title_the_newest_first(live: Live, clock: ManualClock) -> None:
    for title in ("docspace", "news", "DOC"):
        await tasks.create(live, ME, wish(title=title))
        clock.spend(1)
    page = await tasks.page(live, ME, title_part="doc")
    assert ([task.title for task in page.rows], page.total) == (["DOC", "docspace"], 2)
    page = await tasks.page(live, ME, group="default", offset=1, limit=1)
    assert ([task.title for task in page.rows], page.total) == (["news"], 3)
    assert (await tasks.page(live, ME, group="other")).total == 0


async def test_a_target_is_ours_where_the_account_has_its_domain(live: Live) -> None:
    for target, expected in (
        ("rtmp://push.demo.test/live/b", True),
        ("rtmp://PUSH.demo.test:1935/live/b?x=1", True),
        ("rtmp://push.other.test/live/b", False),
        ("rtmp://target.test/live/b", False),
        ("rtmp://[2606:4700::1]:1935/live/b", False),
    ):
        made = await tasks.create(live, ME, wish(target=target))
        assert tasks.is_ours(live, made) is expected, target
