"""How long to wait before the next try."""

from __future__ import annotations

from penstock.engine.relaying.backoff import LONGEST_S, SHORTEST_S, Backoff


def test_the_bound_doubles_up_to_a_minute() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [round(backoff.next_s(), 3) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert [backoff.next_s() for _ in range(2000)][-1] == LONGEST_S


def test_any_time_up_to_the_bound_may_come_but_never_none() -> None:
    assert Backoff(lambda: 0.0).next_s() == SHORTEST_S
    halves = Backoff(lambda: 0.5)
    assert [round(halves.next_s(), 3) for _ in range(3)] == [0.6, 1.1, 2.1]


def test_what_went_well_makes_the_next_failure_the_first() -> None:
    backoff = Backoff(lambda: 1.0)
    for _ in range(5):
        backoff.next_s()
    backoff.forget()
    assert backoff.next_s() == 1
