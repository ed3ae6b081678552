"""Which part of a file a request wants, and whether its client has it already.

One range, or the whole: several at once are answered by the whole file, which is as good as being asked for
none (RFC 9110, section 14.2), so that nobody can have small answers made of a thousand pieces.

Source: RFC 9110, sections 13 and 14.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from msgspec import Struct

from penstock.clouds.http import Headers

_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.ASCII)


class Version(Struct, frozen=True):
    """Which file it is, as it is now."""

    tag: str  # quoted; a strong one
    changed_at: datetime  # to the second


class Part(Struct, frozen=True):
    """The bytes from `start` up to, and not with, `end`; `is_whole` where no range was meant."""

    start: int
    end: int
    is_whole: bool

    @property
    def length(self) -> int:
        return self.end - self.start


def http_date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)


def is_known(headers: Headers, version: Version) -> bool:
    """True where the client has this version: the answer is 304."""
    tags = headers.get_all("If-None-Match")
    if tags:
        # If-None-Match goes before If-Modified-Since, and compares weakly.
        told = [each.strip().removeprefix("W/") for each in ",".join(tags).split(",")]
        return "*" in told or version.tag in told
    since = _date(headers.get("If-Modified-Since"))
    return since is not None and version.changed_at <= since


def part_of(headers: Headers, size: int, version: Version) -> Part | None:
    """The part that is wanted of `size` bytes; None where it is outside of them, which is answered 416."""
    whole = Part(0, size, True)
    wanted = headers.get_all("Range")
    found = _RANGE.fullmatch(wanted[0].strip()) if len(wanted) == 1 else None
    if found is None or found.groups() == ("", "") or not _fits(headers, version):
        return whole
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        return Part(size - length, size, False) if length else None
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return whole  # no range at all (14.1.1)
    return Part(start, end, False) if start < size else None


def _fits(headers: Headers, version: Version) -> bool:
    """False where the range is wanted of another version: then it is the whole file."""
    condition = headers.get("If-Range").strip()
    if not condition:
        return True
    if condition.startswith('"'):
        return condition == version.tag
    return _date(condition) == version.changed_at


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
