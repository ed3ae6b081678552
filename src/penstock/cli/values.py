"""What arguments mean that are more than a word: streams, times, spans of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from cyclopts import Parameter

from penstock.admin import contract
from penstock.errors import InvalidField

_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
TIME_WANTED: Final = "a time such as 2027-01-01, 2027-01-01T08:30 or 2027-01-01T08:30+08:00 (UTC without a zone)"
SPAN_WANTED: Final = "a span of time such as 30s, 30m, 2h, 7d or 1d12h"

When = datetime | timedelta


def span(text: str) -> timedelta:
    """Return the span that a text such as `30m`, `7d` or `1d12h` means.

    Raises:
        ValueError: it means none.
    """
    found = _SPAN.findall(text)
    if not found or "".join(map("".join, found)) != text:
        raise ValueError(f"{text!r} is no span; it must be {SPAN_WANTED}")
    try:
        return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in found), timedelta())
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any calendar") from None


def moment(text: str) -> datetime:
    """Return the time that an ISO 8601 text means; one without a zone is UTC.

    Raises:
        ValueError: it means none.
    """
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time; it must be {TIME_WANTED}") from None


def when(text: str) -> When:
    """Return a span or a time, whichever the text is; a span may have a plus ahead.

    Raises:
        ValueError: it is neither.
    """
    try:
        return span(text.removeprefix("+"))
    except ValueError:
        pass
    try:
        return moment(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither {SPAN_WANTED}, nor {TIME_WANTED}") from None


def at_or_s(at: When | None) -> tuple[datetime | None, float | None]:
    """Return a time as it is, or a span in seconds; the other one is None."""
    return (None, at.total_seconds()) if isinstance(at, timedelta) else (at, None)


def _when(_: Any, tokens: Sequence[Any]) -> When:
    return when(tokens[0].value)


def _stream(_: Any, tokens: Sequence[Any]) -> str:
    try:
        contract.parse_stream(tokens[0].value)
    except InvalidField as error:
        raise ValueError(str(error)) from None
    return str(tokens[0].value)


# How parameters of commands are typed.
Stream = Annotated[
    str,
    Parameter(
        converter=_stream,
        help="STREAM, APP/STREAM or VHOST/APP/STREAM; what is left out is the default one, or the only one there is.",
    ),
]
AsWhen = Parameter(converter=_when, n_tokens=1, accepts_keys=False, metavar="WHEN")
