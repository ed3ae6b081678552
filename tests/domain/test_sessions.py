from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.domain.sessions import Session, Sessions
from penstock.link.messages import EndReason, Lease
from tests.clock import START, ManualClock
from tests.domain.kit import CLIENT, DEMO, OTHER, RIVAL, make_stats, on_air


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sessions(clock: ManualClock) -> Sessions:
    return Sessions(clock)


def begun(sessions: Sessions) -> Session:
    session = sessions.admit(DEMO, CLIENT)
    sessions.began(session.lease, START)
    return session


# From admit to end


def test_a_session_is_on_air_from_its_begin_to_its_end(sessions: Sessions) -> None:
    session = sessions.admit(DEMO, CLIENT)
    assert sessions.on_air() == []
    sessions.began(session.lease, START + timedelta(seconds=1))
    assert sessions.on_air() == [session]
    assert session.began_at == START + timedelta(seconds=1)
    assert sessions.end(session.lease, EndReason.LEFT, START + timedelta(seconds=9), None) is session
    assert sessions.on_air() == []
    assert (session.reason, session.ended_at) == (EndReason.LEFT, START + timedelta(seconds=9))
    assert len(sessions) == 0


def test_those_on_air_are_in_the_order_of_their_admission(sessions: Sessions) -> None:
    first, second = sessions.admit(DEMO, CLIENT), sessions.admit(OTHER, CLIENT)
    sessions.began(second.lease, START)
    sessions.began(first.lease, START)
    assert sessions.on_air() == [first, second]


def test_an_end_is_taken_once(sessions: Sessions) -> None:
    session = begun(sessions)
    assert sessions.end(session.lease, EndReason.LEFT, START, None) is session
    assert sessions.end(session.lease, EndReason.LOST, START, None) is None
    assert session.reason is EndReason.LEFT


def test_the_last_statistics_stay_with_the_session(sessions: Sessions) -> None:
    session = begun(sessions)
    epoch = session.lease.epoch
    sessions.update(make_stats(epoch, bytes_in=1))
    assert session.stats == make_stats(epoch, bytes_in=1)
    sessions.end(session.lease, EndReason.LEFT, START, make_stats(epoch, bytes_in=2))
    assert session.stats == make_stats(epoch, bytes_in=2)


def test_an_end_without_statistics_keeps_those_of_before(sessions: Sessions) -> None:
    session = begun(sessions)
    sessions.update(make_stats(session.lease.epoch, bytes_in=1))
    sessions.end(session.lease, EndReason.ENGINE_LOST, START, None)
    assert session.stats == make_stats(session.lease.epoch, bytes_in=1)


# Epochs


def test_epochs_rise_with_every_lease_of_any_stream(sessions: Sessions) -> None:
    epochs = [sessions.admit(stream, CLIENT).lease.epoch for stream in (DEMO, OTHER, DEMO)]
    assert epochs == sorted(set(epochs))


def test_epochs_rise_over_a_restart_of_control(clock: ManualClock, sessions: Sessions) -> None:
    before = [sessions.admit(DEMO, CLIENT).lease.epoch for _ in range(1000)][-1]
    clock.advance(0.01)
    assert Sessions(clock).admit(DEMO, CLIENT).lease.epoch > before


def test_epochs_rise_even_if_the_wall_clock_went_back_meanwhile(clock: ManualClock, sessions: Sessions) -> None:
    lease = begun(sessions).lease
    clock.step_wall(timedelta(days=-1))
    successor = Sessions(clock)
    successor.rebuild([on_air(lease)])
    assert successor.admit(OTHER, CLIENT).lease.epoch > lease.epoch


def test_what_is_told_of_an_old_epoch_changes_nothing(sessions: Sessions) -> None:
    old = begun(sessions)
    sessions.end(old.lease, EndReason.LOST, START, None)
    now = begun(sessions)
    sessions.update(make_stats(old.lease.epoch, bytes_in=99))
    sessions.began(old.lease, START + timedelta(days=1))
    assert sessions.end(old.lease, EndReason.SILENT, START, None) is None
    assert (now.stats, now.began_at, now.reason) == (None, START, None)
    assert (old.stats, old.reason) == (None, EndReason.LOST)
    assert sessions.holder(DEMO) is now


# Replacement


