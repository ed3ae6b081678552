"""KLS's windows of time, at their edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock.api.kingsoft.times import durations_window, from_unix, history_window, midnight, to_unix
from penstock.errors import InvalidField
from tests.api.kingsoft.kit import DAY
from tests.clock import START

NOW = int(START.timestamp())  # 20:00 of the 1st of March in UTC+8
MIDNIGHT = int(datetime(2026, 2, 28, 16, tzinfo=UTC).timestamp())  # of that day


def window(start: int | None, end: int | None, now: datetime = START) -> tuple[int, int]:
    first, last = history_window(start, end, now)
    return to_unix(first), to_unix(last)


def durations(start: int, end: int, now: datetime = START) -> tuple[int, int]:
    first, last = durations_window(start, end, now)
    return to_unix(first), to_unix(last)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 3, 1, 15, 59, 59, 999_999, tzinfo=UTC), datetime(2026, 2, 28, 16, tzinfo=UTC)),
        (datetime(2026, 3, 1, 16, tzinfo=UTC), datetime(2026, 3, 1, 16, tzinfo=UTC)),
        (datetime(2026, 3, 1, 16, 0, 1, tzinfo=UTC), datetime(2026, 3, 1, 16, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_midnight_in_china(at: datetime, day: datetime) -> None:
    assert midnight(at) == day
    assert midnight(at).utcoffset() == timedelta()


def test_unix_seconds_are_whole_and_go_down() -> None:
    assert to_unix(from_unix(NOW)) == NOW
    assert to_unix(from_unix(NOW) + timedelta(microseconds=999_999)) == NOW


# Histories: 28 days back, 5 days wide


def test_without_times_it_is_from_midnight_five_days_ago_until_now() -> None:
    assert window(None, None) == (MIDNIGHT - 5 * DAY, NOW)
    assert window(None, None, START + timedelta(seconds=0.9)) == (MIDNIGHT - 5 * DAY, NOW)
    # Four hours on it is the next day over there.
    assert window(None, None, START + timedelta(hours=4)) == (MIDNIGHT - 4 * DAY, NOW + 4 * 3600)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (NOW - 100, NOW - 50, (NOW - 100, NOW - 50)),
        (NOW - 100, NOW - 100, (NOW - 100, NOW - 100)),
        (NOW - 100, None, (NOW - 100, NOW)),
        (NOW - 5 * DAY, None, (NOW - 5 * DAY, NOW)),
        (NOW - 5 * DAY, NOW, (NOW - 5 * DAY, NOW)),
        (NOW - 28 * DAY, NOW - 23 * DAY, (NOW - 28 * DAY, NOW - 23 * DAY)),
        (None, NOW, (MIDNIGHT - 5 * DAY, NOW)),
        (None, NOW - DAY, (MIDNIGHT - 6 * DAY, NOW - DAY)),
        (None, NOW - 25 * DAY, (NOW - 28 * DAY, NOW - 25 * DAY)),
        (NOW - 5 * DAY - 1, None, (NOW - 5 * DAY - 1, NOW - 1)),
        (NOW - 28 * DAY, None, (NOW - 28 * DAY, NOW - 23 * DAY)),
        (NOW - 1, NOW + 1000, (NOW - 1, NOW + 1000)),
    ],
)
def test_a_window_of_history(start: int | None, end: int | None, expected: tuple[int, int]) -> None:
    assert window(start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (NOW - 28 * DAY - 1, NOW - 27 * DAY, "StartUnixTime"),
        (1, NOW, "StartUnixTime"),
        (NOW - 5 * DAY - 1, NOW, "EndUnixTime"),
        (NOW - 20 * DAY, NOW - 15 * DAY + 1, "EndUnixTime"),
        (NOW - 100, NOW - 101, "EndUnixTime"),
        (NOW + 1, None, "EndUnixTime"),
        (None, NOW - 28 * DAY - 1, "EndUnixTime"),
        (NOW - 1, 9_999_999_999, "EndUnixTime"),
    ],
)
def test_no_window_of_history(start: int | None, end: int | None, field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        window(start, end)
    assert refusal.value.field == field


# Durations: 60 days back, whole days


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (MIDNIGHT - DAY, MIDNIGHT, (MIDNIGHT - DAY, MIDNIGHT)),
        (MIDNIGHT - 1, MIDNIGHT, (MIDNIGHT - DAY, MIDNIGHT)),
        (MIDNIGHT - DAY, MIDNIGHT + DAY - 1, (MIDNIGHT - DAY, MIDNIGHT)),
        (NOW - 60 * DAY, NOW, (MIDNIGHT - 60 * DAY, MIDNIGHT)),
        (MIDNIGHT, MIDNIGHT + DAY, (MIDNIGHT, MIDNIGHT + DAY)),
    ],
)
def test_both_ends_of_a_report_go_to_midnight(start: int, end: int, expected: tuple[int, int]) -> None:
    assert durations(start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (NOW - 60 * DAY - 1, NOW, "StartUnixTime"),
        (MIDNIGHT, MIDNIGHT + DAY - 1, "EndUnixTime"),
        (NOW, NOW, "EndUnixTime"),
        (NOW, NOW - DAY, "EndUnixTime"),
    ],
)
def test_no_days_of_a_report(start: int, end: int, field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        durations(start, end)
    assert refusal.value.field == field


def test_no_time_of_ten_digits_is_beyond_the_calendar() -> None:
    for seconds in (0, 9_999_999_999):
        assert to_unix(from_unix(seconds)) == seconds
        assert midnight(from_unix(seconds)) <= from_unix(seconds)
