"""The loop that sees that tasks run, with an engine and workers that the test plays."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from penstock.domain.engines import EngineLink
from penstock.domain.live import Live
from penstock.domain.relays import tasks
from penstock.domain.relays.board import Limits
from penstock.domain.relays.orders import order_of
from penstock.domain.relays.wishes import Wish
from penstock.link.messages import AnyMessage
from penstock.link.relaying import Clip, Position, RelayOrder, RelayState, StartRelay, StopRelay
from penstock.storage.relay_rows import RelayTask, Source
from tests.clock import START
from tests.domain.relays import kit
from tests.domain.relays.kit import CALLBACK, FILES, HOUR, ME, SOURCE, TARGET, FakeEngine, Plant, files, settle, wish

RUNNING, WAITING, FINISHED = RelayState.RUNNING, RelayState.WAITING, RelayState.FINISHED


def started(engine: FakeEngine) -> list[str]:
    return [message.order.id for message in engine.heard if isinstance(message, StartRelay)]


async def playing(plant: Plant, wish: Wish) -> tuple[FakeEngine, str]:
    """A task with a worker, whose media reaches its target."""
    engine = await plant.engine()
    id = await plant.make(wish)
    engine.tell(id, RUNNING)
    await settle()
    return engine, id


def stopped(engine: FakeEngine) -> list[str]:
    return [message.id for message in engine.heard if isinstance(message, StopRelay)]


# A live source that the engine pulls by itself


async def test_a_task_in_its_window_is_ordered_at_once(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish())
    order = engine.orders[id]
    assert (order.source, order.target) == (SOURCE, TARGET)
    assert plant.workers.jobs == []


async def test_a_task_waits_for_its_start_by_the_domains_clock(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish(starts_at=START + HOUR, ends_at=START + 2 * HOUR))
    await plant.later(1)
    assert id not in engine.orders
    plant.live.clock.turn(by=HOUR)
    await plant.later(0.5)
    assert id in engine.orders


async def test_a_task_ends_by_itself(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish(callback_url=CALLBACK))
    engine.tell(id, RUNNING, bytes_in=10, bytes_out=10)
    await settle()
    plant.live.clock.turn(by=HOUR)
    await plant.later(0.5)
    assert stopped(engine) == [id]
    assert await plant.events(id) == ["start", "end"]
    assert (await plant.task(id)).is_settled
    assert id not in plant.live.relays.progress, "what is over stays in no memory"


async def test_what_ended_while_nobody_ran_is_told_once(plant: Plant) -> None:
    id = await plant.make(wish(callback_url=CALLBACK))
    plant.live.relays.load([], {})
    plant.live.clock.turn(by=2 * HOUR)
    for _ in range(2):
        await plant.relays.load()
        await plant.later(1)
    assert await plant.events(id) == ["end"]


async def test_a_clock_that_is_turned_back_brings_a_task_back(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish())
    plant.live.clock.turn(by=HOUR)
    await plant.later(0.5)
    assert id not in engine.orders
    plant.live.clock.reset()
    await plant.until(lambda: id in engine.orders)


async def test_the_truth_about_bytes_stands_beside_the_state(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish())
    assert (plant.progress(id).state, plant.progress(id).bytes_out) == ("waiting", 0)
    engine.tell(id, RUNNING, bytes_in=1000, bytes_out=900, position_ms=500)
    await settle()
    plant.clock.advance(1)
    engine.tell(id, RUNNING, bytes_in=3000, bytes_out=2900, position_ms=1500)
    await settle()
    progress = plant.progress(id)
    assert (progress.state, progress.bytes_in, progress.bytes_out, progress.position_ms) == (
        "running",
        3000,
        2900,
        1500,
    )
    assert plant.live.relays.paces[id].rate_kbps == 16.0
    next_try = START + timedelta(seconds=9)
    engine.tell(
        id,
        WAITING,
        bytes_in=3000,
        bytes_out=2900,
        failures=1,
        error="refused",
        error_side="target",
        next_try_at=next_try,
    )
    await settle()
    progress = plant.progress(id)
    assert (progress.error, progress.error_side, progress.failures) == ("refused", "target", 1)
    assert (progress.next_try_at, progress.error_at) == (next_try, plant.clock.now())


async def test_each_break_of_the_flow_and_each_return_is_told_in_order(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish(callback_url=CALLBACK))
    engine.tell(id, RUNNING)
    engine.tell(id, RUNNING)
    engine.tell(id, WAITING, failures=1, error="reset by the peer", error_side="source")
    await settle()
    plant.clock.advance(5)
    engine.tell(id, RUNNING, failures=1)
    await settle()
    notices = await plant.notices(id)
    assert [(notice.sequence, notice.event) for notice in notices] == [(1, "start"), (2, "error"), (3, "start")]
    facts = json.loads(notices[1].facts)
    assert (facts["error_side"], facts["error"], facts["state"]) == ("source", "reset by the peer", "in effect")
    assert (facts["task"], facts["source"], facts["target"]) == (id, SOURCE, TARGET)


async def test_the_same_error_again_and_again_is_told_once_a_minute(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish(callback_url=CALLBACK))
    for failures in range(1, 62):
        engine.tell(id, WAITING, failures=failures, error="refused", error_side="target")
        await plant.later(2)
    assert plant.progress(id).failures == 61
    assert await plant.events(id) == ["error"] * 3


async def test_a_source_that_ends_is_tried_again_after_a_pause_that_grows(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish())
    for pause_s in (1.0, 2.0, 4.0):
        engine.tell(id, FINISHED)
        await settle()
        assert id not in engine.orders
        await plant.later(pause_s - 0.5)
        assert id not in engine.orders
        await plant.later(0.5)
        assert id in engine.orders
    progress = plant.progress(id)
    assert (progress.error_side, progress.error) == ("source", "the source came to its end")


async def test_pauses_are_shaken(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish())
    plant.random = 0.0
    engine.tell(id, FINISHED)
    await settle()
    await plant.later(0.5)
    assert id in engine.orders


async def test_totals_go_on_when_another_order_or_engine_counts_anew(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish())
    engine.tell(id, RUNNING, bytes_in=1000, bytes_out=1000)
    await settle()
    engine.leave()
    await settle()
    engine = await plant.engine("engine-2")
    engine.tell(id, RUNNING, bytes_in=5000, bytes_out=5000)
    await settle()
    assert plant.progress(id).bytes_out == 6000


async def test_a_lost_engine_is_an_error_and_the_next_one_is_ordered_anew(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish(callback_url=CALLBACK))
    engine.tell(id, RUNNING)
    await settle()
    engine.leave()
    await settle()
    progress = plant.progress(id)
    assert (progress.state, progress.error_side, progress.error) == ("waiting", "server", "the engine was lost")
    engine = await plant.engine("engine-2")
    assert id in engine.orders
    engine.tell(id, RUNNING)
    await settle()
    assert await plant.events(id) == ["start", "error", "start"]


async def test_an_engine_drops_relays_that_nobody_wants(plant: Plant) -> None:
    id = await plant.make(wish())
    engine = await plant.engine("engine-1", id, "stray")
    assert stopped(engine) == ["stray"]
    assert started(engine) == [id]
    engine.tell("late", RUNNING)
    engine.tell("gone", RelayState.STOPPED)
    await settle()
    assert stopped(engine) == ["stray", "late"]


async def test_a_relay_goes_on_over_a_restart_of_control_and_nothing_is_told_twice(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish(callback_url=CALLBACK))
    engine.tell(id, RUNNING, failures=3, bytes_out=100)
    await settle()
    await plant.later(2)
    assert await plant.events(id) == ["error", "start"]
    # Another process: nothing is left but the store.
    plant.live.relays.tasks, plant.live.relays.progress = {}, {}
    link = EngineLink()
    relays = type(plant.relays)(plant.live, link, plant.workers, plant.relays._workshop, lambda: 1.0)
    await relays.load()
    link.relays = relays
    again = FakeEngine(link, plant.live)
    again.greet(id)
    await settle()
    again.tell(id, RUNNING, failures=3, bytes_out=150)
    await settle()
    assert (started(again), stopped(again)) == ([id], [])
    assert plant.progress(id).bytes_out == 150
    assert await plant.events(id) == ["error", "start"]


# What needs a worker


async def test_files_get_a_worker_and_an_order_without_a_source(plant: Plant) -> None:
    engine = await plant.engine()
    parts = (Source("http://files.test/1.mp4", 1.5, 9.0), FILES[1])
    id = await plant.make(files(sources=parts, has_parts=True, cycle_mode=3))
    assert engine.orders[id].source == ""
    (job,) = plant.workers.jobs
    assert job.clips == (Clip(parts[0].url, 1.5, 9.0), Clip(parts[1].url, 0.0, None))
    assert (job.id, job.live, job.loops, job.start) == (id, False, 3, Position())
    assert (job.door, job.cache, job.download_first) == ("/run/relay.sock", "/var/cache", True)
    assert job.allow_private == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("source", "is_workers"),
    [
        ("rtmp://source.test/live/a", False),
        ("rtmps://source.test/live/a", False),
        ("http://source.test/live/a.flv", False),
        ("https://source.test/live/a.FLV?k=1", False),
        ("http://source.test/live/a.m3u8", True),
        ("http://source.test/live/a.m3u8?x=.flv", True),
        ("http://source.test/live/a.ts", True),
    ],
)
async def test_what_the_engine_cannot_pull_is_a_workers(plant: Plant, source: str, is_workers: bool) -> None:
    engine = await plant.engine()
    id = await plant.make(wish(sources=(Source(source),)))
    assert (engine.orders[id].source == "") == is_workers
    assert [(job.live, job.loops) for job in plant.workers.jobs] == ([(True, None)] if is_workers else [])


async def test_a_worker_waits_until_there_is_an_engine(plant: Plant) -> None:
    await plant.make(files())
    await plant.later(1)
    assert plant.workers.jobs == []
    await plant.engine()
    assert len(plant.workers.jobs) == 1


async def test_where_a_worker_is_is_written_down_every_two_seconds(plant: Plant) -> None:
    _, id = await playing(plant, files())
    plant.workers.tell(id, 2, 1, 7.25, bytes_in=500)
    await plant.later(2)
    kept = await plant.kept(id)
    assert (kept.loop, kept.clip, kept.offset_s, kept.bytes_in) == (2, 1, 7.25, 500)


async def test_a_worker_that_died_is_started_again_where_it_was(plant: Plant) -> None:
    _, id = await playing(plant, files(callback_url=CALLBACK))
    plant.workers.tell(id, 0, 1, 7.25)
    plant.workers.leave(id, "killed by signal 9")
    await settle()
    assert plant.progress(id).next_try_at == plant.clock.now() + timedelta(seconds=1)
    await plant.later(0.5)
    assert len(plant.workers.jobs) == 1
    await plant.later(0.5)
    assert [job.start for job in plant.workers.jobs] == [Position(), Position(0, 1, 7.25)]
    progress = plant.progress(id)
    assert (progress.error, progress.error_side, progress.failures) == ("killed by signal 9", "server", 1)
    assert await plant.events(id) == ["start", "error"]


async def test_a_download_is_told_until_its_worker_is_gone(plant: Plant) -> None:
    _, id = await playing(plant, files())
    plant.workers.tell(id, fetched_bytes=300, fetch_size_bytes=1000)
    pace = plant.live.relays.paces[id]
    assert (pace.fetched_bytes, pace.fetch_size_bytes) == (300, 1000)
    plant.workers.leave(id, "killed by signal 9")
    pace = plant.live.relays.paces[id]
    assert (pace.fetched_bytes, pace.fetch_size_bytes) == (0, 0)


async def test_a_late_task_goes_on_where_it_would_be(plant: Plant) -> None:
    _, id = await playing(plant, files(resumes_late=True))
    plant.workers.tell(id, 0, 1, 7.25)
    plant.workers.leave(id, "killed by signal 9")
    await plant.later(1)
    assert plant.workers.jobs[-1].start == Position(0, 1, 8.25)


async def test_a_worker_that_fails_at_once_waits_longer_each_time_up_to_half_a_minute(plant: Plant) -> None:
    await plant.engine()
    id = await plant.make(files())
    for pause_s in (1, 2, 4, 8, 16, 30, 30):
        before = len(plant.workers.jobs)
        plant.workers.leave(id, "no route")
        await plant.later(pause_s - 0.5)
        assert len(plant.workers.jobs) == before
        await plant.later(0.5)
        assert len(plant.workers.jobs) == before + 1
    plant.clock.advance(30)
    plant.workers.tell(id)
    plant.workers.leave(id, "no route")
    await plant.later(1)
    assert plant.progress(id).failures == 8
    assert id in plant.workers.at_work


async def test_a_workers_complaint_is_an_error_of_its_source_once(plant: Plant) -> None:
    await plant.engine()
    id = await plant.make(files(callback_url=CALLBACK))
    plant.workers.tell(id, error="404 Not Found")
    plant.workers.tell(id, error="404 Not Found")
    plant.workers.leave(id, "404 Not Found")
    await settle()
    progress = plant.progress(id)
    assert (progress.failures, progress.error_side, progress.error) == (1, "source", "404 Not Found")
    assert await plant.events(id) == ["error"]


async def test_a_worker_that_cannot_be_started_is_tried_again(plant: Plant) -> None:
    await plant.engine()
    plant.workers.fails = OSError("no memory")
    id = await plant.make(files())
    assert "no memory" in plant.progress(id).error
    assert plant.progress(id).error_side == "server"
    plant.workers.fails = None
    await plant.later(1)
    assert id in plant.workers.at_work


async def test_a_list_that_is_used_up_is_finished_though_its_window_goes_on(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(files(cycle_mode=1, callback_url=CALLBACK))
    engine.tell(id, RUNNING)
    await settle()
    plant.workers.tell(id, 0, 1, 60.0, is_finished=True)
    plant.workers.leave(id)
    await settle()
    engine.tell(id, RUNNING, position_ms=120)
    await settle()
    assert id in engine.orders, "what was handed over last is on its way"
    engine.tell(id, WAITING)
    await settle()
    assert stopped(engine) == [id]
    assert (plant.progress(id).state, plant.progress(id).is_finished) == ("finished", True)
    await plant.later(60)
    assert len(plant.workers.jobs) == 1
    plant.live.clock.turn(by=HOUR)
    await plant.later(1)
    assert await plant.events(id) == ["start", "end"]


async def test_a_target_that_takes_no_last_word_ends_a_finished_list_too(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(files(cycle_mode=1))
    plant.workers.tell(id, 0, 1, 60.0, is_finished=True)
    plant.workers.leave(id)
    await plant.later(19.5)
    assert id in engine.orders
    await plant.later(1)
    assert id not in engine.orders
    assert plant.progress(id).is_finished


async def test_the_engines_word_may_come_before_the_workers(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(files(cycle_mode=1))
    plant.workers.tell(id, 0, 1, 60.0, is_finished=True)
    engine.tell(id, FINISHED)
    await settle()
    assert plant.progress(id).is_finished
    assert len(plant.workers.jobs) == 1


async def test_loops_that_would_be_over_by_now_are_over(plant: Plant) -> None:
    parts = (Source("http://files.test/1.mp4", 0.0, 10.0),)
    _, id = await playing(plant, files(sources=parts, cycle_mode=2, resumes_late=True))
    plant.workers.tell(id, 1, 0, 5.0)
    await tasks.stop(plant.live, ME, id)
    await settle()
    plant.live.clock.turn(by=timedelta(seconds=5))
    await tasks.restart(plant.live, ME, id)
    await settle()
    assert plant.progress(id).is_finished
    assert len(plant.workers.jobs) == 1


async def test_a_place_that_did_not_reach_the_target_is_not_remembered(plant: Plant) -> None:
    engine, id = await playing(plant, files())
    plant.workers.tell(id, 0, 0, 12.0)
    engine.tell(id, WAITING, failures=1, error="refused", error_side="target")
    await settle()
    await plant.later(1)
    plant.workers.tell(id, 0, 0, 20.0)
    plant.workers.leave(id, "no route")
    await plant.later(2)
    assert plant.workers.jobs[-1].start == Position(0, 0, 12.0)


async def test_files_go_on_when_the_engine_calls_the_target_again(plant: Plant) -> None:
    engine, id = await playing(plant, files())
    next_try_at = plant.clock.now() + timedelta(seconds=20)
    engine.tell(id, WAITING, failures=1, error="refused", error_side="target", next_try_at=next_try_at)
    await plant.later(19.5)
    assert plant.workers.at_work == []
    await plant.later(0.5)
    assert plant.workers.at_work == [id]


async def test_files_wait_while_their_target_is_gone(plant: Plant) -> None:
    engine, id = await playing(plant, files())
    plant.workers.tell(id, 0, 0, 12.0)
    engine.tell(id, WAITING, failures=1, error="refused", error_side="target")
    await settle()
    assert plant.workers.at_work == []
    await plant.later(1)
    assert plant.workers.jobs[-1].start == Position(0, 0, 12.0)


async def test_a_live_worker_goes_on_while_the_target_is_gone(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish(sources=(Source("http://source.test/a.m3u8"),)))
    engine.tell(id, WAITING, failures=1, error="refused", error_side="target")
    await settle()
    assert plant.workers.at_work == [id]


async def test_a_lost_engine_takes_workers_with_it_and_they_come_back(plant: Plant) -> None:
    engine, id = await playing(plant, files())
    plant.workers.tell(id, 0, 1, 3.0)
    engine.leave()
    await settle()
    assert plant.workers.at_work == []
    await plant.engine("engine-2")
    assert plant.workers.jobs[-1].start == Position(0, 1, 3.0)


async def test_as_many_workers_run_as_may_and_the_others_wait() -> None:
    async with kit.plant(Limits(workers=1)) as plant:
        await plant.engine()
        first, second = await plant.make(files()), await plant.make(files())
        direct = await plant.make(wish())
        assert plant.workers.at_work == [first]
        progress = plant.progress(second)
        assert (progress.error_side, progress.failures) == ("server", 1)
        assert progress.error == "all 1 workers are at work (relay.max_workers); it waits for one"
        await plant.later(5)
        assert plant.progress(second).failures == 1
        assert plant.progress(direct).error == ""
        await tasks.stop(plant.live, ME, first)
        await plant.later(0.5)
        assert plant.workers.at_work == [second]


# Changes while it runs


async def test_stopping_stops_and_writes_down_where_it_was(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(files(callback_url=CALLBACK))
    engine.tell(id, RUNNING)
    await settle()
    plant.workers.tell(id, 0, 1, 4.5)
    await tasks.stop(plant.live, ME, id)
    await settle()
    assert (plant.workers.stopped, stopped(engine)) == ([id], [id])
    kept = await plant.kept(id)
    assert (kept.clip, kept.offset_s, kept.state) == (1, 4.5, "stopped")
    assert id not in plant.live.relays.progress
    await tasks.restart(plant.live, ME, id)
    await settle()
    assert plant.workers.jobs[-1].start == Position(0, 1, 4.5)
    assert sorted(await plant.events(id)) == ["start", "stop"]


async def test_relaunching_begins_anew_even_while_it_runs(plant: Plant) -> None:
    _, id = await playing(plant, files())
    plant.workers.tell(id, 0, 1, 4.5)
    await tasks.restart(plant.live, ME, id, from_start=True)
    await settle()
    assert [job.start for job in plant.workers.jobs] == [Position(), Position()]
    plant.workers.tell(id, 0, 1, 4.5, is_finished=True)
    plant.workers.leave(id)
    await plant.later(21)
    assert plant.progress(id).is_finished
    await tasks.restart(plant.live, ME, id, from_start=True)
    await settle()
    assert len(plant.workers.jobs) == 3


async def test_a_worker_that_is_wanted_again_waits_until_the_old_one_is_gone(plant: Plant) -> None:
    await plant.engine()
    id = await plant.make(files())
    plant.workers.may_stop.clear()
    await tasks.restart(plant.live, ME, id, from_start=True)
    await plant.later(1)
    assert len(plant.workers.jobs) == 1
    plant.workers.may_stop.set()
    await plant.later(0.5)
    assert len(plant.workers.jobs) == 2


async def test_a_task_that_is_stopped_while_its_worker_starts_leaves_none(plant: Plant) -> None:
    await plant.engine()
    plant.workers.may_start.clear()
    id = await plant.make(files())
    await tasks.stop(plant.live, ME, id)
    await settle()
    plant.workers.may_start.set()
    await settle()
    assert plant.workers.at_work == []
    assert plant.workers.stopped == [id]


async def test_an_update_of_words_leaves_the_push_alone(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish())
    await tasks.update(plant.live, ME, id, wish(title="other", ends_at=START + 2 * HOUR, callback_url=CALLBACK))
    await settle()
    assert (len(started(engine)), stopped(engine)) == (1, [])
    engine.tell(id, RUNNING)
    await settle()
    assert await plant.events(id) == ["start"]


async def test_an_update_of_the_target_moves_the_push_and_keeps_the_place(plant: Plant) -> None:
    engine, id = await playing(plant, files())
    plant.workers.tell(id, 0, 1, 4.5)
    await tasks.update(plant.live, ME, id, files(target="rtmp://other.test/live/b"))
    await settle()
    assert engine.orders[id].target == "rtmp://other.test/live/b"
    assert plant.workers.jobs[-1].start == Position(0, 1, 4.5)


async def test_an_update_of_the_files_begins_anew(plant: Plant) -> None:
    _, id = await playing(plant, files())
    plant.workers.tell(id, 0, 1, 4.5)
    await tasks.update(plant.live, ME, id, files(sources=FILES[:1]))
    await settle()
    assert (plant.workers.jobs[-1].start, len(plant.workers.jobs[-1].clips)) == (Position(), 1)


async def test_an_update_may_move_the_window_away_and_back(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(wish())
    await tasks.update(plant.live, ME, id, wish(starts_at=START + HOUR, ends_at=START + 2 * HOUR))
    await settle()
    assert engine.orders == {}
    plant.live.clock.turn(by=3 * HOUR)
    await plant.later(1)
    assert (await plant.task(id)).is_settled
    await tasks.update(plant.live, ME, id, wish(starts_at=START, ends_at=START + 4 * HOUR))
    await settle()
    assert id in engine.orders


async def test_a_deleted_task_stops_and_says_so(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(files(callback_url=CALLBACK))
    engine.tell(id, RUNNING)
    await settle()
    await tasks.delete(plant.live, ME, id)
    await settle()
    assert (plant.workers.at_work, stopped(engine)) == ([], [id])
    assert set(await plant.events(id)) == {"start", "stop"}
    await plant.later(3)
    assert await plant.live.store.relay_progress([id]) == {}
    assert id not in plant.live.relays.progress


async def test_one_task_in_trouble_disturbs_no_other(plant: Plant) -> None:
    engine = await plant.engine()
    bad, good = await plant.make(files()), await plant.make(wish())
    for _ in range(5):
        plant.workers.leave(bad, "no route")
        await plant.later(31)
    heard: list[AnyMessage] = [each for each in engine.heard if good in str(each)]
    assert len(heard) == 1


async def test_closing_ends_workers_and_tells_nobody_of_an_error(plant: Plant) -> None:
    engine = await plant.engine()
    id = await plant.make(files(callback_url=CALLBACK))
    engine.tell(id, RUNNING)
    await settle()
    plant.workers.tell(id, 0, 1, 9.0)
    await plant.relays.close()
    assert plant.workers.at_work == []
    assert await plant.events(id) == ["start"]
    assert (await plant.kept(id)).offset_s == 9.0


# What is on this server itself


async def test_a_target_of_our_own_is_signed_where_it_has_to_be(plant: Plant) -> None:
    engine = await plant.engine()
    own = await plant.make(wish(target="", domain="Push.demo.test", app="live", stream="b"))
    assert engine.orders[own].target == "rtmp://push.demo.test/live/b"
    signed = replace(plant.live.registry.vhosts["demo"], publish_auth="signed", publish_key="k")
    plant.live.registry.vhosts["demo"] = signed
    closed = await plant.make(wish(target="rtmp://push.demo.test/live/c"))
    target = engine.orders[closed].target
    assert target.startswith("rtmp://push.demo.test/live/c?wsSecret=")
    theirs = await plant.make(wish(target="rtmp://push.other.test/live/c"))
    assert engine.orders[theirs].target == "rtmp://push.other.test/live/c"


async def test_a_fault_of_our_own_in_one_task_keeps_no_other_from_running(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = await plant.engine()

    def faulty(live: Live, task: RelayTask) -> RelayOrder:
        if task.title == "bad":
            raise ZeroDivisionError
        return order_of(live, task)

    monkeypatch.setattr("penstock.domain.relays.running.order_of", faulty)
    bad = await plant.make(wish(title="bad"))
    good = await plant.make(wish())
    assert list(engine.orders) == [good]
    assert f"a fault of our own in relay {bad}" in caplog.text
