"""What arguments of `penstock relays` mean that are more than a word: sources with their parts, places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

# The temporal part of W3C's Media Fragments, in seconds.
_PART: Final = re.compile(r"t=(\d{0,9}(?:\.\d{1,6})?)(?:,(\d{1,9}(?:\.\d{1,6})?))?", re.ASCII)


@dataclass(frozen=True)
class SourceUrl:
    """An address, and the part of it that is played; None is the file's own end."""

    url: str
    start_s: float | None = None
    end_s: float | None = None

    @property
    def is_rtmp(self) -> bool:
        return self.url.lower().startswith(("rtmp://", "rtmps://"))


@dataclass(frozen=True)
class Place:
    """Shares of the frame's width and height."""

    x: float
    y: float


def source(text: str) -> SourceUrl:
    """Return what `URL` or `URL#t=START,END` means.

    Raises:
        ValueError: it has another part than that.
    """
    url, mark, part = text.partition("#")
    if not mark:
        return SourceUrl(url)
    found = _PART.fullmatch(part)
    if found is None or part == "t=":
        raise ValueError(f"{text!r} has a part that is none; it must be #t=START,END in seconds, as in #t=10,60")
    return SourceUrl(url, float(found[1]) if found[1] else None, float(found[2]) if found[2] else None)


def place(text: str) -> Place:
    """Return the place that `X,Y` means.

    Raises:
        ValueError: it means none.
    """
    x, _, y = text.partition(",")
    try:
        return Place(float(x), float(y))
    except ValueError:
        raise ValueError(f"{text!r} is no place; it must be X,Y in shares of the frame, as in 0.8,0.05") from None


def as_source(_: Any, tokens: Sequence[Any]) -> SourceUrl:
    return source(tokens[0].value)


def as_place(_: Any, tokens: Sequence[Any]) -> Place:
    return place(tokens[0].value)
