"""Where files go on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.relays.places import later, loops_of, resumed
from penstock.link.relaying import Position
from penstock.storage.relay_rows import RelayProgress, Source
from tests.clock import START
from tests.storage.kit import relay

A, B = "http://files.test/1.mp4", "http://files.test/2.mp4"
KNOWN = relay("a", kind="files", sources=(Source(A, 5.0, 15.0), Source(B, None, 20.0)), cycle_mode=-1)
UNKNOWN = relay("a", kind="files", sources=(Source(A), Source(B, 2.0)), cycle_mode=-1)
MIXED = relay("a", kind="files", sources=(Source(A, None, 10.0), Source(B)), cycle_mode=-1)


@pytest.mark.parametrize(
    ("cycle_mode", "play_times", "loops"),
    [(-1, None, None), (-1, 5, None), (0, None, 1), (0, 0, 1), (0, 1, 1), (0, 7, 7), (3, None, 3), (3, 7, 3)],
)
def test_how_often_files_are_played(cycle_mode: int, play_times: int | None, loops: int | None) -> None:
    assert loops_of(relay("a", kind="files", cycle_mode=cycle_mode, play_times=play_times)) == loops


@pytest.mark.parametrize(
    ("place", "seconds", "expected"),
    [
        (Position(0, 0, 5.0), 0.0, Position(0, 0, 5.0)),
        (Position(0, 0, 0.0), 1.0, Position(0, 0, 6.0)),  # before its part: it begins with that
        (Position(0, 0, 5.0), 9.5, Position(0, 0, 14.5)),
        (Position(0, 0, 5.0), 10.0, Position(0, 1, 0.0)),
        (Position(0, 1, 19.0), 1.0, Position(1, 0, 5.0)),
        (Position(2, 1, 19.0), 1.0 + 30.0, Position(4, 0, 5.0)),
        (Position(0, 0, 5.0), 30.0 * 1_000_000 + 12, Position(1_000_000, 1, 2.0)),
    ],
)
def test_time_that_passed_is_carried_over_files_and_rounds(place: Position, seconds: float, expected: Position) -> None:
    assert later(KNOWN, place, seconds) == expected


@given(st.integers(0, 3), st.integers(0, 1), st.floats(0, 1e6))
def test_a_place_is_always_inside_of_its_file_where_all_are_known(loop: int, clip: int, seconds: float) -> None:
    start = Position(loop, clip, (5.0, 0.0)[clip])
    found = later(KNOWN, start, seconds)
    source = KNOWN.sources[found.clip]
    assert source.end_s is not None
    assert (source.start_s or 0.0) <= found.offset_s < source.end_s
    begun = 30.0 * start.loop + (0.0, 10.0)[clip]
    reached = 30.0 * found.loop + (found.offset_s - 5.0 if found.clip == 0 else 10.0 + found.offset_s)
    assert reached - begun == pytest.approx(seconds, abs=1e-3)


def test_a_file_whose_length_nobody_told_keeps_what_is_left() -> None:
    assert later(UNKNOWN, Position(0, 0, 3.0), 500.0) == Position(0, 0, 503.0)
    assert later(UNKNOWN, Position(1, 1, 0.0), 5.0) == Position(1, 1, 7.0)
    assert later(MIXED, Position(0, 0, 8.0), 30.0) == Position(0, 1, 28.0)


def progress(seconds_ago: float) -> RelayProgress:
    return RelayProgress(task="a", loop=1, clip=0, offset_s=6.0, noted_at=START - timedelta(seconds=seconds_ago))


def test_a_task_goes_on_where_it_was_unless_it_is_to_be_late() -> None:
    late = relay("a", kind="files", sources=KNOWN.sources, cycle_mode=-1, resumes_late=True)
    assert resumed(KNOWN, progress(8), START) == Position(1, 0, 6.0)
    assert resumed(late, progress(8), START) == Position(1, 0, 14.0)
    assert resumed(late, progress(9), START) == Position(1, 1, 0.0)
    assert resumed(late, progress(-100), START) == Position(1, 0, 6.0), "a clock that was turned back"
    assert resumed(late, RelayProgress(task="a"), START) == Position()
