"""Tables and facts as text for people: aligned, in colour on a terminal alone, and harmless.

What a publisher says of itself (agent, reason) ends up on an operator's terminal, so control characters
are shown as such and never sent.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

BOLD: Final = "1"
DIM: Final = "2"

Cell = str | int | float | bool | datetime | None


def has_colour(stream: TextIO) -> bool:
    """True where colour is wanted: a terminal, and no NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, style: str) -> str:
    """Return `text` in a style, where standard output takes one."""
    return f"\x1b[{style}m{text}\x1b[0m" if text and has_colour(sys.stdout) else text


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Iterable[str] = ()) -> str:
    """Return rows below their headings; the columns named in `right` are flush right, as numbers are."""
    texts = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(headings, *texts, strict=True)]
    flush = [heading in set(right) for heading in headings]
    head = painted(_line(headings, widths, flush), BOLD)
    return "\n".join([head, *(_line(row, widths, flush) for row in texts)])


def facts(pairs: Iterable[tuple[str, Cell]]) -> str:
    """Return titles and their values, one a line; a value that is empty or None is left out."""
    rows = [(title, shown(value)) for title, value in pairs if value not in (None, "")]
    widest = max((width(title) for title, _ in rows), default=0)
    return "\n".join(f"{painted(_padded(title, widest), DIM)}  {value}" for title, value in rows)


def shown(cell: Cell) -> str:
    """Return one cell's text, on one line."""
    match cell:
        case None:
            return "-"
        case bool():
            return "yes" if cell else "no"
        case datetime():
            return clock_text(cell)
        case float():
            return f"{cell:.1f}"
    return "".join(character if character.isprintable() else escaped(character) for character in str(cell)) or "-"


def escaped(character: str) -> str:
    """Return a character that does not print as the escape that names it."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def lines(text: str) -> str:
    """Return text of several lines, with everything harmless but its line ends."""
    return "\n".join(shown(line) if line else "" for line in text.split("\n"))


def clock_text(at: datetime) -> str:
    """Return a time in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """Return a span in its two largest units: 3d 4h, 12m 5s."""
    whole = max(0, int(seconds))
    units = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
    parts: list[str] = []
    for unit, size in units:
        count, whole = divmod(whole, size)
        if count or parts or unit == "s":
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def size(count: float, unit: str = "B") -> str:
    """Return bytes, or bits, with a prefix of powers of ten: 12.3 MB."""
    for prefix in ("", "k", "M", "G"):
        if abs(count) < 1000:
            return f"{count:.0f} {prefix}{unit}" if not prefix else f"{count:.1f} {prefix}{unit}"
        count /= 1000
    return f"{count:.1f} T{unit}"


def width(text: str) -> int:
    """Return how many columns a terminal gives to a text."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def _line(row: Sequence[str], widths: Sequence[int], flush: Sequence[bool]) -> str:
    cells = (
        _padded(text, wanted, is_right=is_right) for text, wanted, is_right in zip(row, widths, flush, strict=True)
    )
    return "  ".join(cells).rstrip()


def _padded(text: str, wanted: int, *, is_right: bool = False) -> str:
    blanks = " " * (wanted - width(text))
    return blanks + text if is_right else text + blanks
