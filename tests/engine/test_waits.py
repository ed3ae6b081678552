"""Requests that wait: asked now and then, or as soon as there is news, and given up in time."""

from __future__ import annotations

import pytest

from penstock.engine.waits import Waits
from tests.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def waits(clock: ManualClock) -> Waits:
    return Waits(clock, clock.later)


def never() -> None:
    pytest.fail("it gave up")


def test_who_waits_is_asked_until_it_has_what_it_waits_for(waits: Waits) -> None:
    answers = iter([False, False, True])
    waits.wait("one", lambda: next(answers), never, within_s=8)
    for _ in range(5):
        waits.tick()
    assert list(answers) == []
    assert len(waits) == 0


def test_who_waits_too_long_gives_up(waits: Waits, clock: ManualClock) -> None:
    given_up: list[str] = []
    waits.wait("one", lambda: False, lambda: given_up.append("one"), within_s=8)
    waits.wait("other", lambda: False, lambda: given_up.append("other"), within_s=8)
    waits.no_more("other")
    clock.advance(7.9)
    waits.tick()
    assert not given_up
    clock.advance(0.1)
    waits.tick()
    waits.tick()
    assert given_up == ["one"]


def test_news_is_told_at_once_to_those_who_wait_about_it_and_to_nobody_else(waits: Waits, clock: ManualClock) -> None:
    asked: list[str] = []
    cam, other = object(), object()

    def wait(who: str, about: object | None) -> None:
        def poll() -> bool:
            asked.append(who)
            return False

        waits.wait(who, poll, never, within_s=8, about=about)

    for who, about in (("one", cam), ("two", cam), ("three", other), ("four", None)):
        wait(who, about)
    waits.news(cam)
    # Whoever tells has work of its own to end first.
    assert asked == []
    clock.advance(0)
    assert asked == ["one", "two"]
    waits.no_more("one")
    waits.news(cam)
    clock.advance(0)
    assert asked == ["one", "two", "two"]


def test_who_was_answered_may_wait_anew_from_inside(waits: Waits, clock: ManualClock) -> None:
    cam = object()

    def answered() -> bool:
        waits.wait("one", lambda: False, never, within_s=8, about=cam)
        return True

    waits.wait("one", answered, never, within_s=1, about=cam)
    waits.news(cam)
    clock.advance(0)
    assert len(waits) == 1
    clock.advance(7.5)
    waits.tick()
    assert len(waits) == 1


def test_who_goes_while_others_are_asked_is_not_asked(waits: Waits, clock: ManualClock) -> None:
    cam = object()

    def first() -> bool:
        waits.no_more("second")
        return True

    waits.wait("first", first, never, within_s=8, about=cam)
    waits.wait("second", lambda: pytest.fail("it was gone"), never, within_s=8, about=cam)
    waits.news(cam)
    clock.advance(0)
    assert len(waits) == 0
    waits.news(cam)
    assert clock.waiting() == []


def test_a_fault_in_one_that_waits_ends_its_wait_and_no_other(
    waits: Waits, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    about = object()
    asked: list[str] = []
    given_up: list[str] = []

    def broken() -> bool:
        raise AssertionError("a fault")

    def polled() -> bool:
        asked.append("other")
        return False

    def cannot_even_give_up() -> None:
        raise AssertionError("another")

    waits.wait("one", broken, lambda: given_up.append("one"), within_s=8, about=about)
    waits.wait("two", broken, cannot_even_give_up, within_s=8)
    waits.wait("other", polled, never, within_s=8, about=about)
    waits.news(about)
    clock.advance(0)
    waits.tick()
    assert (given_up, asked, len(waits)) == (["one"], ["other", "other"], 1)
    assert [record.exc_info is not None for record in caplog.records] == [True] * 3
