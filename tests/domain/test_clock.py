from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from penstock.domain.clock import DomainClock
from penstock.errors import Denied, InvalidField
from tests.clock import START, ManualClock

DAY = timedelta(days=1)


def test_it_goes_as_the_machines_clock_until_it_is_turned() -> None:
    base = ManualClock()
    clock = DomainClock(base, is_turnable=True)
    base.spend(5)
    assert (clock.now(), clock.monotonic(), clock.real_now()) == (base.now(), base.monotonic(), base.now())
    assert clock.turn(by=90 * DAY) == base.now() + 90 * DAY
    base.spend(5)
    assert clock.now() == START + timedelta(seconds=10) + 90 * DAY
    assert (clock.real_now(), clock.monotonic()) == (base.now(), base.monotonic())
    assert clock.at(base.now()) == clock.now()


def test_turns_add_up_and_go_either_way() -> None:
    clock = DomainClock(ManualClock(), is_turnable=True)
    clock.turn(by=2 * DAY)
    clock.turn(by=-5 * DAY)
    assert clock.now() == START - 3 * DAY
    assert clock.turn(to=START + DAY) == START + DAY
    assert clock.reset() == START


@pytest.mark.parametrize("by", [timedelta(days=36_501), timedelta(days=-36_501), timedelta.max])
def test_it_is_turned_by_a_hundred_years_at_most(by: timedelta) -> None:
    clock = DomainClock(ManualClock(), is_turnable=True)
    with pytest.raises(InvalidField, match="within 36500 days of the machine's clock"):
        clock.turn(by=by)
    assert clock.now() == START
    clock.turn(by=timedelta(days=36_500))
    for more in (timedelta(seconds=1), timedelta.max):
        with pytest.raises(InvalidField):
            clock.turn(by=more)


def test_a_servers_clock_is_not_turned(tmp_path: Path) -> None:
    clock = DomainClock(ManualClock(), path=tmp_path / "clock")
    with pytest.raises(Denied, match="start the server with --dev"):
        clock.turn(by=DAY)
    assert clock.now() == START
    assert not (tmp_path / "clock").exists()


def test_a_turn_is_kept_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    DomainClock(ManualClock(), is_turnable=True, path=path).turn(by=-1.5 * DAY)
    assert DomainClock(ManualClock(), is_turnable=True, path=path).now() == START - 1.5 * DAY
    # A server without --dev goes by the machine's clock, whatever was kept.
    assert DomainClock(ManualClock(), path=path).now() == START


@pytest.mark.parametrize("text", ["", "soon", "nan", "1e30", "inf", "-99999999999999", "\x00\xff"])
def test_a_turn_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clock"
    path.write_text(text, "latin-1")
    assert DomainClock(ManualClock(), is_turnable=True, path=path).now() == START
