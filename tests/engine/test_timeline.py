from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.timeline import MAX_STEP_AHEAD_MS, MAX_STEP_BACK_MS, RESTART_STEP_MS, Timeline

WRAP = 1 << 32


def places(timestamps: list[int], start_ms: int = 0) -> list[int]:
    line = Timeline(start_ms)
    return [line.place(timestamp) for timestamp in timestamps]


@pytest.mark.parametrize("first", [0, 1, 90_000, 0x00FFFFFF, 0x7FFFFFFF, 0x80000000, WRAP - 1])
def test_the_first_frame_stands_at_the_start_wherever_the_encoder_counts_from(first: int) -> None:
    assert places([first, first + 40, first + 80], start_ms=7000) == [7000, 7040, 7080]


@pytest.mark.parametrize(
    ("timestamps", "expected"),
    [
        pytest.param([WRAP - 20, 20, 60], [0, 40, 80], id="over the wrap"),
        pytest.param([WRAP - 20, 20, WRAP - 10, 30], [0, 40, 10, 50], id="over it, back across it, and over it again"),
        pytest.param([0x7FFFFFF0, 0x80000010], [0, 32], id="over the middle"),
        pytest.param([0xFFFFFE, 0xFFFFFF, 0x1000000, 0x1000020], [0, 1, 2, 34], id="into extended timestamps"),
    ],
)
def test_thirty_two_bits_wrap_in_both_directions(timestamps: list[int], expected: list[int]) -> None:
    assert places([timestamp % WRAP for timestamp in timestamps]) == expected


def test_the_line_goes_on_past_thirty_two_bits() -> None:
    line = Timeline(WRAP - 100)
    assert [line.place(timestamp) for timestamp in (5, 205)] == [WRAP - 100, WRAP + 100]


def test_fifty_days_of_frames_wrap_once_and_lose_nothing() -> None:
    line, clock, place = Timeline(), 0, 0
    for _ in range(50 * 24 * 60 * 2):  # one frame each half minute
        place = line.place(clock % WRAP)
        assert place == clock
        clock += 30_000
    assert place > WRAP


def test_small_steps_back_are_kept_as_they_are() -> None:
    assert places([1000, 1040, 1023, 1080, 1046]) == [0, 40, 23, 80, 46]


def test_the_largest_small_step_back_is_kept_and_one_more_is_a_restart() -> None:
    ahead = [0, 10_000]
    assert places([*ahead, 10_000 - MAX_STEP_BACK_MS])[-1] == 10_000 - MAX_STEP_BACK_MS
    assert places([*ahead, 10_000 - MAX_STEP_BACK_MS - 1])[-1] == 10_000 + RESTART_STEP_MS


def test_the_largest_pause_is_kept_and_one_more_is_a_restart() -> None:
    assert places([0, MAX_STEP_AHEAD_MS])[-1] == MAX_STEP_AHEAD_MS
    assert places([0, MAX_STEP_AHEAD_MS + 1])[-1] == RESTART_STEP_MS


def test_an_encoder_that_starts_its_clock_anew_goes_on_one_frame_later() -> None:
    assert places([0, 40, 20_000, 0, 40, 80]) == [0, 40, 20_000, 20_040, 20_080, 20_120]


def test_a_restart_goes_on_from_the_furthest_frame_not_from_the_last_one() -> None:
    assert places([0, 20_000, 19_500, 0]) == [0, 20_000, 19_500, 20_040]


def test_a_step_back_does_not_cross_the_start_of_the_session() -> None:
    assert places([1000, 977, 960, 1020], start_ms=5000) == [5000, 5000, 5000, 5060]


def test_setup_packets_find_the_latest_frames_place() -> None:
    line = Timeline(300)
    assert (line.now_ms, line.highest_ms) == (300, 300)
    for timestamp in (10, 50, 27):
        line.place(timestamp)
    assert (line.now_ms, line.highest_ms) == (317, 340)


@given(st.lists(st.integers(0, WRAP - 1), max_size=60), st.integers(0, 1 << 40))
def test_no_clock_however_wild_leads_before_the_start_or_far_ahead(timestamps: list[int], start_ms: int) -> None:
    before = start_ms
    line = Timeline(start_ms)
    for timestamp in timestamps:
        place = line.place(timestamp)
        assert start_ms <= place <= before + MAX_STEP_AHEAD_MS
        before = line.highest_ms


@given(
    st.integers(0, WRAP - 1),
    st.lists(st.integers(-MAX_STEP_BACK_MS, MAX_STEP_AHEAD_MS), max_size=60),
)
def test_ordinary_steps_are_kept_to_the_millisecond_across_any_wrap(first: int, steps: list[int]) -> None:
    line, clock = Timeline(1 << 33), first
    place = line.place(clock)
    for step in steps:
        clock = (clock + step) % WRAP
        expected = max(place + step, 1 << 33)
        place = line.place(clock)
        assert place == expected
