"""What part of a file a request means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.ranges import Part, Version, http_date, is_known, part_of
from penstock.clouds.http import Headers

AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NOW = Version('"tag"', AT)
WHOLE = Part(0, 100, True)


def asked(*lines: tuple[str, str]) -> Part | None:
    return part_of(Headers(lines), 100, NOW)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-9", Part(0, 10, False)),
        ("bytes=10-", Part(10, 100, False)),
        ("bytes=99-99", Part(99, 100, False)),
        ("bytes=0-99999999999", Part(0, 100, False)),
        ("bytes=-1", Part(99, 100, False)),
        ("bytes=-100", Part(0, 100, False)),
        ("bytes=-101", Part(0, 100, False)),
        (" bytes=0-9 ", Part(0, 10, False)),
        ("bytes=100-", None),
        ("bytes=100-200", None),
        ("bytes=-0", None),
        # No range that is one: as if none was asked for.
        ("bytes=9-0", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=", WHOLE),
        ("bytes", WHOLE),
        ("items=0-9", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=0-9,20-29", WHOLE),
        ("bytes=0-0," * 5000 + "1-1", WHOLE),
        (f"bytes=0-{'9' * 20}", WHOLE),
        ("bytes=\u0661-\u0662", WHOLE),
    ],
)
def test_a_range_is_read(text: str, part: Part | None) -> None:
    assert asked(("Range", text)) == part


def test_two_ranges_on_two_lines_are_none() -> None:
    assert asked(("Range", "bytes=0-1"), ("Range", "bytes=2-3")) == WHOLE


def test_of_nothing_there_is_no_part() -> None:
    for text in ("bytes=0-", "bytes=-5", "bytes=0-0"):
        assert part_of(Headers([("Range", text)]), 0, NOW) is None
    assert part_of(Headers(), 0, NOW) == Part(0, 0, True)


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ('"tag"', True),
        ('"gat"', False),
        ('W/"tag"', False),
        (http_date(AT), True),
        ("Sun, 01 Mar 2026 12:00:01 GMT", False),
        ("Sun, 01 Mar 2026 11:59:59 GMT", False),
        ("yesterday", False),
    ],
)
def test_a_range_of_another_version_is_the_whole(condition: str, fits: bool) -> None:
    found = asked(("Range", "bytes=0-9"), ("If-Range", condition))
    assert found == (Part(0, 10, False) if fits else WHOLE)


@pytest.mark.parametrize(
    ("lines", "known"),
    [
        ([], False),
        ([("If-None-Match", '"tag"')], True),
        ([("If-None-Match", '"a", W/"tag"')], True),
        ([("If-None-Match", "*")], True),
        ([("If-None-Match", '"a"')], False),
        ([("If-None-Match", '"a"'), ("If-Modified-Since", http_date(AT))], False),
        ([("If-Modified-Since", http_date(AT))], True),
        ([("If-Modified-Since", "Sun, 01 Mar 2026 11:59:59 GMT")], False),
        ([("If-Modified-Since", "x")], False),
    ],
)
def test_a_client_that_has_it_is_told_so(lines: list[tuple[str, str]], known: bool) -> None:
    assert is_known(Headers(lines), NOW) is known


@given(st.text(max_size=40), st.integers(0, 200), st.text(max_size=40))
def test_no_text_is_a_fault_and_no_part_is_outside(text: str, size: int, condition: str) -> None:
    for wanted in (text, f"bytes={text}"):
        part = part_of(Headers([("Range", wanted), ("If-Range", condition)]), size, NOW)
        assert part is None or 0 <= part.start <= part.end <= size
    assert is_known(Headers([("If-None-Match", text), ("If-Modified-Since", condition)]), NOW) in (True, False)
