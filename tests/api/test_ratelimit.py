"""Windows that slide: the last call that may pass, and the first that may not."""

from __future__ import annotations

import pytest

from penstock.api.ratelimit import RateLimits
from penstock.clouds.contract import Rate
from penstock.errors import LimitExceeded
from tests.clock import ManualClock

FIFTY_A_MINUTE = Rate(50, per_s=60)


class Counted:
    """Limits, the clock they go by, and whether a call passes."""

    def __init__(self, max_windows: int = 100) -> None:
        self.clock = ManualClock()
        self.limits = RateLimits(self.clock.monotonic, max_windows)

    def passes(self, key: object = "main", rate: Rate = FIFTY_A_MINUTE) -> bool:
        try:
            self.limits.count(key, rate)
        except LimitExceeded:
            return False
        return True

    def passing(self, calls: int, key: object = "main") -> int:
        return sum(self.passes(key) for _ in range(calls))


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_the_fiftieth_call_passes_and_the_next_one_does_not(counted: Counted) -> None:
    assert counted.passing(50) == 50
    assert not counted.passes()


def test_a_window_slides_and_does_not_jump(counted: Counted) -> None:
    assert counted.passing(25) == 25
    counted.clock.advance(30)
    assert counted.passing(60) == 25
    counted.clock.advance(29.999)
    assert not counted.passes()
    counted.clock.advance(0.001)
    # The first 25 are out of it, the others are not.
    assert counted.passing(60) == 25


def test_what_is_refused_does_not_count(counted: Counted) -> None:
    assert counted.passing(5000) == 50
    counted.clock.advance(60)
    assert counted.passing(5000) == 50


def test_the_refusal_says_when_the_next_call_passes(counted: Counted) -> None:
    counted.passing(50)
    counted.clock.advance(45.5)
    with pytest.raises(LimitExceeded, match=r"at most 50 calls may be in 60 s; the next one in 14\.50 s"):
        counted.limits.count("main", FIFTY_A_MINUTE)


def test_each_key_has_a_window_of_its_own(counted: Counted) -> None:
    assert counted.passing(60, "main") == 50
    assert counted.passing(60, "other") == 50


def test_windows_that_are_over_make_room(counted: Counted) -> None:
    for number in range(100):
        counted.passes(number)
    counted.clock.advance(30)
    counted.passes(7)
    counted.clock.advance(30)
    counted.passes("new")
    assert len(counted.limits) == 2
    assert counted.passing(60, 7) == 49, "the window in use was kept"


def test_there_are_never_more_windows_than_the_bound(counted: Counted) -> None:
    for number in range(1000):
        counted.passes(number)
    assert len(counted.limits) == 100
