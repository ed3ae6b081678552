"""Arguments that are more than a word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock.cli.values import at_or_s, moment, span, when


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30m", 1800), ("2h", 7200), ("7d", 604_800), ("2w", 1_209_600), ("1d12h", 129_600), ("1.5h", 5400)],
)
def test_span_is_a_number_and_its_unit(text: str, seconds: float) -> None:
    assert span(text).total_seconds() == seconds
    assert when(f"+{text}") == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "h", "5x", "5 h", "-5h", "5h ", "1e9d", "٣h", "9999999999d", "999999999w"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"30s, 30m, 2h, 7d|longer than any calendar"):
        span(text)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-01-01", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T08:30", datetime(2027, 1, 1, 8, 30, tzinfo=UTC)),
        ("2027-01-01T08:30Z", datetime(2027, 1, 1, 8, 30, tzinfo=UTC)),
        ("2027-01-01T08:30+08:00", datetime(2027, 1, 1, 0, 30, tzinfo=UTC)),
        ("2027-01-01 08:30:05", datetime(2027, 1, 1, 8, 30, 5, tzinfo=UTC)),
    ],
)
def test_time_without_a_zone_is_utc(text: str, at: datetime) -> None:
    assert moment(text) == at
    assert when(text) == at
    assert moment(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["tomorrow", "2027-13-01", "01.02.2027", "0001-01-01T00:00+14:00", ""])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="2027-01-01T08:30"):
        moment(text)
    with pytest.raises(ValueError, match=r"neither a span of time.*nor a time"):
        when(text)


def test_either_form_travels_in_its_own_member() -> None:
    at = datetime(2027, 1, 1, tzinfo=UTC)
    assert at_or_s(at) == (at, None)
    assert at_or_s(timedelta(hours=1)) == (None, 3600.0)
    assert at_or_s(None) == (None, None)
