"""What begins and ends by itself: by the clock, after failures, and by the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from penstock.domain import accounts, recordings
from penstock.domain.engines import EngineLink
from penstock.domain.recording_schedule import RETURN_S, tick
from penstock.link.messages import Admitted, Began, Ended, EndReason, Lease, Welcome
from penstock.storage.rows import RecordAlways
from tests.clock import START, ManualClock
from tests.domain.kit import DEMO, ME, SEED, asked, gated, opened
from tests.domain.recorder import (
    CAM,
    Container,
    Control,
    Record,
    RecordingEngine,
    StopRecording,
    row_of,
    running,
    settle,
)

MINUTE = timedelta(minutes=1)
ALWAYS = RecordAlways("mp4", ("live",))


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


async def records(control: Control, always: RecordAlways = ALWAYS) -> None:
    """The settings of the vhost say so by now, as after a reload."""
    vhosts = tuple(replace(vhost, record=always) if vhost.name == "demo" else vhost for vhost in SEED.vhosts)
    await accounts.seed(control.live, replace(SEED, vhosts=vhosts))


async def published(engine: RecordingEngine) -> Lease:
    """A publish that is on air; what control says before it lets it in has to be read."""
    engine.send(asked(DEMO))
    lease = (await engine.next(Admitted)).lease
    engine.send(Began(lease, START))
    await settle()
    return lease


def left(engine: RecordingEngine, lease: Lease) -> None:
    engine.send(Ended(lease, EndReason.LEFT, "", START, None, 1))


# By the clock


async def test_a_planned_one_begins_and_ends_by_the_clock_that_may_be_turned(
    control: Control, engine: RecordingEngine
) -> None:
    live = control.live
    made = await recordings.start(live, ME, replace(CAM, from_at=START + MINUTE, until=START + 3 * MINUTE))
    live.clock.turn(by=timedelta(seconds=59))
    await tick(live)
    await engine.nothing_more()
    live.clock.turn(by=MINUTE)
    await tick(live)
    assert (await engine.next(Record)).order.id == made.id
    assert (await row_of(control, made.number)).state == "waiting"
    live.clock.turn(by=MINUTE)
    await tick(live)
    await engine.nothing_more()
    live.clock.turn(by=MINUTE)
    ending = running(tick(live))
    await engine.stops(made.id)
    await ending
    row = await row_of(control, made.number)
    assert (row.state, row.why) == ("stopped", "its time is over")


async def test_one_whose_time_passed_while_control_was_away_is_over(control: Control, engine: RecordingEngine) -> None:
    live = control.live
    made = await recordings.start(live, ME, replace(CAM, from_at=START + MINUTE, until=START + 3 * MINUTE))
    live.clock.turn(by=timedelta(days=1))
    await tick(live)
    row = await row_of(control, made.number)
    assert (row.state, row.why, row.began_at) == ("cancelled", "its time is over", None)
    await engine.nothing_more()


async def test_what_failed_is_tried_again_when_its_time_has_come(control: Control, engine: RecordingEngine) -> None:
    live = control.live
    made = await recordings.start(live, ME, CAM)
    await engine.next(Record)
    engine.stands(made.id, "failed", error="the disk is full")
    await settle()
    await tick(live)
    await engine.nothing_more()
    live.clock.turn(by=timedelta(seconds=5))
    await tick(live)
    assert await engine.next(StopRecording) == StopRecording(made.id)
    assert (await engine.next(Record)).order.id == made.id
    engine.stands(made.id, "stopped")
    await settle()
    assert (await row_of(control, made.number)).state == "waiting"
    # A clock that is turned back holds nothing up.
    engine.stands(made.id, "failed", error="the disk is full")
    await settle()
    live.clock.turn(by=timedelta(days=-1))
    await tick(live)
    await engine.next(StopRecording)


async def test_a_vhost_that_is_gone_is_recorded_no_more(control: Control, engine: RecordingEngine) -> None:
    live = control.live
    made = await recordings.start(live, ME, CAM)
    await engine.next(Record)
    await accounts.remove_vhost(live, "demo")
    ending = running(tick(live))
    await _vhosts_told(engine)
    await engine.stops(made.id)
    await ending
    row = await row_of(control, made.number)
    assert (row.state, row.why) == ("stopped", "its vhost or app is gone")


# By the settings


async def test_a_publish_is_recorded_before_it_is_let_in(control: Control, engine: RecordingEngine) -> None:
    await records(control)
    await _vhosts_told(engine)
    engine.send(asked(DEMO))
    order = (await engine.next(Record)).order
    assert (order.stream, order.container, order.one_file) == (DEMO, Container.MP4, False)
    await engine.next(Admitted)
    (wanted,) = control.live.recordings
    row = await row_of(control, wanted.row.number)
    assert (row.id, row.always, row.account, row.access_key, row.until) == (order.id, True, "1", "", None)


async def _vhosts_told(engine: RecordingEngine) -> None:
    await engine.next(Welcome)


async def test_an_app_that_is_not_named_is_not_recorded(control: Control, engine: RecordingEngine) -> None:
    await records(control, RecordAlways("mp4", ("studio",)))
    await _vhosts_told(engine)
    await published(engine)
    await tick(control.live)
    assert len(control.live.recordings) == 0


async def test_what_is_on_air_is_recorded_after_a_reload(control: Control, engine: RecordingEngine) -> None:
    await published(engine)
    await records(control, RecordAlways("hls", (), True))
    await _vhosts_told(engine)
    await tick(control.live)
    order = (await engine.next(Record)).order
    assert (order.container, order.one_file) == (Container.HLS, True)
    await tick(control.live)
    await engine.nothing_more()


async def test_a_publisher_that_comes_back_goes_on_in_the_same_recording(
    control: Control, engine: RecordingEngine
) -> None:
    await records(control)
    await _vhosts_told(engine)
    engine.send(asked(DEMO))
    order = (await engine.next(Record)).order
    lease = (await engine.next(Admitted)).lease
    engine.send(Began(lease, START))
    left(engine, lease)
    await settle()
    await tick(control.live)
    control.clock.advance(RETURN_S - 1)
    await tick(control.live)
    again = await published(engine)
    assert len(control.live.recordings) == 1
    left(engine, again)
    await settle()
    await tick(control.live)
    control.clock.advance(RETURN_S)
    ending = running(tick(control.live))
    await engine.stops(order.id)
    await ending
    row = await row_of(control, 1)
    assert (row.state, row.why) == ("stopped", "its publisher left")


async def test_one_that_was_stopped_by_hand_begins_with_the_next_publish(
    control: Control, engine: RecordingEngine
) -> None:
    live = control.live
    await records(control)
    await _vhosts_told(engine)
    engine.send(asked(DEMO))
    order = (await engine.next(Record)).order
    lease = (await engine.next(Admitted)).lease
    engine.send(Began(lease, START))
    await settle()
    control.clock.advance(5)
    stopping = running(recordings.stop(live, ME, 1))
    await engine.stops(order.id)
    await stopping
    await tick(live)
    # Nor does a control process that has forgotten all but its rows.
    live.recordings.declined.clear()
    await tick(live)
    assert len(live.recordings) == 0
    left(engine, lease)
    await settle()
    control.clock.advance(1)
    engine.send(asked(DEMO))
    assert (await engine.next(Record)).order.id != order.id


@pytest.mark.parametrize("changed", [RecordAlways(), RecordAlways("flv"), RecordAlways("mp4", ("studio",))])
async def test_settings_that_want_it_no_more_end_it(
    control: Control, engine: RecordingEngine, changed: RecordAlways
) -> None:
    await records(control)
    await _vhosts_told(engine)
    engine.send(asked(DEMO))
    order = (await engine.next(Record)).order
    lease = (await engine.next(Admitted)).lease
    engine.send(Began(lease, START))
    await settle()
    await records(control, changed)
    await _vhosts_told(engine)
    ending = running(tick(control.live))
    await engine.stops(order.id)
    if changed.container == "flv":
        assert (await engine.next(Record)).order.container is Container.FLV
    await ending
    assert (await row_of(control, 1)).why == "the settings want it no more"
    assert len(control.live.recordings) == (changed.container == "flv")


async def test_a_store_that_fails_keeps_nobody_off_air(control: Control, engine: RecordingEngine) -> None:
    await records(control)
    await _vhosts_told(engine)
    gate = gated(control.live)
    gate.fails = 2
    await published(engine)
    assert len(control.live.recordings) == 0
    await tick(control.live)
    await engine.next(Record)
