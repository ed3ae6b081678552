"""All relays of an engine: orders, and what is told of them."""

from __future__ import annotations

import msgspec
import pytest

from penstock.engine.relaying.relay import Relay
from penstock.engine.relaying.relays import Relays
from penstock.link.relaying import RelayOrder, RelayState, RelayTold, StartRelay, StopRelay
from tests.engine.relaying.kit import BROUGHT, ORDER, FakeCall, Stage, inter, opening


def made(stage: Stage) -> Relays:
    relays = Relays(stage.rooms)
    relays.tell = stage.told.append
    return relays


def start(relays: Relays, order: RelayOrder = ORDER) -> None:
    relays.obey(StartRelay(order))


def test_an_order_starts_and_the_same_again_changes_nothing_but_is_answered() -> None:
    stage = Stage()
    relays = made(stage)
    start(relays)
    assert ([told.state for told in stage.told], relays.ids) == ([RelayState.CONNECTING], (ORDER.id,))
    start(relays)
    assert (len(stage.pulls), len(stage.told), len(relays)) == (1, 2, 1)


def test_another_order_replaces_and_counts_anew() -> None:
    stage = Stage()
    relays = made(stage)
    start(relays)
    stage.pulls[0].owner.opened()
    stage.pulls[0].sends(*opening())
    stage.pushes[0].opens()
    start(relays, msgspec.structs.replace(ORDER, target="rtmp://other.example/live/cam"))
    assert (stage.pulls[0].is_closed, stage.pushes[0].is_finished, len(stage.pulls)) == (True, True, 2)
    assert stage.last == RelayTold(ORDER.id, RelayState.CONNECTING)
    assert RelayState.STOPPED not in [told.state for told in stage.told]


def test_a_stop_is_told_even_of_a_relay_that_nobody_knows() -> None:
    stage = Stage()
    relays = made(stage)
    start(relays)
    relays.obey(StopRelay(ORDER.id))
    relays.obey(StopRelay("c" * 32))
    assert [told.state for told in stage.told] == [RelayState.CONNECTING, RelayState.STOPPED, RelayState.STOPPED]
    assert (relays.ids, stage.pulls[0].is_closed) == ((), True)


def test_a_relay_that_fails_does_not_disturb_another() -> None:
    stage = Stage()
    relays = made(stage)
    start(relays)
    start(relays, msgspec.structs.replace(ORDER, id="d" * 32))
    for at in range(2):
        stage.pulls[at].owner.opened()
        stage.pulls[at].sends(*opening())
        stage.pushes[at].opens()
    stage.pushes[0].far.socket.room = 0
    for number in range(1, 300):
        for source in stage.pulls[:2]:
            if source.is_on:
                source.sends(inter(number * 40))
        stage.clock.advance(0.04)
        relays.tick()
    assert (stage.pushes[0].is_on, stage.pushes[1].is_on) == (False, True)
    assert stage.pushes[1].far.outlet.queued_bytes == 0


def test_a_fault_of_our_own_in_a_relay_keeps_no_other_waiting_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    relays = made(stage)
    start(relays)
    start(relays, msgspec.structs.replace(ORDER, id="d" * 32))
    ticked: list[str] = []

    def tick(relay: Relay) -> None:
        ticked.append(relay.order.id)
        if relay.order == ORDER:
            raise AssertionError("a fault")

    monkeypatch.setattr(Relay, "tick", tick)
    for _ in range(3):
        relays.tick()
    assert ticked == [ORDER.id, "d" * 32] * 3
    (line,) = caplog.records
    assert line.exc_info is not None


def test_a_worker_finds_the_relay_that_waits_for_it() -> None:
    stage = Stage()
    relays = made(stage)
    start(relays)
    start(relays, BROUGHT)
    assert relays.bring(BROUGHT.id, FakeCall()) is not None
    assert relays.bring(ORDER.id, FakeCall()) is None
    assert relays.bring("unknown", FakeCall()) is None


def test_a_new_control_process_hears_of_all_and_an_end_of_the_engine_is_told_to_none() -> None:
    stage = Stage()
    relays = made(stage)
    start(relays)
    start(relays, BROUGHT)
    stage.told.clear()
    relays.tell_all()
    assert [told.id for told in stage.told] == [ORDER.id, BROUGHT.id]
    stage.told.clear()
    relays.close()
    assert (stage.told, relays.ids, stage.pulls[0].is_closed) == ([], (), True)