def test_a_replaced_sessions_end_is_still_recorded(sessions: Sessions) -> None:
    old, new = begun(sessions), begun(sessions)
    assert sessions.holder(DEMO) is new
    assert sessions.end(old.lease, EndReason.REPLACED, START, make_stats(old.lease.epoch)) is old
    assert (old.reason, old.stats) == (EndReason.REPLACED, make_stats(old.lease.epoch))
    assert sessions.holder(DEMO) is new
    assert sessions.on_air() == [new]


def test_a_replacement_that_came_to_nothing_gives_the_name_back_to_its_holder(sessions: Sessions) -> None:
    holder = begun(sessions)
    late = sessions.admit(DEMO, RIVAL)
    assert sessions.end(late.lease, EndReason.LOST, START, None) is late
    assert sessions.holder(DEMO) is holder
    assert len(sessions) == 1


def test_of_two_replacements_the_one_that_began_keeps_the_name(sessions: Sessions) -> None:
    first = begun(sessions)
    second, third = sessions.admit(DEMO, CLIENT), sessions.admit(DEMO, RIVAL)
    sessions.end(first.lease, EndReason.REPLACED, START, None)
    sessions.began(second.lease, START)
    sessions.end(third.lease, EndReason.LOST, START, None)
    assert sessions.holder(DEMO) is second
    assert sessions.on_air() == [second]


# An engine that comes and goes


def test_a_new_control_process_learns_what_is_on_air(sessions: Sessions) -> None:
    lease = Lease(DEMO, "told", 5)
    assert sessions.rebuild([on_air(lease, client=RIVAL, bytes_in=7)]) == []
    (session,) = sessions.on_air()
    assert (session.lease, session.client, session.began_at) == (lease, RIVAL, START)
    assert session.stats == make_stats(5, client=RIVAL, bytes_in=7)
    assert sessions.holder(DEMO) is session


def test_what_the_engine_does_not_know_is_over(clock: ManualClock, sessions: Sessions) -> None:
    stays = begun(sessions)
    gone = sessions.admit(OTHER, CLIENT)
    clock.advance(3)
    assert sessions.rebuild([on_air(stays.lease, bytes_in=4)]) == [gone]
    assert (gone.reason, gone.ended_at) == (EndReason.ENGINE_LOST, clock.now())
    assert sessions.on_air() == [stays]
    assert stays.stats == make_stats(stays.lease.epoch, bytes_in=4)
    assert sessions.holder(OTHER) is None


def test_an_admission_whose_begin_was_not_heard_is_on_air_if_the_engine_says_so(sessions: Sessions) -> None:
    session = sessions.admit(DEMO, CLIENT)
    assert sessions.rebuild([on_air(session.lease)]) == []
    assert sessions.on_air() == [session]
    assert session.client == CLIENT


def test_with_the_engine_all_sessions_end(clock: ManualClock, sessions: Sessions) -> None:
    both = [begun(sessions), sessions.admit(OTHER, CLIENT)]
    clock.advance(1)
    assert sessions.engine_lost() == both
    assert {(session.reason, session.ended_at) for session in both} == {(EndReason.ENGINE_LOST, clock.now())}
    assert len(sessions) == 0
    assert sessions.engine_lost() == []


def test_thousands_of_sessions_end_together_in_an_instant(sessions: Sessions) -> None:
    for number in range(5000):
        sessions.admit(type(DEMO)("demo", "live", f"cam{number}"), CLIENT)
    assert len(sessions.engine_lost()) == 5000


def test_what_publishers_sent_adds_up_over_sessions_and_never_falls(clock: ManualClock) -> None:
    sessions = Sessions(clock)
    first = sessions.admit(DEMO, CLIENT).lease
    sessions.update(make_stats(first.epoch, bytes_in=100))
    sessions.update(make_stats(first.epoch, bytes_in=250))
    second = sessions.admit(OTHER, CLIENT).lease
    sessions.update(make_stats(second.epoch, bytes_in=10))
    sessions.update(make_stats(99, bytes_in=5000))
    assert sessions.bytes_in == 260
    sessions.end(first, EndReason.LEFT, clock.now(), make_stats(first.epoch, bytes_in=300))
    sessions.end(first, EndReason.LEFT, clock.now(), make_stats(first.epoch, bytes_in=300))
    sessions.end(second, EndReason.LEFT, clock.now(), None)
    assert sessions.bytes_in == 310
