"""KLS's times: Unix seconds, days of UTC+8, and how far back and how wide a question may go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from penstock.errors import InvalidField

# Nothing says which midnight is meant; the cloud's customers and clocks are Chinese.
ZONE: Final = timezone(timedelta(hours=8))
DAY: Final = timedelta(days=1)
SECOND: Final = timedelta(seconds=1)

HISTORY_BACK: Final = timedelta(days=28)
HISTORY_SPAN: Final = timedelta(days=5)
DURATIONS_BACK: Final = timedelta(days=60)


def from_unix(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def to_unix(at: datetime) -> int:
    """Whole seconds; what is between two goes to the earlier one."""
    return int(at.timestamp())


def midnight(at: datetime) -> datetime:
    """00:00 of the day that a moment falls on, in UTC."""
    return at.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def history_window(start: int | None, end: int | None, now: datetime) -> tuple[datetime, datetime]:
    """The first and last second of a history that is asked for.

    Without an end it goes until now, or as far from its beginning as may be; without a beginning, from 00:00 five
    days before its end, which is the one way to a window wider than five days.

    Raises:
        InvalidField: more than 28 days back, wider than 5 days, or an end before its beginning.
    """
    oldest = (now - HISTORY_BACK).replace(microsecond=0)
    latest = now.replace(microsecond=0)
    if start is None:
        last = from_unix(end) if end is not None else latest
        first = max(midnight(last - HISTORY_SPAN), oldest)
    else:
        first = from_unix(start)
        last = from_unix(end) if end is not None else min(latest, first + HISTORY_SPAN)
    if first < oldest:
        raise InvalidField("StartUnixTime", start, f"within {HISTORY_BACK.days} days: {to_unix(oldest)} or later")
    if last < first:
        raise InvalidField("EndUnixTime", to_unix(last), f"not before {to_unix(first)}, where the window begins")
    if start is not None and last - first > HISTORY_SPAN:
        wanted = f"at most {HISTORY_SPAN.days} days after StartUnixTime: {to_unix(first + HISTORY_SPAN)} or earlier"
        raise InvalidField("EndUnixTime", to_unix(last), wanted)
    return first, last


def durations_window(start: int, end: int, now: datetime) -> tuple[datetime, datetime]:
    """The days of a report of durations: from the first one's 00:00 to the last one's.

    Raises:
        InvalidField: more than 60 days back, or not a later day.
    """
    first, last = midnight(from_unix(start)), midnight(from_unix(end))
    oldest = now - DURATIONS_BACK
    if from_unix(start) < oldest.replace(microsecond=0):
        raise InvalidField("StartUnixTime", start, f"within {DURATIONS_BACK.days} days: {to_unix(oldest)} or later")
    if last <= first:
        raise InvalidField("EndUnixTime", end, "on a later day (of UTC+8) than StartUnixTime")
    return first, last
